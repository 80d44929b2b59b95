"""Outcomes: what the effect of a claim says about the claim, by one test for each outcome."""

import math
from collections.abc import Iterable
from enum import StrEnum
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from experiments.claim import Claim
from report.verdicts.stats import (
    LEVEL,
    Estimate,
    benjamini_hochberg,
    estimate,
    p_above,
    p_below,
    p_share_above,
    p_share_below,
    p_within,
    share,
)


class Verdict(StrEnum):
    """The verdict on a claim at a budget."""

    SUPPORTED = "supported"
    NEGLIGIBLE = "negligible"
    REVERSED = "reversed"
    UNDECIDED = "undecided"
    NOT_TESTABLE = "not testable"
    NOT_RUN = "not run"


# Mark and colour of each verdict. The marks tell the verdicts apart without the colours.
MARKS = {
    Verdict.SUPPORTED: ("✓", "#9cc9e8"),
    Verdict.NEGLIGIBLE: ("≈", "#e8e2cf"),
    Verdict.REVERSED: ("✗", "#f2bd85"),
    Verdict.UNDECIDED: ("?", "#ffffff"),
    Verdict.NOT_TESTABLE: ("–", "#e6e6e6"),
    Verdict.NOT_RUN: ("", "#ffffff"),
}


_ZERO = 1e-9  # a weighted sum of counts closer to zero than this is zero

DECIDED = (Verdict.SUPPORTED, Verdict.NEGLIGIBLE, Verdict.REVERSED)


def outcome_ps(claim: Claim, effect: Estimate, margin: float) -> dict[Verdict, float]:
    """The p of each outcome that a claim can have, for the boundary of that outcome.

    | the effect is | a difference is claimed | none is claimed | "no worse" is claimed |
    |---|---|---|---|
    | beyond the margin as claimed | supported | reversed | supported |
    | within the margin | negligible | supported | supported |
    | beyond it the other way | reversed | reversed | reversed |

    Args:
        claim: the claim.
        effect: its effect; of a ratio, the logarithm.
        margin: the smallest effect that counts, in the unit of the effect.
    """
    above, below = p_above(effect, margin), p_below(effect, -margin)
    if claim.no_worse:
        return {Verdict.SUPPORTED: p_above(effect, -margin), Verdict.REVERSED: below}
    within = p_within(effect, margin)
    if claim.equal:
        return {Verdict.SUPPORTED: within, Verdict.REVERSED: min(above, below)}
    return {Verdict.SUPPORTED: above, Verdict.NEGLIGIBLE: within, Verdict.REVERSED: below}


def outcome_ps_of_counts(
    as_claimed: int, reverse: int, n: int, margin: float
) -> dict[Verdict, float]:
    """The p of each outcome of a claim that is counted in seeds.

    Args:
        as_claimed: number of seeds in which the comparison comes out as claimed.
        reverse: number of seeds in which it comes out the other way.
        n: number of seeds.
        margin: the smallest share of seeds that counts.
    """
    below = [p_share_below(count, n, margin) for count in (as_claimed, reverse)]
    return {
        Verdict.SUPPORTED: p_share_above(as_claimed, n, margin),
        Verdict.NEGLIGIBLE: max(below),
        Verdict.REVERSED: p_share_above(reverse, n, margin),
    }


def beyond_seed_margin(effects: "pd.Series[float]", claim: Claim) -> "pd.Series[float]":
    """1 or −1 for each seed whose effect is beyond the claim's `seed_margin`, and 0 within; the
    effects themselves where the claim has none.
    """
    if claim.seed_margin is None:
        return effects
    return (effects > claim.seed_margin).astype(float) - (effects < -claim.seed_margin)


def count_signs(effects: Iterable[float]) -> tuple[int, int]:
    """Number of seeds in which a counted claim comes out as claimed, and the other way."""
    values = list(effects)
    return sum(x > _ZERO for x in values), sum(x < -_ZERO for x in values)


def margin_of(claim: Claim) -> float:
    """The margin in the unit of the estimate: of a ratio, its logarithm."""
    return math.log1p(claim.margin) if claim.log else claim.margin


