"""Outcomes: one word for where an effect lies, by the kind of claim."""

import dataclasses
import math

import planted
import pytest
from scipy.stats import t

from report.verdicts.outcomes import (
    Verdict,
    decide,
    outcome_ps,
    outcome_ps_of_counts,
    smallest_decidable,
)
from report.verdicts.stats import Estimate, estimate, p_above

MORE = dataclasses.replace(planted.ABLATION.claims[0], effect={"a": 1})
EQUAL, NO_WORSE = dataclasses.replace(MORE, equal=True), dataclasses.replace(MORE, no_worse=True)
NOISE = [0.01, -0.01, 0.02, -0.02, 0.0]
MARGIN = 0.1


def outcome(claim: object, mean: float, noise: float = 1.0) -> str:
    """The outcome of a claim whose effect has a mean, with noise between the seeds."""
    effect = estimate([mean + noise * each for each in NOISE])
    return decide(outcome_ps(claim, effect, MARGIN))[0]


@pytest.mark.parametrize(
    ("mean", "more", "equal", "no_worse"),
    [
        (0.5, "supported", "reversed", "supported"),
        (0.04, "negligible", "supported", "supported"),
        (0.0, "negligible", "supported", "supported"),
        (-0.04, "negligible", "supported", "supported"),
        (-0.5, "reversed", "reversed", "reversed"),
        (0.1, "undecided", "undecided", "supported"),
        (-0.1, "undecided", "undecided", "undecided"),
    ],
)
def test_the_outcome_is_where_the_effect_lies(mean: float, more: str, equal: str, no_worse: str):
    assert [outcome(claim, mean) for claim in (MORE, EQUAL, NO_WORSE)] == [more, equal, no_worse]


@pytest.mark.parametrize("claim", [MORE, EQUAL])
def test_a_positive_effect_that_is_too_small_is_not_reversed(claim: object):
    assert outcome(claim, 0.04, noise=0.5) != Verdict.REVERSED


@pytest.mark.parametrize("mean", [-0.5, -0.1, 0.0, 0.1, 0.5])
def test_a_noisy_effect_is_undecided(mean: float):
    for claim in (MORE, EQUAL, NO_WORSE):
        assert outcome(claim, mean, noise=100) == Verdict.UNDECIDED


def test_the_p_is_that_of_the_outcomes_own_boundary():
    """The standard deviation of the noise is sqrt(0.00025), over five seeds."""
    effect = estimate([0.11 + each for each in NOISE])
    verdict, p = decide(outcome_ps(MORE, effect, MARGIN))
    assert verdict == Verdict.UNDECIDED  # beyond zero, and not beyond the margin
    assert p == pytest.approx(2 * t.sf(0.01 / math.sqrt(0.00025 / 5), 4))
    assert p_above(effect, 0.0) < 0.001


@pytest.mark.parametrize(
    ("as_claimed", "reverse", "n", "verdict"),
    [
        (3, 0, 3, "supported"),  # the exact interval begins at 0.29
        (2, 0, 2, "undecided"),  # at 0.16
        (4, 1, 5, "supported"),
        (3, 0, 5, "undecided"),
        (0, 5, 5, "reversed"),
        (0, 0, 5, "undecided"),
        (0, 0, 12, "undecided"),
        (0, 0, 13, "negligible"),  # below 0.25 either way
        (0, 3, 13, "undecided"),
    ],
)
def test_counts_of_seeds_are_decided_by_their_exact_interval(
    as_claimed: int, reverse: int, n: int, verdict: str
):
    assert decide(outcome_ps_of_counts(as_claimed, reverse, n, 0.25))[0] == verdict


def test_the_smallest_decidable_effect_is_decided_and_a_smaller_one_is_not():
    effect = estimate(NOISE)
    least = smallest_decidable(dataclasses.replace(MORE, margin=MARGIN), effect)
    for mean, verdict in ((least + 0.001, "supported"), (least - 0.001, "undecided")):
        assert outcome(MORE, mean) == verdict
    assert smallest_decidable(MORE, Estimate(0.5, None, None, 1)) is None


def test_the_smallest_effect_that_decides_no_worse_is_above_the_lower_end_of_the_margin():
    effect = estimate(NOISE)
    least = smallest_decidable(dataclasses.replace(NO_WORSE, margin=MARGIN), effect)
    assert least == pytest.approx((effect.high - effect.low) / 2 - MARGIN)
    for mean, verdict in ((least + 0.001, "supported"), (least - 0.001, "undecided")):
        assert outcome(NO_WORSE, mean) == verdict
