"""Outcomes: what the effect of a claim says about the claim, by one test for each outcome."""

import math
from collections.abc import Iterable
from enum import StrEnum

from scipy import stats

from experiments.ablation import Claim
from report.verdicts.stats import (
    LEVEL,
    Estimate,
    p_above,
    p_below,
    p_share_above,
    p_share_below,
    p_within,
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
