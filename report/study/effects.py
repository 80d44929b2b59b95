"""Effects per seed or block: scores, curves, speeds, and paired differences with their means."""

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd

from experiments.claim import Claim
from experiments.metrics import (
    BLOCK_METRICS,
    BLOCKS,
    COST_METRICS,
    PRUNABLE,
    SPEED_METRICS,
    TIMED,
    TRAINS,
    step_name,
)
from experiments.planning.plan import YARDSTICKS
from experiments.recipe import TEXT_TASKS
from experiments.records.run_folder import FINISHED
from experiments.records.schema import per_character
from report.study.cost_growth import blocks_with, cost_table, step_speeds
from report.study.cost_to_target import seconds_to_loss, spent_to_loss, steps_to_solve
from report.study.tables import Tables
from report.verdicts.outcomes import beyond_seed_margin
from report.verdicts.stats import Estimate, estimate
from report.verdicts.text import plural


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


@functools.lru_cache(maxsize=16)
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
        prunable=_reaches(rows, "removable_heads", PRUNABLE),
    )


def _reaches(rows: pd.DataFrame, column: str, least: float) -> pd.Series:
    """1 where a column is `least` or more, else 0; null where it is null or there is none."""
    values = rows.get(column, pd.Series(math.nan, index=rows.index)).astype(float)
    return (values >= least).astype(float).where(values.notna())


def _at_most(losses: pd.Series, guess: pd.Series, done: "pd.Series[bool]") -> pd.Series:
    """Losses that are no higher than a guess, and that of a guess where a run is not done."""
    losses = losses.astype(float)
    return losses.where(done & ~(losses > guess.astype(float)), guess)


def curve_points(tables: Tables, ablation: str, split: str = "val") -> pd.DataFrame:
    """The points of an ablation's learning curves, with variant, seed and the `flops` spent.

    Only runs with a result are included: a failed or unfinished run has no training to compare.
    """
    members = finished(tables, ablation)[["variant", "seed", "run_id", "flops", "steps"]]
    rows = tables.curves[tables.curves["split"] == split].merge(members, on="run_id")
    rows["flops"] *= rows["step"] / rows["steps"]
    return rows


def claim_effect(tables: Tables, ablation: str, claim: Claim) -> pd.Series:
    """A claim's effect for each seed that has all runs that the claim weighs, [seeds].

    The effect of a claim about `BLOCK_METRICS` is one value per block, [blocks]. That of a claim
    with a `seed_margin` is 1 or −1 where the weighted sum is beyond it, and 0 within.
    """
    if claim.metric in COST_METRICS:
        values = cost_table(tables.costs, list(claim.effect))
    elif claim.metric == "tokens_per_second":
        values = step_speeds(tables.costs, measured_operations(ablation, claim))
    elif claim.metric == "seconds_to_loss":
        speeds = step_speeds(tables.costs, measured_operations(ablation, claim))
        values = seconds_to_loss(training_to_loss(tables, ablation, claim), speeds)
    elif claim.metric.endswith("_to_loss"):
        values = training_to_loss(tables, ablation, claim)
    elif claim.metric == "context_gain_per_character":
        drops = [context_drop(tables, ablation, variant, 1 / 8) for variant in claim.effect]
        values = pd.concat(drops, axis=1, keys=list(claim.effect))
    elif claim.metric == "steps_to_solve":
        runs = finished(tables, ablation)
        points = tables.curves[tables.curves["split"] == "val"]
        values = steps_to_solve(points[points["run_id"].isin(runs["run_id"])], runs)
    else:
        values = _by_variant(scored(tables, ablation), claim.metric)
    effects = weighted_sum(values, claim.effect, claim.log) - claim.threshold
    return beyond_seed_margin(effects, claim)


def context_drop(tables: Tables, ablation: str, variant: str, skip: float) -> "pd.Series[float]":
    """Loss early in the window less that in its last quarter, in nats per character, by seed. Early
    is an eighth of the window, after the share `skip` of it.
    """
    points = tables.probe("positions", ablation)
    points = points[points["variant"] == variant]
    length = points.groupby("seed")["position"].transform("max") + 1
    share = points["position"] / length
    is_early = share.between(skip, skip + 1 / 8, inclusive="left")
    losses = points.set_index("seed")["loss_per_character"].astype(float)
    early = losses[is_early.to_numpy()].groupby(level="seed").mean()
    return early - losses[(share >= 3 / 4).to_numpy()].groupby(level="seed").mean()


