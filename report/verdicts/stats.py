"""Statistics: estimates with 95 % intervals, tests against a bound, and corrections for many tests.

An effect over seeds is an array of one value per seed, [n].
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api.typing import SeriesGroupBy
from scipy import stats

LEVEL = 0.05  # of every test at the first look; an interval covers 1 - LEVEL

Values = Sequence[float] | npt.NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A mean with its interval, of 95 % unless another level was asked for.

    low, high: ends of the interval; None if n is below two.
    n: number of values.
    error: standard error of the mean; 0 where all values are equal.
    freedom: degrees of freedom of Student's distribution, whole unless samples are not paired.
    """

    mean: float
    low: float | None
    high: float | None
    n: int
    error: float = 0.0
    freedom: float = 0


def look_level(look: int) -> float:
    """Level of the tests at a look at the data, from 1 on: half of that at the look before.

    The levels of all looks add up to less than twice `LEVEL`. Half of a level lies on each side of
    an interval, so all looks together take an effect at a boundary for one beyond it in less than
    `LEVEL` of all studies.
    """
    return float(LEVEL / 2 ** (look - 1))


def estimate(values: Values, level: float = LEVEL) -> Estimate:
    """Mean with Student's interval (Student 1908), which covers 1 - level. Equal values have an
    interval of width 0.

    Raises:
        ValueError: there are no values.
    """
    n = len(values)
    if n == 0:
        raise ValueError("no values to estimate from")
    mean = float(np.mean(values))
    if n == 1:
        return Estimate(mean, None, None, n)
    error = 0.0 if np.ptp(values) == 0 else float(stats.sem(values))
    return student(mean, error, n, n - 1, level)


def slope(x: Values, y: Values) -> Estimate:
    """Slope of a straight line through points by least squares, with its 95 % interval.

    x, y: coordinates, [n], with at least two different values of x. The slope has no interval
    through fewer than three points.
    """
    fit = stats.linregress(x, y)
    if len(x) < 3:
        return Estimate(float(fit.slope), None, None, len(x))
    return student(float(fit.slope), float(fit.stderr), len(x), len(x) - 2)


def share(count: int, n: int, level: float = LEVEL) -> Estimate:
    """Share of seeds in which something happened, with the exact interval that covers 1 - level
    (Clopper and Pearson 1934).
    """
    interval = stats.binomtest(count, n).proportion_ci(1 - level, method="exact")
    return Estimate(count / n, float(interval.low), float(interval.high), n)


def student(mean: float, error: float, n: int, freedom: float, level: float = LEVEL) -> Estimate:
    """Mean with Student's interval, which covers 1 - level, from the standard error of the mean."""
    half = float(stats.t.ppf(1 - level / 2, freedom)) * error
    return Estimate(mean, mean - half, mean + half, n, error, freedom)


def welch(samples: Sequence[tuple[float, Values]], level: float = LEVEL) -> Estimate:
    """Weighted sum of the means of independent samples, with the interval of Welch (1947).

    Args:
        samples: a weight and values, [n], of each sample. Without two values in every sample there
            is no interval. The n of the estimate is that of the smallest sample.
        level: the interval covers 1 - level.
    """
    n = min(len(values) for _, values in samples)
    mean = float(sum(weight * np.mean(values) for weight, values in samples))
    if n < 2:
        return Estimate(mean, None, None, n)
    variances = [w**2 * float(np.var(x, ddof=1)) / len(x) for w, x in samples]
    total = sum(variances)
    if total == 0:
        return student(mean, 0.0, n, n - 1, level)
    shares = [v**2 / (len(x) - 1) for v, (_, x) in zip(variances, samples, strict=True)]
    return student(mean, total**0.5, n, total**2 / sum(shares), level)


def mean_intervals(groups: "SeriesGroupBy[Any, Any]") -> pd.DataFrame:
    """The ends low and high of the 95 % interval of each group's mean, as `estimate` has them; NaN
    for a single value. Missing values are not counted.
    """
    n = groups.count()
    error = groups.sem().mask((n > 1) & (groups.max() == groups.min()), 0.0)
    half = error * stats.t.ppf(1 - LEVEL / 2, (n - 1).where(n > 1))
    return pd.DataFrame({"low": groups.mean() - half, "high": groups.mean() + half})


def scaled(estimate: Estimate, factor: float) -> Estimate:
    """The estimate in another unit: mean, interval and error times a positive `factor`."""
    low, high = (None if x is None else x * factor for x in (estimate.low, estimate.high))
    return Estimate(
        estimate.mean * factor,
        low,
        high,
        estimate.n,
        estimate.error * factor,
        estimate.freedom,
    )


def shifted(estimate: Estimate, by: float) -> Estimate:
    """The estimate with a constant added to mean and interval."""
    low, high = (None if x is None else x + by for x in (estimate.low, estimate.high))
    return Estimate(estimate.mean + by, low, high, estimate.n, estimate.error, estimate.freedom)


def p_above(effect: Estimate, bound: float) -> float:
    """p of Student's test that the mean is above a bound, doubled: it is below `LEVEL` exactly
    where the 95 % interval lies above the bound. 1 without an interval.
    """
    if effect.low is None:
        return 1.0
    if effect.error == 0:
        return 0.0 if effect.mean > bound else 1.0
    return min(1.0, 2 * float(stats.t.sf((effect.mean - bound) / effect.error, effect.freedom)))


def p_below(effect: Estimate, bound: float) -> float:
    """p of Student's test that the mean is below a bound, doubled. See `p_above`."""
    if effect.low is None:
        return 1.0
    if effect.error == 0:
        return 0.0 if effect.mean < bound else 1.0
    return min(1.0, 2 * float(stats.t.cdf((effect.mean - bound) / effect.error, effect.freedom)))


def p_within(effect: Estimate, margin: float) -> float:
    """p of two one-sided tests that the mean is within ±margin (Schuirmann 1987), doubled: it is
    below `LEVEL` exactly where the 95 % interval lies within.
    """
    return max(p_above(effect, -margin), p_below(effect, margin))


def p_share_above(count: int, n: int, bound: float) -> float:
    """p of the exact binomial test that a share is above a bound, doubled: it is below `LEVEL`
    exactly where the interval of `share` lies above the bound.
    """
    return min(1.0, 2 * float(stats.binom.sf(count - 1, n, bound)))


def p_share_below(count: int, n: int, bound: float) -> float:
    """p of the exact binomial test that a share is below a bound, doubled. See `p_share_above`."""
    return min(1.0, 2 * float(stats.binom.cdf(count, n, bound)))


def benjamini_hochberg(ps: Sequence[float | None]) -> list[float | None]:
    """p-values corrected so that tests with a value below q are wrong in a share of q at most, in
    expectation (Benjamini and Hochberg 1995). None is not counted, and stays None.
    """
    known = [p for p in ps if p is not None]
    if not known:
        return list(ps)
    corrected = iter(stats.false_discovery_control(known, method="bh"))
    return [None if p is None else float(next(corrected)) for p in ps]
