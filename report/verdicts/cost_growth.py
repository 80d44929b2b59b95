"""Costs measured without training runs: their growth with the length, and seconds of operations."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

FROM = 256  # tokens; for shorter contexts a call's fixed cost hides the growth


def series(costs: pd.DataFrame, what: str, direction: str, column: str) -> pd.Series:
    """Median over repetitions of a column of the table `costs`, by length in tokens, [lengths].

    Args:
        costs: the table `costs`.
        what: operation that was measured.
        direction: "forward" or "both".
        column: "seconds" or "peak_bytes".
    """
    rows = costs[(costs["what"] == what) & (costs["direction"] == direction)]
    return rows.dropna(subset=[column]).groupby("length")[column].median()


def exponents(costs: pd.DataFrame, what: str, direction: str, column: str) -> pd.Series:
    """Power of the length by which a column grows, for each doubling of the length from `FROM` on,
    by the smaller length, [doublings]: log2 of the ratio of the two costs.
    """
    cost = series(costs, what, direction, column)
    cost = cost[cost.index >= FROM]
    powers = {n: math.log2(cost[2 * n] / cost[n]) for n in cost.index if 2 * n in cost.index}
    return pd.Series(powers, dtype=float)


def cost_table(costs: pd.DataFrame, metric: str, whats: Sequence[str]) -> pd.DataFrame:
    """Values of a metric of `COST_METRICS`: [repetitions, operations] in seconds, or
    [doublings, operations] in powers of the length.
    """
    if metric == "measured_seconds":
        chosen = costs[costs["what"].isin(whats) & (costs["direction"] != "forward")]
        return chosen.pivot(index="repeat", columns="what", values="seconds")
    column = {"time_exponent": "seconds", "memory_exponent": "peak_bytes"}[metric]
    return pd.DataFrame({what: exponents(costs, what, "both", column) for what in whats})


def peak_flops(costs: pd.DataFrame) -> float | None:
    """Highest number of floating-point operations per second that a matrix product reached."""
    rows = costs[costs["what"] == "matmul"]
    return float((rows["flops"] / rows["seconds"]).max()) if len(rows) else None


def attention_share(costs: pd.DataFrame, kernel: str, layers: int) -> pd.Series:
    """Share, from 0 to 1, of a training step's time that attention's scores, softmax and mixing
    take in a model of `layers` layers, by length in tokens, [lengths].
    """
    attention = series(costs, f"attention {kernel}", "both", "seconds")
    model = series(costs, f"model {kernel}", "both", "seconds")
    return (layers * attention / model).dropna()


def overtakes(share: pd.Series) -> float | None:
    """Length at which a share passes one half, interpolated on a logarithmic scale between two
    measured lengths; None where the share never does.
    """
    above = np.flatnonzero(share.to_numpy() > 0.5)
    if not len(above):
        return None
    if above[0] == 0:
        return float(share.index[0])
    around = share.iloc[above[0] - 1 : above[0] + 1]
    lengths = around.index.to_numpy(dtype=float)
    return float(np.exp(np.interp(0.5, around.to_numpy(), np.log(lengths))))
