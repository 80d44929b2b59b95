"""Seals: when a claim was written down, and what was changed since."""

import json
from collections.abc import Sequence
from typing import Any

import pandas as pd

from experiments.ablation import Claim, OwnProbe, Variant
from experiments.records.claim_seals import stated
from report.study.tables import records
from report.verdicts.text import join_words, plural


def seal_text(
    seals: pd.DataFrame,
    ablation: str,
    claim: Claim,
    variants: Sequence[Variant],
    probes: Sequence[OwnProbe] = (),
) -> str:
    """When a claim was sealed, before or after how many runs, and what was changed since.

    Args:
        seals: the table `seals`.
        ablation: name of the claim's ablation.
        claim: the claim as it is now.
        variants: the ablation's variants as they are now.
        probes: its own probes as they are now.
    """
    rows = records(seals[(seals["ablation"] == ablation) & (seals["claim"] == claim.id)])
    if not rows:
        return "not sealed"
    if not all(row["intact"] for row in rows):
        return "its seal is damaged"
    first, now = rows[0], stated(claim, variants, probes)
    before = json.loads(first["stated"])
    if before == now:
        return f"sealed {_when(first)}"
    latest = rows[-1]
    changes = _changes(before, now)
    if json.loads(latest["stated"]) != now:
        return f"changed since it was sealed {_when(first)}, and not run since: {changes}"
    after = plural(latest["runs"], "run")
    return f"sealed {_when(first)}, changed after {after} of the ablation: {changes}"


def _when(row: dict[str, Any]) -> str:
    runs = row["runs"]
    after = f"after {plural(runs, 'run')}" if runs else "before the first run"
    return f"{after} ({row['sealed'][:10]}, commit {row['git_revision']})"


def _changes(before: dict[str, Any], now: dict[str, Any]) -> str:
    """The fields of a claim that differ, with both values; of a list, the entries that differ."""
    texts = []
    for name in {**before, **now}:
        was, is_now = before.get(name), now.get(name)
        if was == is_now:
            continue
        if name not in before:
            texts.append(f"{name} were not sealed")
        elif name == "rules":
            texts.append("the rules of all verdicts were changed, as the log says")
        elif isinstance(was, list) and isinstance(is_now, list):
            gone = [_shown(each) for each in was if each not in is_now]
            new = [_shown(each) for each in is_now if each not in was]
            words = [join_words(entries or ["nothing"]) for entries in (gone, new)]
            texts.append(f"{name}: {words[0]} became {words[1]}")
        else:
            texts.append(f"{name} was {_shown(was)} and is {_shown(is_now)}")
    return "; ".join(texts)


def _shown(value: Any) -> str:
    return value if isinstance(value, str) and value else json.dumps(value)
