"""Seals of claims: what a claim said before the first run of its ablation, in `seals.jsonl`.

The file of a results folder has a line for each claim, a further line when the first runs of its
ablation are finished, and one for a claim that was trained again after it had been changed. A seal
can be forged by whoever has the folder. What it shows is that nobody changed the claim by accident
or without noticing.
"""

import dataclasses
import datetime
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.ablation import Ablation, Claim, OwnProbe, Variant
from experiments.claim import LOOKS
from experiments.files import seal, unseal, write_atomically
from experiments.metrics import PRUNABLE, SOLVED, TRAINS
from experiments.planning.plan import Plan
from experiments.records.provenance import environment
from experiments.records.run_folder import FINISHED, RunFolder

# Numbers and the version of the rules by which verdicts follow from claims and tables.
RULES = {"version": 2, "looks": list(LOOKS)}
RULES |= {"solved": SOLVED, "trains": TRAINS, "prunable": PRUNABLE}

# Fields that decide no verdict.
_DESCRIPTIVE = ("id", "said_by", "published", "published_effect", "restated", "why_margin")


def stated(
    claim: Claim, variants: Sequence[Variant], probes: Sequence[OwnProbe] = ()
) -> dict[str, Any]:
    """All that decides the verdict on a claim, and its sentence, as JSON.

    Args:
        claim: the claim.
        variants: those of its ablation, of which the arms of the claim and its gates are sealed.
        probes: own probes of its ablation. One that measures the claim's metric is sealed with the
            fingerprint of its file.
    """
    fields = dataclasses.asdict(claim)
    decisive = {name: value for name, value in fields.items() if name not in _DESCRIPTIVE}
    named = {*claim.effect, *(arm for gate in claim.requires for arm in gate.arms)}
    names = [each.name for each in probes if claim.metric in each.measured]
    measured_by = {"measured_by": names[0]} if names else {}
    others = {
        "requires": [repr(gate) for gate in claim.requires],
        "arms": [repr(variant) for variant in variants if variant.name in named],
        "rules": RULES,
    }
    return decisive | measured_by | others


def seal_claims(results: Path, ablations: Mapping[str, Ablation], plan: Plan) -> None:
    """Seal the claims of ablations that have no seal yet, or that say something else now.

    A seal says how many compared runs of the ablation were finished before it. A claim is sealed
    once more when the first are: the runs may be trained again, and fail, and were seen all the
    same.
    """
    latest = {(line["ablation"], line["claim"]): line["stated"] for line in read_seals(results)}
    seen: dict[str, int] = {}
    for line in read_seals(results):
        seen[line["ablation"]] = max(line["runs"] or 0, seen.get(line["ablation"], 0))
    present = {
        (name, claim.id): json.dumps(stated(claim, ablation.variants, ablation.own_probes))
        for name, ablation in ablations.items()
        for claim in ablation.claims
    }
    changed = [place for place in present if latest.get(place) != present[place]]
    unseen = {name for name, _ in present if not seen.get(name)} | {name for name, _ in changed}
    finished = Counter(
        member.ablation
        for member in plan.comparison_runs
        if member.ablation in unseen and RunFolder(results, member.spec.run_id).status() in FINISHED
    )
    first_seen = {name for name in finished if not seen.get(name)}
    claims = [place for place in present if place in changed or place[0] in first_seen]
    if not claims:
        return
    facts = {
        "git_revision": environment()["git_revision"],
        "sealed": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    file = results / "seals.jsonl"
    content = file.read_bytes() if file.exists() else b""
    if content and not content.endswith(b"\n"):
        content += b"\n"
    for name, claim in claims:
        line = {
            "ablation": name,
            "claim": claim,
            "stated": present[name, claim],
            "runs": max(finished[name], seen.get(name, 0)),
        }
        content += json.dumps(seal(line | facts)).encode() + b"\n"
    write_atomically(file, content)


def read_seals(results: Path) -> list[dict[str, Any]]:
    """The seals in a results folder, in order: rows of the table `seals`.

    A line that does not match its checksum has `intact` False, and what can be read of it.
    """
    file = results / "seals.jsonl"
    lines = file.read_bytes().splitlines() if file.exists() else []
    rows = []
    for line in lines:
        content = unseal(line)
        intact = content is not None
        names = ("ablation", "claim", "stated", "runs", "git_revision", "sealed")
        read = content or _readable(line)
        rows.append({name: read.get(name) for name in names} | {"intact": intact})
    return rows


def _readable(line: bytes) -> dict[str, Any]:
    """The names in a damaged line, as far as it is JSON."""
    try:
        content = json.loads(line)
    except ValueError:
        return {}
    if not isinstance(content, dict):
        return {}
    return {
        name: content[name] for name in ("ablation", "claim") if isinstance(content.get(name), str)
    }
