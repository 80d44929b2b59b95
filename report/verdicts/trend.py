"""Trends: how the effect of a claim changes with the training budget."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import pandas as pd

from experiments.claim import Claim
from report.verdicts.outcomes import Verdict, margin_of, unlogged
from report.verdicts.stats import Estimate, estimate

_WITHOUT = (Verdict.NOT_TESTABLE, Verdict.NOT_RUN)


class Direction(StrEnum):
    """How an effect changes with the budget."""

    STABLE = "stable"
    GROWING = "growing"
    SHRINKING = "shrinking"
    RISING = "rising"
    FALLING = "falling"
    REVERSING = "reversing"
    UNCLEAR = "unclear"


# Directions in which an effect still changes at the deepest budget.
CHANGING = tuple(set(Direction) - {Direction.STABLE, Direction.UNCLEAR})


@dataclass(frozen=True)
class Trend:
    """The change of an effect with each doubling of the budget, with its interval over seeds."""

    direction: Direction
    change: Estimate


def effect_trend(effects: Mapping[int, pd.Series], margin: float) -> Trend | None:
    """The trend of an effect; None without a seed at two budgets or more.

    The change of a seed is the slope of its effect over the binary logarithm of the budget, by
    least squares, so the budgets are compared within each seed. With its interval over seeds:

    - stable: from the first to the last budget, the effect changes by less than the margin
    - reversing: it changes, and is beyond zero on both sides, at the first and the last budget
    - growing: it changes away from zero, and is beyond zero at the last budget
    - shrinking: it changes towards zero, and is beyond zero at the first budget
    - rising, falling: it changes otherwise, to larger numbers or to smaller ones
    - unclear: none of these

    Args:
        effects: the effect of each seed, [seeds], by budget.
        margin: the smallest effect that counts, in the unit of the effects.
    """
    budgets = sorted(effects)
    paired = pd.DataFrame({budget: effects[budget] for budget in budgets}).dropna()
    if len(budgets) < 2 or paired.empty:
        return None
    doublings = np.log2(np.array(budgets, dtype=float))
    slopes = np.polyfit(doublings, paired.to_numpy(dtype=float).T, 1)[0]
    change = estimate(slopes)
    ends = estimate(paired[budgets[0]].to_numpy()), estimate(paired[budgets[-1]].to_numpy())
    return Trend(_direction(change, ends, margin, float(doublings[-1] - doublings[0])), change)


def trend_columns(effects: Mapping[int, pd.Series], claim: Claim) -> dict[str, Any]:
    """The trend of a claim's effect as columns of the table of claims: trend, change, change_low
    and change_high. Empty where there is no trend, and for a claim that is counted in seeds.

    Args:
        effects: the effect of each seed, [seeds], by budget; of a ratio, the logarithm.
        claim: the claim.
    """
    trend = None if claim.counted else effect_trend(effects, margin_of(claim))
    if trend is None:
        return {}
    return {
        "trend": trend.direction,
        "change": unlogged(trend.change.mean, claim),
        "change_low": unlogged(trend.change.low, claim),
        "change_high": unlogged(trend.change.high, claim),
    }


def changing_claims(claims: pd.DataFrame, budget: int) -> list[str]:
    """The ids of claims that are testable at a budget and whose effect still changes there.

    Args:
        claims: the table "claims".
        budget: the deepest budget of the study.
    """
    rows = claims[(claims["budget"] == budget) & claims["trend"].isin(CHANGING)]
    return list(rows[rows["effect"].notna() & ~rows["verdict"].isin(_WITHOUT)]["claim"])


def _direction(
    change: Estimate, ends: tuple[Estimate, Estimate], margin: float, doublings: float
) -> Direction:
    if change.low is None or change.high is None:
        return Direction.UNCLEAR
    if max(abs(change.low), abs(change.high)) * doublings < margin:
        return Direction.STABLE
    if change.low <= 0 <= change.high:
        return Direction.UNCLEAR
    first, last = (_sign(end) for end in ends)
    if first * last < 0:
        return Direction.REVERSING
    grows = abs(ends[1].mean) > abs(ends[0].mean)
    if grows and last:
        return Direction.GROWING
    if not grows and first:
        return Direction.SHRINKING
    return Direction.RISING if change.mean > 0 else Direction.FALLING


def _sign(effect: Estimate) -> int:
    """1 or -1 for an effect whose interval lies on one side of zero, else 0."""
    if effect.low is None or effect.high is None or effect.low <= 0 <= effect.high:
        return 0
    return int(math.copysign(1, effect.mean))
