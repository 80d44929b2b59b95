"""Trends of effects over budgets, with slopes computed by hand."""

from collections.abc import Sequence

import pandas as pd
import pytest

from report.verdicts.trend import Direction, Trend, changing_claims, effect_trend

MARGIN = 0.1


def trend(effects: dict[int, Sequence[float]], margin: float = MARGIN) -> Trend | None:
    """The trend of effects whose places are the seeds."""
    by_seed = {budget: pd.Series(list(values)) for budget, values in effects.items()}
    return effect_trend(by_seed, margin)


def test_the_change_over_two_budgets_is_the_difference_per_doubling_of_each_seed():
    found = trend({1: [0.1, 0.2, 0.3], 4: [0.5, 0.6, 0.9]})  # slopes 0.2, 0.2 and 0.3
    assert found.change.mean == pytest.approx(0.7 / 3)
    # Standard deviation 0.1 / sqrt(3), standard error 0.1 / 3, t = 4.303.
    assert found.change.low == pytest.approx(0.7 / 3 - 4.302653 * 0.1 / 3, rel=1e-5)
    assert found.change.high == pytest.approx(0.7 / 3 + 4.302653 * 0.1 / 3, rel=1e-5)
    assert found.change.n == 3


def test_the_change_over_three_budgets_is_the_slope_of_least_squares():
    """At 0, 1 and 4 doublings, the slope of effects a, b and c is (-5 a - 2 b + 7 c) / 26."""
    found = trend({1: [0.0, 0.1], 2: [0.26, 0.1], 16: [0.52, 0.36]})
    # A line through the ends alone would have the slopes 0.13 and 0.065.
    slopes = [(7 * 0.52 - 2 * 0.26) / 26, (-5 * 0.1 - 2 * 0.1 + 7 * 0.36) / 26]
    assert slopes == pytest.approx([0.12, 0.07])
    assert found.change.mean == pytest.approx(0.095)


def test_budgets_are_ordered_by_size_and_not_as_they_are_given():
    forwards = trend({1: [0.1, 0.1], 4: [0.5, 0.52], 16: [0.9, 0.91]})
    assert trend({16: [0.9, 0.91], 1: [0.1, 0.1], 4: [0.5, 0.52]}) == forwards
    assert forwards.direction == Direction.GROWING


def test_budgets_are_compared_within_each_seed():
    """Seeds differ by far more than the budgets, so that unpaired means would show nothing."""
    found = trend({1: [0.1, 5.1, -4.9, 2.1], 4: [0.5, 5.52, -4.52, 2.5]})
    assert found.change.mean == pytest.approx(0.2)
    assert found.change.high - found.change.low < 0.05


def test_seeds_are_matched_by_their_number_and_need_all_budgets():
    first = pd.Series([0.1, 1.1, 2.1, 9.0], index=[0, 1, 2, 3])
    last = pd.Series([2.5, 1.5, 0.5, 0.0], index=[2, 1, 0, 4])
    found = effect_trend({1: first, 4: last}, MARGIN)
    assert found.change.n == 3
    assert (found.change.low, found.change.high) == pytest.approx((0.2, 0.2))


@pytest.mark.parametrize("effects", [{}, {4: [0.1, 0.2]}])
def test_one_budget_gives_no_trend(effects):
    assert trend(effects) is None


def test_budgets_without_a_common_seed_give_no_trend():
    assert effect_trend({1: pd.Series([0.1]), 4: pd.Series([0.2], index=[1])}, MARGIN) is None


NOISE = (0.01, 0.0, -0.01)


def about(mean: float) -> list[float]:
    return [mean + noise for noise in NOISE]


def apart(mean: float) -> list[float]:
    """Effects of three seeds that are beyond zero on no side."""
    return [mean - 1, mean, mean + 1]


@pytest.mark.parametrize(
    ("first", "last", "direction"),
    [
        (about(0.5), about(0.52)[::-1], Direction.STABLE),
        (about(-0.02), about(0.02)[::-1], Direction.STABLE),  # within the margin, whatever sign
        (about(0.2), about(0.6)[::-1], Direction.GROWING),
        (about(-0.2), about(-0.6)[::-1], Direction.GROWING),
        (about(0.0), about(-0.6)[::-1], Direction.GROWING),
        (about(0.6), about(0.2)[::-1], Direction.SHRINKING),
        (about(-0.6), about(-0.2)[::-1], Direction.SHRINKING),
        (about(-0.3), about(0.3)[::-1], Direction.REVERSING),
        (about(0.2), about(-0.6)[::-1], Direction.REVERSING),
        (apart(-0.1), apart(0.3), Direction.RISING),  # it changes, and has no sign at either end
        (apart(-0.3), apart(0.1), Direction.RISING),
        (apart(0.3), apart(-0.1), Direction.FALLING),
        (about(-0.3), apart(0.3), Direction.UNCLEAR),  # only the mean has changed its sign
        ([0.0, 0.5, 1.0], [1.0, 0.5, 0.0], Direction.UNCLEAR),
        ([0.3], [0.9], Direction.UNCLEAR),  # one seed has no interval
    ],
)
def test_directions(first, last, direction: Direction):
    assert trend({1: first, 4: last}).direction == direction


def test_a_small_change_that_is_certain_is_stable_until_it_adds_up_to_the_margin():
    """0.024 for each doubling: 0.048 over two doublings, and 0.12 over five."""
    assert trend({1: about(0.5), 4: about(0.548)}).direction == Direction.STABLE
    assert trend({1: about(0.5), 32: about(0.62)}).direction == Direction.GROWING
    assert trend({1: about(0.5), 32: about(0.62)}, margin=0.13).direction == Direction.STABLE


def test_a_change_that_may_be_beyond_the_margin_is_not_stable():
    """The mean does not change at all."""
    assert trend({1: about(0.5), 4: [0.7, 0.5, 0.3]}).direction == Direction.UNCLEAR


def test_claims_that_still_change_at_the_deepest_budget():
    rows = [
        ("grows", 4, "growing", "supported", 0.5),
        ("shrinks", 4, "shrinking", "undecided", 0.5),
        ("turns", 4, "reversing", "negligible", 0.5),
        ("stays", 4, "stable", "supported", 0.5),
        ("unclear", 4, "unclear", "undecided", 0.5),
        ("untestable", 4, "growing", "not testable", 0.5),
        ("earlier", 1, "growing", "supported", 0.5),
        ("trendless", 4, None, "supported", 0.5),
    ]
    claims = pd.DataFrame(rows, columns=["claim", "budget", "trend", "verdict", "effect"])
    assert changing_claims(claims, 4) == ["grows", "shrinks", "turns"]