def decide(ps: dict[Verdict, float], level: float = LEVEL) -> tuple[Verdict, float]:
    """The outcome whose p is below the level, with its p; undecided, with the smallest p, where
    there is none.
    """
    best = min(ps, key=lambda verdict: ps[verdict])
    return (best if ps[best] < level else Verdict.UNDECIDED), ps[best]


def smallest_decidable(claim: Claim, effect: Estimate) -> float | None:
    """The smallest effect that these values would have called supported, or for a claim of equality
    reversed: half the width of the interval beyond the boundary. None without an interval.
    """
    if effect.low is None or effect.high is None:
        return None
    boundary = -margin_of(claim) if claim.no_worse else margin_of(claim)
    return boundary + (effect.high - effect.low) / 2


def decidable_with(effect: Estimate, margin: float, seeds: int, level: float) -> float | None:
    """The smallest effect beyond the margin that so many seeds would decide at a level, if they
    varied as these values do. None without an interval.
    """
    if effect.low is None:
        return None
    error = effect.error * math.sqrt(effect.n / seeds)
    return margin + float(stats.t.ppf(1 - level / 2, seeds - 1)) * error


def judge_effects(
    claim: Claim, effects: "pd.Series[float]", level: float = LEVEL
) -> tuple[Estimate, dict[str, Any]]:
    """The estimate of a claim's effect, and the verdict on it.

    Args:
        claim: the claim.
        effects: the effect of each seed or block, [n], at least one; of a ratio, the logarithm.
        level: level of the tests.

    Returns:
        The estimate, and the columns that `judge_estimate` returns.
    """
    if not claim.counted:
        result = estimate(list(effects), level)
        return result, judge_estimate(claim, result, level)
    as_claimed, reverse = count_signs(effects)
    n = len(effects)
    result = share(as_claimed, n, level)
    return result, _columns(
        claim, result, outcome_ps_of_counts(as_claimed, reverse, n, claim.margin), level
    )


def judge_estimate(claim: Claim, effect: Estimate, level: float = LEVEL) -> dict[str, Any]:
    """The verdict on the estimated effect of a claim that is not counted in seeds.

    Returns:
        Columns of the table of claims: effect, low, high, n, p, verdict, and decidable, the
        smallest effect that would have been decided. A ratio is a ratio again, not its logarithm.
    """
    return _columns(claim, effect, outcome_ps(claim, effect, margin_of(claim)), level)


def _columns(
    claim: Claim, effect: Estimate, ps: dict[Verdict, float], level: float
) -> dict[str, Any]:
    verdict, p = decide(ps, level)
    decidable = None if claim.counted else smallest_decidable(claim, effect)
    return {
        "effect": unlogged(effect.mean, claim),
        "low": unlogged(effect.low, claim),
        "high": unlogged(effect.high, claim),
        "n": effect.n,
        "p": None if effect.low is None else p,
        "verdict": verdict,
        "decidable": unlogged(decidable, claim) if verdict == Verdict.UNDECIDED else None,
    }


def unlogged(value: float | None, claim: Claim) -> float | None:
    """A value as the claim shows it: a ratio where the effect is the logarithm of a ratio."""
    if value is None or not claim.log:
        return value
    with np.errstate(over="ignore"):  # an interval may end at infinity
        return float(np.exp(value))


def mark_fragile(rows: list[dict[str, Any]]) -> None:
    """Add to the claims of one budget p as corrected over all of them, and whether a decided claim
    is fragile: its corrected p is not below the level of the first look.

    At a later look less is left of the level, so its p counts for as much more.
    """
    corrected = benjamini_hochberg([_p_at_first_look(row) for row in rows])
    for row, p in zip(rows, corrected, strict=True):
        row["p_corrected"] = p
        row["fragile"] = row["verdict"] in DECIDED and p is not None and p >= LEVEL


def _p_at_first_look(row: dict[str, Any]) -> float | None:
    p = row.get("p")
    return None if p is None else min(1.0, p * LEVEL / row["level"])
