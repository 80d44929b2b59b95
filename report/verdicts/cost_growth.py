"""What was measured apart from training: growth with the length, and times side by side."""

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

FROM = 256  # tokens: below, a call's fixed cost hides how the rest grows


def series(costs: pd.DataFrame, what: str, direction: str, column: str) -> pd.Series:
    """A column of the table `costs`, `seconds` or `peak_bytes`, by length in tokens, [lengths]: the
    median over repeats.
    """
    rows = costs[(costs["what"] == what) & (costs["direction"] == direction)]
    return rows.dropna(subset=[column]).groupby("length")[column].median()


def exponents(costs: pd.DataFrame, what: str, direction: str, column: str) -> pd.Series:
    """log2 of what doubling a length multiplies the column by, for each length from FROM on: the
    power of the length, as far as it is one.
    """
    found = series(costs, what, direction, column)
    found = found[found.index >= FROM]
    pairs = {n: math.log2(found[2 * n] / found[n]) for n in found.index if 2 * n in found.index}
    return pd.Series(pairs, dtype=float)


def effects(costs: pd.DataFrame, metric: str, weights: Mapping[str, float], log: bool) -> pd.Series:
    """A claim's effect for each doubling of the length, by the length before it, or for each repeat
    of a measurement, [doublings or repeats]: in powers of the length or in seconds, and with `log`
    in the logarithm of either.
    """
    if metric == "measured_seconds":
        chosen = costs[costs["what"].isin(list(weights)) & (costs["direction"] != "forward")]
        table = chosen.pivot(index="repeat", columns="what", values="seconds")
    else:
        column = {"time_exponent": "seconds", "memory_exponent": "peak_bytes"}[metric]
        table = pd.DataFrame({w: exponents(costs, w, "both", column) for w in weights})
    return weighed(table, weights, log)


def weighed(table: pd.DataFrame, weights: Mapping[str, float], log: bool) -> pd.Series:
    """The weighted sum of a table's columns, or of their logarithms, in the rows that have a number
    in each of them.
    """
    table = table.reindex(columns=list(weights)).dropna()
    if log:
        table = table.map(math.log)
    return (table * pd.Series(dict(weights), dtype=float)).sum(axis=1)


def peak_flops(costs: pd.DataFrame) -> float | None:
    """The most floating-point operations per second that a matrix product reached."""
    rows = costs[costs["what"] == "matmul"]
    return float((rows["flops"] / rows["seconds"]).max()) if len(rows) else None


def attention_share(costs: pd.DataFrame, kernel: str, layers: int) -> pd.Series:
    """By length in tokens, [lengths], the share, from 0 to 1, of a training step's time that
    scores, softmax and mixing take, in a model of so many layers.
    """
    alone = series(costs, f"attention {kernel}", "both", "seconds")
    whole = series(costs, f"model {kernel}", "both", "seconds")
    return (layers * alone / whole).dropna()


def overtakes(share: pd.Series) -> float | None:
    """The length at which a share passes one half, between two measured ones on a logarithmic
    scale; None where it never does.
    """
    above = np.flatnonzero(share.to_numpy() > 0.5)
    if not len(above):
        return None
    if above[0] == 0:
        return float(share.index[0])
    two = share.iloc[above[0] - 1 : above[0] + 1]
    return float(np.exp(np.interp(0.5, two.to_numpy(), np.log(two.index.to_numpy(dtype=float)))))
