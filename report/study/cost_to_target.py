"""Training that it takes to reach a loss or to solve a task."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from experiments.metrics import SOLVED

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


def spent_to_loss(
    curves: pd.DataFrame, variants: list[str], column: str, targets: "pd.Series[float]"
) -> pd.DataFrame:
    """Amount spent until a run's loss is as low as its seed's target, [seeds, variants]; NaN where
    it never is. Seeds without a target are left out.

    Args:
        curves: validation points with variant and seed.
        variants: names of the compared variants.
        column: amount that is spent: "tokens" or "flops".
        targets: the loss to be reached, by seed, in the unit of the curves' losses.
    """
    chosen = curves[curves["variant"].isin(variants) & curves["seed"].isin(targets.index)]
    chosen = chosen.dropna(subset=["loss"]).sort_values("step")
    target_of = targets.to_dict()
    rows = [
        (
            seed,
            variant,
            first_reach(points[column].to_numpy(), points["loss"].to_numpy(), target_of[seed]),
        )
        for (seed, variant), points in chosen.groupby(["seed", "variant"])
    ]
    spent = pd.DataFrame(rows, columns=["seed", "variant", "spent"])
    return spent.pivot(index="seed", columns="variant", values="spent")


def steps_to_solve(curves: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """Steps to the first evaluation at which the validation accuracy of a run is `SOLVED` or more,
    [seeds, variants]. A run that never gets there counts a step more than its recipe has, so it
    comes after every run that does; runs that get there at the same evaluation are equal.

    Args:
        curves: validation points with run_id, step and accuracy.
        runs: finished runs with run_id, seed, variant and recipe.steps.
    """
    first = curves[curves["accuracy"] >= SOLVED].groupby("run_id")["step"].min()
    steps = runs["run_id"].map(first).astype(float).fillna(runs["recipe.steps"] + 1)
    by_run = runs.assign(steps_to_solve=steps)
    return by_run.pivot(index="seed", columns="variant", values="steps_to_solve")


def seconds_to_loss(tokens: pd.DataFrame, speeds: pd.DataFrame) -> pd.DataFrame:
    """Seconds until a loss is reached, [pairs, variants]: the tokens of a seed divided by the
    tokens per second of a block.

    The first seed is paired with the first block, the second with the second, and so on, as far as
    there are both, so the seconds vary as the seeds and as the blocks do. The index is the seed.

    Args:
        tokens: tokens until the loss is reached, [seeds, variants].
        speeds: tokens per second of a training step, [blocks, variants].
    """
    tokens, speeds = tokens.dropna().sort_index(), speeds.dropna().sort_index()
    n = min(len(tokens), len(speeds))
    paired = speeds[tokens.columns].iloc[:n].set_axis(tokens.index[:n])
    return tokens.iloc[:n].div(paired)