@dataclass(frozen=True)
class Sample:
    """The seeds or blocks that a claim rests on.

    planned: number of seeds or blocks that a verdict waits for.
    waiting: number of planned seeds with a run that is not finished.
    blocks: number of blocks that have measured what the claim weighs.
    lacks_blocks: whether the claim waits for further blocks.
    """

    planned: int
    waiting: int
    blocks: int
    lacks_blocks: bool

    @property
    def interim(self) -> bool:
        """Whether planned seeds or blocks are missing, so that nothing is decided."""
        return self.waiting > 0 or self.lacks_blocks

    def progress(self, n: int) -> str:
        """How much of what is planned there is, "3 of 5 planned seeds"."""
        if self.lacks_blocks:
            return f"{self.blocks} of {BLOCKS} blocks"
        return f"{n} of {plural(self.planned, 'planned seed')}"


def sample_of(tables: Tables, ablation: str, claim: Claim, needed: pd.DataFrame) -> Sample:
    """The seeds or blocks that a claim rests on. `needed` has the members that it weighs."""
    measured = blocks_with(tables.costs, measured_operations(ablation, claim).values())
    blocks = min(measured, BLOCKS)  # later ones would be further looks
    lacks_blocks = claim.metric in TIMED and blocks < BLOCKS
    if claim.metric in BLOCK_METRICS:
        return Sample(BLOCKS, 0, blocks, lacks_blocks)
    over = needed["status"].isin(FINISHED)
    if claim.metric.endswith("_to_loss"):
        over &= needed["seed"].isin(bigram_losses(tables).index)
    planned = int(needed["seed"].nunique())
    if claim.metric in TIMED:  # pairs of a seed and a block
        planned = min(planned, BLOCKS)
    return Sample(planned, int((~over).groupby(needed["seed"]).any().sum()), blocks, lacks_blocks)


def measured_operations(ablation: str, claim: Claim) -> dict[str, str]:
    """The name in the table `costs` of each operation or variant that a claim about time weighs."""
    if claim.metric in SPEED_METRICS:
        return {variant: step_name(ablation, variant) for variant in claim.effect}
    return {operation: operation for operation in claim.effect}


def training_to_loss(tables: Tables, ablation: str, claim: Claim) -> pd.DataFrame:
    """Training until a run's loss is as low as the bigram's of the same seed, [seeds, variants]: in
    FLOPs for the metric flops_to_loss, in tokens for the others. NaN where it never is.
    """
    column = "flops" if claim.metric == "flops_to_loss" else "tokens"
    points = curve_points(tables, ablation)
    points = points.assign(loss=points["loss_per_character"])
    return spent_to_loss(points, list(claim.effect), column, bigram_losses(tables))


def bigram_losses(tables: Tables) -> "pd.Series[float]":
    """Final validation loss of the bigram at the budget of the tables, in nats per character, by
    seed.
    """
    rows = scored(tables, YARDSTICKS)
    rows = rows[rows["variant"] == "bigram"]
    return rows.set_index("seed")["val_loss_per_character"].astype(float)


def baseline_differences(tables: Tables, ablation: str) -> pd.DataFrame:
    """Differences in validation loss of each variant from the ablation's baseline, paired by seed,
    [seeds, variants], in the unit of `loss_column`. Positive is worse than the baseline.
    """
    baseline = tables.ablations[ablation].baseline
    names = [variant.name for variant in tables.ablations[ablation].variants]
    column = loss_column(tables, ablation).name
    losses = _by_variant(scored(tables, ablation), column).reindex(columns=names)
    return losses.drop(columns=baseline).sub(losses[baseline], axis=0)


def paired_losses(tables: Tables, ablation: str, variants: list[str]) -> pd.DataFrame:
    """Final validation losses of variants, [seeds, variants], in the unit of `loss_column`, for the
    seeds in which all of them have a result.
    """
    losses = _by_variant(scored(tables, ablation), loss_column(tables, ablation).name)
    return losses.reindex(columns=variants).dropna()


def variant_estimate(tables: Tables, ablation: str, variant: str, column: str) -> Estimate | None:
    """Mean of a column over a variant's finished seeds; None where no seed has a number."""
    return mean_of(scored(tables, ablation), variant, column)


def mean_of(rows: pd.DataFrame, variant: str, column: str) -> Estimate | None:
    """Mean of a column over the rows of a variant; None where no row has a number."""
    values = rows.loc[rows["variant"] == variant, column].dropna()
    return estimate(list(values)) if len(values) else None


def difference_estimates(tables: Tables, ablation: str) -> pd.DataFrame:
    """Mean differences in validation loss of each variant from the ablation's baseline, paired by
    seed, in the unit of `loss_column`. Positive is worse than the baseline.

    The columns are variant, mean, low, high and n. Variants without a pair of seeds are left out.
    """
    rows = [
        {"variant": variant, **vars(estimate(list(values.dropna())))}
        for variant, values in baseline_differences(tables, ablation).items()
        if values.notna().any()
    ]
    return pd.DataFrame(rows, columns=["variant", "mean", "low", "high", "n"])


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
