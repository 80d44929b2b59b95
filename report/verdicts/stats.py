"""Statistics over paired seeds: pure functions on arrays of one value per seed, [n]."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower
from statsmodels.stats.weightstats import DescrStatsW

LEVEL = 0.05  # of every test; an interval covers 1 - LEVEL
_MOST = 1000  # seeds; more are not feasible

Values = Sequence[float] | npt.NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95 % interval. `low` and `high` are None if n is below two."""

    mean: float
    low: float | None
    high: float | None
    n: int


def estimate(values: Values) -> Estimate:
    """Mean with Student's 95 % interval (Student 1908). Equal values have an interval of width 0.

    Raises:
        ValueError: there are no values.
    """
    n = len(values)
    if n == 0:
        raise ValueError("no values to estimate from")
    mean = float(np.mean(values))
    if n == 1:
        return Estimate(mean, None, None, n)
    if _constant(values):
        return Estimate(mean, mean, mean, n)
    low, high = stats.ttest_1samp(values, 0.0).confidence_interval(1 - LEVEL)
    return Estimate(mean, float(low), float(high), n)


def scaled(estimate: Estimate, factor: float) -> Estimate:
    """The estimate in another unit: mean and interval times `factor`."""
    low, high = (None if x is None else x * factor for x in (estimate.low, estimate.high))
    return Estimate(estimate.mean * factor, low, high, estimate.n)


def t_test_p(values: Values) -> float | None:
    """Two-sided p-value of Student's t-test that the mean is zero (Student 1908).

    None for fewer than two values.
    """
    if len(values) < 2:
        return None
    if _constant(values):
        return 1.0 if values[0] == 0 else 0.0
    return float(stats.ttest_1samp(values, 0.0).pvalue)


def sign_flip_p(values: Values) -> float | None:
    """Two-sided p-value of the exact sign-flip test over all 2^n signs (Fisher 1935).

    The smallest possible value is 2 / 2^n. None for fewer than two values or more than 16.
    """
    if not 2 <= len(values) <= 16:
        return None
    result = stats.permutation_test(
        (np.asarray(values, dtype=float),),
        lambda sample, axis: np.mean(sample, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=2 ** len(values),
    )
    return float(result.pvalue)


def equivalence_p(values: Values, margin: float) -> float | None:
    """p-value of two one-sided t-tests that the mean lies beyond ±margin (Schuirmann 1987).

    None for fewer than two values.
    """
    if len(values) < 2:
        return None
    if _constant(values):
        return 0.0 if abs(values[0]) < margin else 1.0
    return float(DescrStatsW(np.asarray(values, dtype=float)).ttost_mean(-margin, margin)[0])


def no_worse_p(values: Values, margin: float) -> float | None:
    """p-value of a one-sided t-test that the mean lies below -margin, a test of non-inferiority
    (Schuirmann 1987). None for fewer than two values.
    """
    if len(values) < 2:
        return None
    if _constant(values):
        return 0.0 if values[0] > -margin else 1.0
    return float(stats.ttest_1samp(values, -margin, alternative="greater").pvalue)


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """p-values corrected by Holm's method (1979). None is not counted, and stays None."""
    known = [p for p in ps if p is not None]
    if not known:
        return list(ps)
    corrected = iter(multipletests(known, method="holm")[1])
    return [None if p is None else float(next(corrected)) for p in ps]


def seeds_needed(values: Values, distance: float) -> int | None:
    """Number of paired seeds that gives Student's t-test a power of 80 % (Student 1908).

    The test is two-sided at LEVEL, for a mean that lies `distance` from the bound, in the unit of
    the values, with the standard deviation of the values. None for fewer than two values, for a
    distance of 0 or less, and where more than a thousand seeds are needed.
    """
    if len(values) < 2 or distance <= 0:
        return None
    if _constant(values):
        return 2
    size = distance / float(np.std(values, ddof=1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warns when it falls back to a slower solver
        n = TTestPower().solve_power(effect_size=size, alpha=LEVEL, power=0.8)
    exact = float(np.asarray(n).item())  # NaN for a tiny distance, where the solver fails
    return max(2, math.ceil(exact)) if exact <= _MOST else None


def _constant(values: Values) -> bool:
    return float(np.ptp(values)) == 0.0
