"""How much training it takes to reach a loss, in tokens, seconds or floating-point operations."""

import numpy as np
import numpy.typing as npt
import pandas as pd

Numbers = npt.NDArray[np.float64]


def first_reach(spent: Numbers, losses: Numbers, target: float) -> float:
    """What had been spent when the loss first came down to the target, on straight lines between
    the points of a curve, [points]; NaN where it never did.
    """
    there = np.flatnonzero(losses <= target)
    if not len(there):
        return float("nan")
    i = int(there[0])
    if i == 0 or losses[i - 1] == losses[i]:
        return float(spent[i])
    share = (losses[i - 1] - target) / (losses[i - 1] - losses[i])
    return float(spent[i - 1] + share * (spent[i] - spent[i - 1]))


def spent_to_loss(curves: pd.DataFrame, variants: list[str], column: str) -> pd.DataFrame:
    """By seed and variant, `column` of the curves spent until the loss that all of them reach: the
    highest of the variants' lowest validation losses. curves: the validation points, with variant
    and seed.
    """
    chosen = curves[curves["variant"].isin(variants)].dropna(subset=["loss"]).sort_values("step")
    rows = {}
    for seed, points in chosen.groupby("seed"):
        by_variant = dict(list(points.groupby("variant")))
        target = max(float(some["loss"].min()) for some in by_variant.values())
        rows[seed] = {
            str(variant): first_reach(some[column].to_numpy(), some["loss"].to_numpy(), target)
            for variant, some in by_variant.items()
        }
    return pd.DataFrame.from_dict(rows, orient="index")
