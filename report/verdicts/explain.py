"""Explanations in words: the rule of a claim, and the numbers behind its verdict."""

from collections.abc import Sequence
from typing import Any

from experiments.claim import LOOKS, Claim, look_number
from report.verdicts.outcomes import Verdict, decidable_with, outcome_ps_of_counts
from report.verdicts.stats import Estimate, look_level
from report.verdicts.text import (
    format_coverage,
    format_interval,
    format_number,
    plural,
)


def rule(claim: Claim, level: float, unit: str, gates: Sequence[str]) -> str:
    """The rule by which a claim is judged.

    Args:
        claim: the claim.
        level: level of its tests.
        unit: unit of its metric.
        gates: what its gates require, in words.
    """
    if claim.check:
        return "Supported if the check holds, reversed if it fails. Nothing is trained."
    testable = f" Gates: {'; '.join(gates)}." if gates else ""
    excess = f" The effect is the excess over {claim.threshold:g}." if claim.threshold else ""
    margin = f" The margin: {claim.why_margin}."
    return f"{_outcomes(claim, level, unit)}, otherwise undecided.{excess}{margin}{testable}"


def _outcomes(claim: Claim, level: float, unit: str) -> str:
    """The interval that each outcome of a claim needs, in words."""
    if claim.counted:
        least = claim.seed_margin
        by = f" by more than {least:g} {unit}" if least else ""
        return (
            f"The share of seeds in which the comparison comes out as claimed{by}: supported if its"
            f" whole exact {format_coverage(level)} interval lies above {claim.margin:g},"
            f" reversed if the same holds for the share that comes out the other way, negligible if"
            f" both intervals lie below {claim.margin:g}"
        )
    above, below = f"+{claim.margin:g}", f"−{claim.margin:g}"
    inside = f"within ±{claim.margin:g}"
    if claim.log:
        ratio, below = f"{1 + claim.margin:g}", f"{1 / (1 + claim.margin):.3g}"
        above, inside = f"a ratio of {ratio}", f"between {below} and {ratio}"
    start = f"Supported if the whole {format_coverage(level)} interval lies"
    if claim.no_worse:
        return f"{start} above {below}, reversed if it lies below {below}"
    if claim.equal:
        return f"{start} {inside}, reversed if it lies wholly outside"
    return (
        f"{start} above {above}, negligible if it lies {inside}, reversed if it lies below {below}"
    )


def effect_formula(claim: Claim) -> str:
    """The formula of a claim's effect, in its arms: "a − b", or "a / b" for a ratio."""
    if claim.check:
        return ""
    terms = {
        sign: [
            arm if abs(weight) == 1 else _weighted(arm, abs(weight), claim)
            for arm, weight in claim.effect.items()
            if weight * sign > 0
        ]
        for sign in (1, -1)
    }
    if claim.log:  # of a difference of logarithms
        return " / ".join([" × ".join(terms[1]), *terms[-1]])
    return " + ".join(terms[1]) + "".join(f" − {term}" for term in terms[-1])


def _weighted(arm: str, weight: float, claim: Claim) -> str:
    return f"{arm}^{weight:g}" if claim.log else f"{weight:g} × {arm}"


def numbers(row: dict[str, Any], claim: Claim, sample: str) -> str:
    """The effect and interval that decided a verdict, and for an undecided claim the smallest
    effect that would have been decided.

    Args:
        row: the claim's row of the table `claims`.
        claim: the claim.
        sample: what the interval is taken over, "5 paired seeds".
    """
    effect, low, high = row["effect"], row["low"], row["high"]
    name = "share" if claim.counted else "ratio" if claim.log else "effect"
    if claim.threshold:
        name = f"excess over {claim.threshold:g}:"
    if low is None:
        return f"{name} {format_number(effect)} from {sample}: an interval needs at least two"
    text = (
        f"{name} {format_number(effect, low, high)}, {format_coverage(row['level'])} interval"
        f" {format_interval(low, high)} over {sample}"
    )
    if row["look"] > 1:
        text += f" (look {row['look']})"
    if row["verdict"] != Verdict.UNDECIDED or row["decidable"] is None:
        return text
    decidable = format_number(row["decidable"], low, high)
    kind = "ratios" if claim.log else "effects"
    return f"{text}; {kind} of {decidable} and more would have been decided"


def too_few(n: int, claim: Claim, level: float) -> str:
    """That no outcome of so many seeds could support a counted claim, to follow another text; empty
    if one could, or if the claim is not counted.
    """
    enough = seeds_needed(n, claim, level)
    if enough == n:
        return ""
    least = f"{enough} are" if enough else f"more than {LOOKS[-1]} are"
    return (
        f"; {plural(n, 'seed')} cannot support this claim, whatever their outcome: {least} needed"
    )


def seeds_needed(n: int, claim: Claim, level: float) -> int | None:
    """The least number of seeds, from `n` on, of which some outcome would support a claim; None if
    the most that is ever planned are too few. Any number does for a claim that is not counted.
    """

    def decides(seeds: int) -> bool:
        ps = outcome_ps_of_counts(seeds, 0, seeds, claim.margin)
        return not claim.counted or ps[Verdict.SUPPORTED] < level

    return next((seeds for seeds in range(n, max(n, LOOKS[-1]) + 1) if decides(seeds)), None)


def too_small(effect: Estimate, claim: Claim) -> str:
    """That so small an effect as the published one could hardly be decided, to follow another text;
    empty if it could, or if none is known.
    """
    level = look_level(look_number(LOOKS[-1], 1))
    least = decidable_with(effect, claim.margin, LOOKS[-1], level)
    if claim.published_effect is None or least is None or claim.published_effect >= least:
        return ""
    return (
        f"; the published effect, about {claim.published_effect:.2g}, is below the {least:.2g} that"
        f" {LOOKS[-1]} seeds could decide"
    )
