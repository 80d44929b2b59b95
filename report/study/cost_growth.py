"""Costs measured without training runs: their growth with the length, and seconds of operations."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from experiments.metrics import BLOCKS
from report.verdicts.stats import Estimate, estimate, slope

FROM = 256  # tokens; for shorter contexts a call's fixed cost hides the growth


def series(costs: pd.DataFrame, what: str, direction: str, column: str) -> pd.Series:
    """Median over blocks of a column of the table `costs`, by length in tokens, [lengths].

    Args:
        costs: the table `costs`.
        what: operation that was measured.
        direction: "forward" or "both".
        column: "seconds" or "peak_bytes".
    """
    rows = costs[(costs["what"] == what) & (costs["direction"] == direction)]
    return rows.dropna(subset=[column]).groupby("length")[column].median()


def growth(costs: pd.DataFrame, what: str, direction: str, metric: str) -> Estimate | None:
    """Power of the length by which a cost grows, with its 95 % interval: the slope of the logarithm
    of the cost over the logarithm of the length, at all lengths from `FROM` on. None without two
    lengths.

    Time has a slope for each block, and the interval is over blocks. Memory does not vary between
    blocks: it has one slope, whose interval says how straight the line is.

    Args:
        costs: the table `costs`.
        what: operation that was measured.
        direction: "forward" or "both".
        metric: "time_exponent" or "memory_exponent".
    """
    column = {"time_exponent": "seconds", "memory_exponent": "peak_bytes"}[metric]
    rows = costs[(costs["what"] == what) & (costs["direction"] == direction)]
    rows = rows[rows["length"] >= FROM].dropna(subset=[column])
    if rows["length"].nunique() < 2:
        return None
    if metric == "memory_exponent":
        return _log_slope(rows, column)
    blocks = [block for _, block in rows.groupby("block") if block["length"].nunique() > 1]
    return estimate([_log_slope(block, column).mean for block in blocks[:BLOCKS]])


def _log_slope(rows: pd.DataFrame, column: str) -> Estimate:
    logarithms = np.log(rows[["length", column]].to_numpy(dtype=float))
    return slope(logarithms[:, 0], logarithms[:, 1])


def cost_table(costs: pd.DataFrame, whats: Sequence[str]) -> pd.DataFrame:
    """Measured seconds of operations in the first `BLOCKS` blocks that have all of them, [blocks,
    operations].
    """
    rows = _without_forward(costs, whats)
    return rows.pivot(index="block", columns="what", values="seconds").dropna().head(BLOCKS)


def step_speeds(costs: pd.DataFrame, steps: Mapping[str, str]) -> pd.DataFrame:
    """Tokens per second of training steps in the first `BLOCKS` blocks that have all of them,
    [blocks, variants].

    Args:
        costs: the table `costs`.
        steps: the name of each variant's step in the table.
    """
    rows = costs[costs["what"].isin(steps.values())]
    speeds = rows.assign(speed=rows["tokens"] / rows["seconds"])
    table = speeds.pivot(index="block", columns="what", values="speed")
    named = table.reindex(columns=list(steps.values()))
    return named.set_axis(list(steps), axis="columns").astype(float).dropna().head(BLOCKS)


def blocks_with(costs: pd.DataFrame, whats: Iterable[str]) -> int:
    """Number of blocks that have measured all of these operations."""
    needed = set(whats)
    counts = _without_forward(costs, needed).groupby("block")["what"].nunique()
    return int((counts == len(needed)).sum())


def _without_forward(costs: pd.DataFrame, whats: Iterable[str]) -> pd.DataFrame:
    """The rows of operations, without those of a forward pass alone."""
    return costs[costs["what"].isin(list(whats)) & (costs["direction"] != "forward")]


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
