"""Numbers, intervals, counts and durations as text."""

import math
from collections.abc import Sequence

import pandas as pd

from report.verdicts.stats import Estimate


def format_number(value: float | None, low: float | None = None, high: float | None = None) -> str:
    """A number as text, rounded so that half the width of its interval has two digits.

    Without an interval, numbers below 100 have three decimals and larger numbers have none.
    """
    if value is None or not math.isfinite(value):
        return "–"
    decimals = 0 if abs(value) >= 100 else 3
    if low is not None and high is not None and 0 < high - low < math.inf:
        decimals = max(0, min(6, 1 - math.floor(math.log10((high - low) / 2))))
    return f"{value:z,.{decimals}f}".replace("-", "−")  # z: no negative zero


def format_interval(low: float | None, high: float | None) -> str:
    """ "0.41 to 0.52", or a dash where there is no interval."""
    return (
        "–"
        if low is None
        else f"{format_number(low, low, high)} to {format_number(high, low, high)}"
    )


def format_coverage(level: float) -> str:
    """What an interval at a level covers, "95 %"."""
    return f"{100 * (1 - level):.4g} %"


def seeds_of(rows: pd.DataFrame) -> str:
    """Number of seeds of a variant, "5 seeds"; "5 to 8 seeds" where variants differ.

    rows: rows of runs, with variant and seed.
    """
    counts = rows.groupby("variant")["seed"].nunique()
    least, most = int(counts.min()), int(counts.max())
    return plural(most, "seed") if least == most else f"{least} to {most} seeds"


def mean_over_seeds(rows: pd.DataFrame, interval: str = "95 % interval") -> str:
    """ "mean of 5 seeds, 95 % interval"; for one seed, "mean of 1 seed, no interval"."""
    return f"mean of {seeds_of(rows)}, {interval if rows['seed'].nunique() > 1 else 'no interval'}"


def format_estimate(estimate: Estimate) -> str:
    """A mean ± half the width of its 95 % interval; without an interval, the mean alone."""
    mean, low, high = estimate.mean, estimate.low, estimate.high
    if low is None or high is None or high == low:
        return format_number(mean, low, high)
    half_width = format_number((high - low) / 2, low, high)
    return f"{format_number(mean, low, high)}\u00a0±\u00a0{half_width}"  # no-break spaces


def format_seeds(n: int) -> str:
    """ "1 seed", "5 paired seeds"."""
    return "1 seed" if n == 1 else f"{n} paired seeds"


def plural(n: int, noun: str) -> str:
    """ "1 run", "3 runs"."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def format_p(p: float | None) -> str:
    """A p-value to two digits, never 0."""
    if p is None or math.isnan(p):
        return "–"
    return "< 0.0001" if p < 1e-4 else f"{p:.2g}"


def format_duration(seconds: float) -> str:
    """Seconds as "42 s", "3 min 10 s" or "1 h 5 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def join_words(words: Sequence[str]) -> str:
    """ "one", "one and two", "one, two and three"."""
    *most, last = words or [""]
    return f"{', '.join(most)} and {last}" if most else last
