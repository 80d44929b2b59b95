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

LEVEL = 0.05  # of every test, and of what an interval leaves out
_MOST = 1000  # seeds, beyond which nobody would run them

Values = Sequence[float] | npt.NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A mean with its interval. The ends are None where n is below two."""

    mean: float
    low: float | None
    high: float | None
    n: int


def estimate(values: Values) -> Estimate:
    """Mean with Student's 95 % interval (Student 1908); equal values have one of no width.

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


def scaled(found: Estimate, factor: float) -> Estimate:
    """The same in another unit."""
    low, high = (None if end is None else end * factor for end in (found.low, found.high))
    return Estimate(found.mean * factor, low, high, found.n)


def t_test_p(values: Values) -> float | None:
    """Two-sided p of a mean of zero, Student's t (Student 1908). None below two values."""
    if len(values) < 2:
        return None
    if _constant(values):
        return 1.0 if values[0] == 0 else 0.0
    return float(stats.ttest_1samp(values, 0.0).pvalue)


def sign_flip_p(values: Values) -> float | None:
    """Two-sided p of the exact sign-flip test (Fisher 1935): all 2^n signs. None below two
    values or above 16.

    It cannot go below 2 / 2^n.
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
    """p of two one-sided t-tests that the mean lies beyond ±margin (Schuirmann 1987). None
    below two values.
    """
    if len(values) < 2:
        return None
    if _constant(values):
        return 0.0 if abs(values[0]) < margin else 1.0
    return float(DescrStatsW(np.asarray(values, dtype=float)).ttost_mean(-margin, margin)[0])


def no_worse_p(values: Values, margin: float) -> float | None:
    """p of a one-sided t-test that the mean lies below -margin: one of Schuirmann's two (1987), as
    non-inferiority is tested. None below two values.
    """
    if len(values) < 2:
        return None
    if _constant(values):
        return 0.0 if values[0] > -margin else 1.0
    return float(stats.ttest_1samp(values, -margin, alternative="greater").pvalue)


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """The correction of Holm (1979) over the p-values that there are; None stays None."""
    there = [p for p in ps if p is not None]
    if not there:
        return list(ps)
    corrected = iter(multipletests(there, method="holm")[1])
    return [None if p is None else float(next(corrected)) for p in ps]


def seeds_needed(values: Values, distance: float) -> int | None:
    """Paired seeds for 80 % power to tell the mean from a bound that lies `distance` away.

    Of Student's test (1908), two-sided at LEVEL, with the standard deviation seen. `distance` is in
    the values' unit. None where that cannot be said: fewer than two values, no distance, or more
    than a thousand seeds.
    """
    if len(values) < 2 or distance <= 0:
        return None
    if _constant(values):
        return 2
    size = distance / float(np.std(values, ddof=1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns where it falls back to a slower solver
        n = TTestPower().solve_power(effect_size=size, alpha=LEVEL, power=0.8)
    exact = float(np.asarray(n).item())  # NaN where the solver finds none, for a tiny distance
    return max(2, math.ceil(exact)) if exact <= _MOST else None


def _constant(values: Values) -> bool:
    return float(np.ptp(values)) == 0.0
