"""Statistics against cases worked out by hand."""

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from report.verdicts.stats import (
    Estimate,
    equivalence_p,
    estimate,
    holm,
    no_worse_p,
    seeds_needed,
    sign_flip_p,
    t_test_p,
)

# Mean 3, standard deviation sqrt(2.5), standard error sqrt(0.5); t(0.975, 4) = 2.776445
FIVE = [1.0, 2.0, 3.0, 4.0, 5.0]


def test_estimate_equals_a_computation_by_hand():
    result = estimate(FIVE)
    half = 2.776445105 * math.sqrt(0.5)
    assert (result.mean, result.n) == (3.0, 5)
    assert (result.low, result.high) == pytest.approx((3 - half, 3 + half))


def test_one_value_has_no_interval_and_equal_values_have_an_interval_of_width_zero():
    assert estimate([2.0]) == Estimate(2.0, None, None, 1)
    assert estimate([2.0, 2.0]) == Estimate(2.0, 2.0, 2.0, 2)
    with pytest.raises(ValueError, match="no values"):
        estimate([])


def test_the_interval_covers_the_true_mean_95_times_in_100():
    draws = np.random.default_rng(0).normal(1.0, 2.0, size=(2000, 5))
    covered = [result.low < 1.0 < result.high for result in map(estimate, draws)]
    assert 0.94 < np.mean(covered) < 0.96


def test_t_test_equals_a_computation_by_hand():
    # t = 3 / sqrt(0.5) = 4.242641, two-sided over 4 degrees of freedom
    assert t_test_p(FIVE) == pytest.approx(2 * scipy_stats.t.sf(3 / math.sqrt(0.5), 4))
    assert t_test_p([1.0]) is None
    assert t_test_p([0.0, 0.0]) == 1.0
    assert t_test_p([1.0, 1.0]) == 0.0


def test_sign_flip_test_equals_a_count_by_hand():
    assert sign_flip_p(FIVE) == pytest.approx(
        2 / 2**5
    )  # all of one sign: only the values themselves and their negatives
    # sums of ±1 ±2 ±3: the observed 1 - 2 + 3 = 2; 6 of 8 sums are 2 or more, or -2 or less
    assert sign_flip_p([1.0, -2.0, 3.0]) == pytest.approx(6 / 8)
    assert sign_flip_p([1.0]) is None


def test_equivalence_test_equals_a_computation_by_hand():
    values = [-0.1, 0.0, 0.1]  # standard error 0.1 / sqrt(3); t = 0.5 / that on either side
    expected = scipy_stats.t.sf(0.5 / (0.1 / math.sqrt(3)), 2)
    assert equivalence_p(values, 0.5) == pytest.approx(expected)
    assert equivalence_p([0.9, 1.0, 1.1], 0.5) > 0.95
    assert equivalence_p([0.1, 0.1], 0.2) == 0.0
    assert equivalence_p([0.3, 0.3], 0.2) == 1.0
    assert equivalence_p([0.3], 0.2) is None


def test_no_worse_test_equals_a_computation_by_hand():
    values = [-0.1, 0.0, 0.1]  # as for equivalence, on one side
    expected = scipy_stats.t.sf(0.5 / (0.1 / math.sqrt(3)), 2)
    assert no_worse_p(values, 0.5) == pytest.approx(expected)
    assert no_worse_p([9.9, 10.0, 10.1], 0.5) < 1e-4
    assert no_worse_p([-0.9, -1.0, -1.1], 0.5) > 0.95
    assert no_worse_p([5.0, 5.0], 0.2) == 0.0
    assert no_worse_p([-0.3, -0.3], 0.2) == 1.0
    assert no_worse_p([0.3], 0.2) is None


def test_holm_equals_a_computation_by_hand():
    # sorted 0.01·3, 0.03·2, 0.04·1, made monotone; None stays None and is not counted
    assert holm([0.04, None, 0.01, 0.03]) == pytest.approx([0.06, None, 0.03, 0.06])
    assert holm([None]) == [None]


def test_seeds_needed_reaches_the_power_it_promises():
    values = [0.5, 1.5]  # standard deviation 0.7071
    n = seeds_needed(values, distance=0.7071)
    draws = np.random.default_rng(0).normal(1.0, 1.0, size=(4000, n))
    power = np.mean(scipy_stats.ttest_1samp(draws, 0.0, axis=1).pvalue < 0.05)
    assert n == 10
    assert 0.78 < power < 0.84


def test_seeds_needed_is_none_for_one_value_and_for_a_distance_near_zero():
    assert seeds_needed([1.0], 0.5) is None
    assert seeds_needed([1.0, 2.0], 0.0) is None
    assert seeds_needed([1.0, 2.0], 1e-6) is None
    assert seeds_needed([1.0, 1.0], 0.5) == 2
