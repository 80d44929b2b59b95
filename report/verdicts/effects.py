"""Effects per seed: scores of runs, points of curves, and differences paired by seed."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import pandas as pd

from experiments.ablation import Claim
from experiments.metrics import COST_METRICS, TIMED
from experiments.records.run_folder import FINISHED
from experiments.records.schema import per_character
from experiments.spec import TEXT_TASKS
from report.verdicts.cost_growth import cost_table
from report.verdicts.cost_to_target import spent_to_loss, steps_to_solve
from report.verdicts.tables import Tables

TRAINS = 0.2  # nats per character below a guess by frequency: a run that trains


class LossColumn(NamedTuple):
    """The name of a loss's column, and its unit."""

    name: str
    unit: str


def is_text(tables: Tables, ablation: str) -> bool:
    """Whether all variants of an ablation predict text."""
    tasks = tables.of(ablation)["recipe.task"].dropna()
    return bool(tasks.isin(TEXT_TASKS).all())


def loss_column(tables: Tables, ablation: str, loss: str = "val_loss") -> LossColumn:
    """The column in which an ablation shows a loss: per character of text where all variants
    predict text, else per target.
    """
    if is_text(tables, ablation):
        return LossColumn(per_character(loss), "nats per character")
    return LossColumn(loss, "nats per target")


def finished(tables: Tables, ablation: str) -> pd.DataFrame:
    """The members of an ablation that have a result."""
    members = tables.of(ablation)
    return members[members["status"].isin(FINISHED)]


def scored(tables: Tables, ablation: str) -> pd.DataFrame:
    """The finished members of an ablation, with a validation loss for every run.

    A diverged run has the loss of a uniform guess over all answers that its task allows, in
    `val_loss` and in `val_loss_per_character`, and no run has a higher one. The column `trains` is
    1 for a run on text that ends `TRAINS` nats per character or more below a guess by frequency,
    else 0.
    """
    rows = finished(tables, ablation)
    answers = rows["model.n_classes"].fillna(rows["model.vocab_size"])
    guess = answers.astype(float).map(math.log)
    of_text = rows["recipe.task"].isin(TEXT_TASKS)
    guess_per_character = (guess * tables.study.tokens_per_character()).where(of_text)
    done = rows["status"] == "done"
    of_characters = _at_most(rows["val_loss_per_character"], guess_per_character, done)
    return rows.assign(
        val_loss=_at_most(rows["val_loss"], guess, done),
        val_loss_per_character=of_characters,
        trains=(tables.unigram_loss - of_characters.astype(float) >= TRAINS).astype(float),
    )


def _at_most(losses: pd.Series, guess: pd.Series, done: "pd.Series[bool]") -> pd.Series:
    """Losses that are no higher than a guess, and that of a guess where a run is not done."""
    losses = losses.astype(float)
    return losses.where(done & ~(losses > guess.astype(float)), guess)


def curve_points(tables: Tables, ablation: str, split: str = "val") -> pd.DataFrame:
    """The points of an ablation's learning curves, with variant, seed and the `flops` spent.

    Only runs with a result are included: a failed or unfinished run has no training to compare.
    """
    members = finished(tables, ablation)[
        ["variant", "seed", "run_id", "flops", "steps", "runs_per_card"]
    ]
    rows = tables.curves[tables.curves["split"] == split].merge(members, on="run_id")
    rows["flops"] *= rows["step"] / rows["steps"]
    return rows


def claim_effect(tables: Tables, ablation: str, claim: Claim) -> pd.Series:
    """A claim's effect for each seed that has all runs that the claim weighs, [seeds].

    The effect of a claim about measured seconds is one value per repetition.
    """
    if claim.metric in COST_METRICS:
        values = cost_table(tables.costs, list(claim.effect))
    elif claim.metric.endswith("_to_loss"):
        spent = claim.metric.removesuffix("_to_loss")
        points = curve_points(tables, ablation)
        if claim.metric in TIMED:
            points = points[~shared_a_card(points)]
        values = spent_to_loss(points, list(claim.effect), spent)
    elif claim.metric == "steps_to_solve":
        runs = finished(tables, ablation)
        points = tables.curves[tables.curves["split"] == "val"]
        values = steps_to_solve(points[points["run_id"].isin(runs["run_id"])], runs)
    else:
        rows = scored(tables, ablation)
        if claim.metric in TIMED:
            rows = rows[~shared_a_card(rows)]
        values = _by_variant(rows, claim.metric)
    return weighted_sum(values, claim.effect, claim.log) - claim.threshold


def shared_a_card(rows: pd.DataFrame) -> "pd.Series[bool]":
    """Which rows are of runs that shared a graphics card: their speeds say nothing."""
    return rows["runs_per_card"].fillna(1) > 1


def baseline_differences(tables: Tables, ablation: str) -> pd.DataFrame:
    """Differences in validation loss of each variant from the ablation's baseline, paired by seed,
    [seeds, variants], in the unit of `loss_column`. Positive is worse than the baseline.
    """
    baseline = tables.ablations[ablation].baseline
    names = [variant.name for variant in tables.ablations[ablation].variants]
    column = loss_column(tables, ablation).name
    losses = _by_variant(scored(tables, ablation), column).reindex(columns=names)
    return losses.drop(columns=baseline).sub(losses[baseline], axis=0)


def weighted_sum(values: pd.DataFrame, weights: Mapping[str, float], log: bool) -> pd.Series:
    """Weighted sum of a table's columns, or of their logarithms, over the rows without nulls."""
    chosen = values.reindex(columns=list(weights)).dropna()
    if log:
        chosen = chosen.map(math.log)
    return (chosen * pd.Series(dict(weights), dtype=float)).sum(axis=1)


def _by_variant(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """A column of members as [seeds, variants]; empty where no probe has measured the column."""
    if column not in rows:
        return pd.DataFrame(dtype=float)
    return rows.pivot(index="seed", columns="variant", values=column)
