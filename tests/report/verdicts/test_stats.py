"""Statistics against cases worked out by hand."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from report.verdicts.stats import (
    LEVEL,
    Estimate,
    benjamini_hochberg,
    estimate,
    mean_intervals,
    p_above,
    p_below,
    p_share_above,
    p_share_below,
    p_within,
    scaled,
    share,
    shifted,
    slope,
)

# Mean 3, standard deviation sqrt(2.5), standard error sqrt(0.5); t(0.975, 4) = 2.776445
FIVE = [1.0, 2.0, 3.0, 4.0, 5.0]


def test_estimate_equals_a_computation_by_hand():
    result = estimate(FIVE)
    half = 2.776445105 * math.sqrt(0.5)
    assert (result.mean, result.n, result.freedom) == (3.0, 5, 4)
    assert result.error == pytest.approx(math.sqrt(0.5))
    assert (result.low, result.high) == pytest.approx((3 - half, 3 + half))


def test_intervals_of_groups_equal_those_of_single_estimates():
    groups = {"five": [*FIVE, math.nan], "two": [0.1, 0.7], "equal": [0.1] * 3, "one": [4.0]}
    rows = pd.DataFrame([(name, x) for name, xs in groups.items() for x in xs], columns=["g", "x"])
    intervals = mean_intervals(rows.groupby("g")["x"])
    for name, values in groups.items():
        single = estimate([x for x in values if not math.isnan(x)])
        ends = [math.nan if end is None else end for end in (single.low, single.high)]
        assert list(intervals.loc[name]) == pytest.approx(ends, nan_ok=True)


def test_one_value_has_no_interval_and_equal_values_have_an_interval_of_width_zero():
    assert estimate([2.0]) == Estimate(2.0, None, None, 1)
    assert estimate([2.0, 2.0]) == Estimate(2.0, 2.0, 2.0, 2, 0.0, 1)
    with pytest.raises(ValueError, match="no values"):
        estimate([])


def test_the_interval_covers_the_true_mean_95_times_in_100():
    draws = np.random.default_rng(0).normal(1.0, 2.0, size=(2000, 5))
    covered = [result.low < 1.0 < result.high for result in map(estimate, draws)]
    assert 0.94 < np.mean(covered) < 0.96


def test_slope_equals_a_computation_by_hand():
    # Residuals of the best line 2 x + 1/3 are -1/3, 2/3, -1/3: variance 2/3 over 1 degree, and the
    # sum of squares of x is 2. t(0.975, 1) = 12.706
    result = slope([0.0, 1.0, 2.0], [0.0, 3.0, 4.0])
    half = 12.7062047 * math.sqrt((2 / 3) / 2)
    assert (result.n, result.freedom) == (3, 1)
    assert (result.mean, result.low, result.high) == pytest.approx((2.0, 2 - half, 2 + half))
    two_points = slope([0.0, 1.0], [0.0, 3.0])
    assert two_points.mean == pytest.approx(3.0)
    assert (two_points.low, two_points.high) == (None, None)


def test_share_has_the_exact_interval_of_a_binomial():
    # All of n: the lower end solves x^n = 0.025.
    for n in (3, 5, 8):
        result = share(n, n)
        assert (result.mean, result.high, result.n) == (1.0, 1.0, n)
        assert result.low == pytest.approx(0.025 ** (1 / n))
        none = share(0, n)
        assert (none.mean, none.low) == (0.0, 0.0)
        assert none.high == pytest.approx(1 - 0.025 ** (1 / n))


def test_an_estimate_in_another_unit_has_the_same_p():
    result = estimate(FIVE)
    assert p_above(scaled(result, 10.0), 20.0) == pytest.approx(p_above(result, 2.0))
    assert p_above(shifted(result, 7.0), 9.0) == pytest.approx(p_above(result, 2.0))
    assert (shifted(result, 7.0).low, scaled(result, 10.0).high) == pytest.approx(
        (result.low + 7, result.high * 10)
    )


def test_p_of_a_bound_equals_a_computation_by_hand():
    # t = (3 - 1) / sqrt(0.5), one-sided over 4 degrees of freedom, doubled
    expected = 2 * scipy_stats.t.sf(2 / math.sqrt(0.5), 4)
    assert p_above(estimate(FIVE), 1.0) == pytest.approx(expected)
    assert p_below(estimate(FIVE), 5.0) == pytest.approx(expected)
    assert p_above(estimate(FIVE), 5.0) == 1.0  # doubled, and no more than one
    assert p_within(estimate([x - 3 for x in FIVE]), 2.0) == pytest.approx(expected)
    assert p_within(estimate([x - 2 for x in FIVE]), 2.0) == pytest.approx(
        2 * scipy_stats.t.sf(1 / math.sqrt(0.5), 4)  # the larger of the two
    )


def test_one_value_is_no_evidence_and_equal_values_lie_on_one_side_of_a_bound():
    for p in (p_above, p_below, p_within):
        assert p(estimate([9.0]), 1.0) == 1.0
    equal = estimate([0.3, 0.3])
    assert (p_above(equal, 0.2), p_above(equal, 0.3), p_above(equal, 0.4)) == (0.0, 1.0, 1.0)
    assert (p_below(equal, 0.2), p_below(equal, 0.3), p_below(equal, 0.4)) == (1.0, 1.0, 0.0)
    assert (p_within(equal, 0.2), p_within(equal, 0.4)) == (1.0, 0.0)


@given(
    st.lists(st.integers(-50, 50), min_size=2, max_size=9).map(lambda xs: [x / 10 for x in xs]),
    st.integers(-50, 50).map(lambda x: x / 10),
)
def test_p_is_below_the_level_exactly_where_the_interval_lies_on_one_side(
    values: list[float], bound: float
):
    result = estimate(values)
    assert (p_above(result, bound) < LEVEL) == (result.low > bound)
    assert (p_below(result, bound) < LEVEL) == (result.high < bound)
    margin = abs(bound)
    within = -margin < result.low and result.high < margin
    assert (p_within(result, margin) < LEVEL) == within


@given(st.integers(1, 20).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_p_of_a_share_is_below_the_level_exactly_where_the_exact_interval_decides(
    counts: tuple[int, int],
):
    result = share(*counts)
    assert (p_share_above(*counts, 0.25) < LEVEL) == (result.low > 0.25)
    assert (p_share_below(*counts, 0.25) < LEVEL) == (result.high < 0.25)


def test_p_of_a_share_equals_a_computation_by_hand():
    assert p_share_above(3, 3, 0.25) == pytest.approx(2 * 0.25**3)
    assert p_share_above(0, 3, 0.25) == 1.0
    assert p_share_below(0, 12, 0.25) == pytest.approx(2 * 0.75**12)


def test_benjamini_hochberg_equals_a_computation_by_hand():
    # sorted: 0.01 · 3 / 1, 0.03 · 3 / 2, 0.04 · 3 / 3, made monotone from the largest down. None
    # stays None and is not counted.
    corrected = benjamini_hochberg([0.04, None, 0.01, 0.03])
    assert corrected == pytest.approx([0.04, None, 0.03, 0.04])
    assert benjamini_hochberg([None]) == [None]


def test_of_the_decisions_that_survive_the_correction_few_are_wrong():
    """Ten true effects among forty: five per cent of what survives is false, on average."""
    rng = np.random.default_rng(0)
    false_shares = []
    for _ in range(300):
        shifts = np.array([3.0] * 10 + [0.0] * 30)
        ps = [p_above(estimate(rng.normal(shift, 1.0, 6)), 0.0) for shift in shifts]
        survive = np.array(benjamini_hochberg(ps)) < LEVEL
        false_shares.append((survive & (shifts == 0)).sum() / max(1, survive.sum()))
    assert np.mean(false_shares) < LEVEL
