"""Training that it takes to reach a loss: in tokens, seconds or floating-point operations."""

import numpy as np
import numpy.typing as npt
import pandas as pd

Numbers = npt.NDArray[np.float64]


def first_reach(spent: Numbers, losses: Numbers, target: float) -> float:
    """Amount spent when a loss first comes down to the target, interpolated linearly between the
    points of a curve, [points]; NaN where the loss never does.
    """
    reached = np.flatnonzero(losses <= target)
    if not len(reached):
        return float("nan")
    i = int(reached[0])
    if i == 0 or losses[i - 1] == losses[i]:
        return float(spent[i])
    share = (losses[i - 1] - target) / (losses[i - 1] - losses[i])
    return float(spent[i - 1] + share * (spent[i] - spent[i - 1]))


def spent_to_loss(curves: pd.DataFrame, variants: list[str], column: str) -> pd.DataFrame:
    """Amount spent until the loss that all variants reach, [seeds, variants]. That loss is the
    highest of the variants' lowest validation losses.

    Args:
        curves: validation points with variant and seed.
        variants: names of the compared variants.
        column: amount that is spent: "tokens", "seconds" or "flops".
    """
    chosen = curves[curves["variant"].isin(variants)].dropna(subset=["loss"]).sort_values("step")
    lowest = chosen.groupby(["seed", "variant"])["loss"].min()
    targets = lowest.groupby("seed").max()
    rows = [
        (
            seed,
            variant,
            first_reach(
                points[column].to_numpy(), points["loss"].to_numpy(), targets.to_dict()[seed]
            ),
        )
        for (seed, variant), points in chosen.groupby(["seed", "variant"])
    ]
    spent = pd.DataFrame(rows, columns=["seed", "variant", "spent"])
    return spent.pivot(index="seed", columns="variant", values="spent")
