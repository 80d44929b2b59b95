"""Claims on the page: their numbers as text, counts of verdicts, and the budget that is stated."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.catalogue import load_ablations
from experiments.claim import LOOKS, Claim
from experiments.metrics import COST_METRICS
from experiments.records.collect import read_table
from report.study.tables import records
from report.verdicts.explain import effect_formula, seeds_needed
from report.verdicts.outcomes import DECIDED, Verdict
from report.verdicts.stats import LEVEL
from report.verdicts.text import (
    format_coverage,
    format_interval,
    format_number,
    format_p,
    join_words,
    plural,
)
from report.verdicts.trend import Direction

SHARE = "share of seeds"  # the unit of claims that are counted in seeds
POWER = COST_METRICS["time_exponent"]
_VERDICT_SENTENCES = {
    Verdict.SUPPORTED: "Supported by the data",
    Verdict.NEGLIGIBLE: "The effect is negligible",
    Verdict.REVERSED: "The data speak against it",
    Verdict.UNDECIDED: "Not decided by the data",
    Verdict.NOT_TESTABLE: "Not testable at this budget",
    Verdict.NOT_RUN: "Not run",
}


def claims_of(results: Path, ablation: str | None = None) -> pd.DataFrame:
    """The table "claims" of a study, or its rows of one ablation.

    Raises:
        UserError: the table is missing, damaged, or of another version.
    """
    claims = read_table(results, "claims")
    return claims if ablation is None else claims[claims["ablation"] == ablation]


def count_verdicts(claims: pd.DataFrame) -> dict[str, int]:
    """Number of claims by verdict, without verdicts that no claim has."""
    counts = claims["verdict"].value_counts()
    return {verdict: int(counts[verdict]) for verdict in Verdict if verdict in counts}


def deepest(claims: pd.DataFrame) -> pd.DataFrame:
    """The row of each claim at the deepest budget at which it is testable, or else at its last."""
    lowest = [Verdict.NOT_TESTABLE, Verdict.NOT_RUN]
    order = claims.assign(testable=~claims["verdict"].isin(lowest))
    order = order.sort_values(["testable", "budget"], kind="stable", na_position="first")
    return claims.loc[order.groupby("claim", sort=False).tail(1).index].sort_index()


def verdict_summary(claims: pd.DataFrame) -> str:
    """Counts of the verdicts as text, "Of 4 claims: 3 supported and 1 undecided"; with several
    budgets, one such text for each.
    """
    budgets = sorted(set(claims["budget"].dropna()))
    if len(budgets) < 2:
        return _counts_text("of", claims)
    parts = [
        _counts_text(f"at budget {budget:g}, of", claims[claims["budget"] == budget])
        for budget in budgets
    ]
    without = claims[claims["budget"].isna()]
    if len(without):
        parts.append(_counts_text("without training, of", without))
    text = "; ".join(parts)
    return text[0].upper() + text[1:]


def wrong_decisions(claims: pd.DataFrame) -> str:
    """A sentence on the number of wrong decisions to be expected; empty if no test decided."""
    decided = claims[claims["verdict"].isin(DECIDED) & claims["p"].notna()]
    if decided.empty:
        return ""
    fragile = int(decided["fragile"].sum())
    firm = len(decided) - fragile
    wrong = LEVEL * firm
    rest = f"other {firm}" if fragile else f"{firm}"
    expected = "Fewer than one is expected to be wrong."
    if wrong >= 1:
        expected = f"At most about {wrong:.0f} of the {rest} are expected to be wrong."
    return (
        f"A statistical test decided {plural(len(decided), 'verdict')}, of which"
        f" {fragile or 'none'} {'is' if fragile < 2 else 'are'} fragile. {expected}"
    )


def _counts_text(start: str, claims: pd.DataFrame) -> str:
    counts = [f"{n} {verdict}" for verdict, n in count_verdicts(claims).items()]
    text = f"{start} {plural(len(claims), 'claim')}: {join_words(counts)}"
    return text[0].upper() + text[1:] if start == "of" else text


def with_texts(
    claims: pd.DataFrame, stated: Mapping[str, Claim] | None = None
) -> list[dict[str, Any]]:
    """Rows of the table "claims", with formatted numbers for the page added.

    stated: the claims by id; by default those of all ablations.
    """
    known = _stated_claims() if stated is None else stated
    return [row | _texts(row, known.get(row["claim"])) for row in records(claims)]


def _texts(row: dict[str, Any], stated: Claim | None) -> dict[str, Any]:
    low, high = row["low"], row["high"]
    has_effect, exact = row["effect"] is not None, row["scale"] == "exact"
    unit = row["unit"] if has_effect and row["unit"] else ""
    interval, effect = format_interval(low, high), format_number(row["effect"], low, high)
    measured, lacking = row["why"], ""
    counted = row["unit"] == SHARE
    look = f", look {row['look']:.0f}" if row["look"] and row["look"] > 1 else ""
    if has_effect and row["scale"] == "ratio":
        effect = f"×{effect}"
        measured = f"{effect} ({interval}), a {unit}, above 1 if as claimed"
    elif has_effect and counted:
        n = row["n"]
        effect, unit = f"{row['effect'] * n:.0f} of {plural(n, 'seed')}", ""
        measured = f"{effect}, share {interval}"
        if stated is not None and row["verdict"] == Verdict.UNDECIDED:
            needed = seeds_needed(n, stated, row["level"])
            least = needed or f"over {LOOKS[-1]}"
            lacking = "" if needed == n else f"needs {least}"
    elif has_effect and unit == POWER and stated is not None:
        claimed = stated.threshold
        effect = format_number(row["effect"] + claimed, low, high)
        if low is not None and high is not None:
            interval = format_interval(low + claimed, high + claimed)
        effect, unit = f"grows as n^{effect}, claimed n^{claimed:g}", ""
        measured = f"{effect} ({interval})"
    elif has_effect:
        measured = f"{effect} {unit} ({interval})"
    return {
        "counted": counted,
        "claims_equality": stated is not None and stated.equal,
        "effect_text": effect,
        "lacking_text": lacking,
        "interval_text": interval,
        "unit": unit,
        "margin_text": "" if counted or row["scale"] != "difference" else f"{row['margin']:g}",
        "formula": "" if stated is None else effect_formula(stated),
        "quantity": "" if stated is None else _quantity(stated),
        "level_text": format_coverage(row["level"]) if row["look"] and row["look"] > 1 else "",
        "budget_text": "–" if row["budget"] is None else f"{row['budget']:g}",
        "trend_text": _trend_text(row),
        "n_text": "exact" if exact else f"{row['n']}/{row['planned']}{look}",
        "p_text": format_p(row["p"]),
        "p_corrected_text": format_p(row["p_corrected"]),
        "verdict_sentence": _VERDICT_SENTENCES[row["verdict"]],
        # Counts and derivations hold in any setting; trained networks differ in data and size.
        "comparability": "same setting" if exact else "other setting, compare the direction only",
        "measured": measured,
    }


@functools.cache
def _stated_claims() -> dict[str, Claim]:
    """The claims of all ablations, by id."""
    ablations = load_ablations().values()
    return {claim.id: claim for ablation in ablations for claim in ablation.claims}


def _quantity(claim: Claim) -> str:
    """The quantity that a claim's effect is, such as "ratio of tokens per second"."""
    if claim.counted:
        least = claim.seed_margin or 0
        return f"share of seeds in which this is above {least:g}, {claim.metric_words}"
    words = claim.unit if claim.log else claim.metric_words
    return words.replace("val ", "validation ")


def _trend_text(row: dict[str, Any]) -> str:
    """The trend of an effect over budgets, with its change per doubling."""
    if row["trend"] is None:
        return "–"
    low, high = row["change_low"], row["change_high"]
    sign = "×" if row["scale"] == "ratio" else ""
    change = f"{sign}{format_number(row['change'], low, high)}"
    if low == high == (1 if sign else 0):
        return "none, the effect is the same at every budget"
    name = (
        "less than the margin from the first budget to the last"
        if row["trend"] == Direction.STABLE
        else row["trend"]
    )
    return f"{name}: {change} ({format_interval(low, high)}) per doubling"
