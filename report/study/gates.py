"""Judging gates: whether the arms of a claim have learnt what the claim is about."""

import math
from dataclasses import dataclass

import pandas as pd

from experiments.ablation import Beats, Claim, Solves, Trains
from experiments.gates import YARDSTICKS, Gate, SeesTokens
from experiments.planning.plan import YARDSTICKS as YARDSTICK_RUNS
from experiments.recipe import guess_loss
from experiments.records.run_folder import FINISHED, Status
from report.study.effects import bigram_losses, context_drop, loss_column, scored
from report.study.tables import Tables
from report.verdicts.gate_rules import any_of, part_of_window, yardstick_name
from report.verdicts.stats import estimate
from report.verdicts.text import format_estimate, format_number, join_words


@dataclass(frozen=True)
class GateResult:
    """Whether a gate holds, and the numbers that say so. `holds` is None where runs are missing."""

    holds: bool | None
    why: str


def judge_gate(tables: Tables, ablation: str, gate: Gate, seeds: pd.Index) -> GateResult:
    """Judge a gate on the seeds of its claim, at the budget of the tables."""
    if isinstance(gate, Solves):
        return _solves(tables, ablation, gate, seeds)
    if isinstance(gate, Trains):
        return _trains(tables, ablation, gate, seeds)
    if isinstance(gate, SeesTokens):
        return _sees_tokens(tables, ablation, gate, seeds)
    if isinstance(gate, Beats):
        gains = _yardstick(tables, ablation, gate.yardstick, seeds) - _losses(
            tables, ablation, gate.arm, seeds
        )
        what = f"the loss of {yardstick_name(gate)} less that of {gate.arm} is"
        return _exceeds(gains, gate.by, what)
    drift = _drop(tables, YARDSTICK_RUNS, "bigram", seeds, gate.skip)
    lengths = [
        set(_rows(tables, name, variant, seeds)["model.context_length"].dropna())
        for name, variant in ((ablation, gate.arm), (YARDSTICK_RUNS, "bigram"))
    ]
    if lengths[0] != lengths[1]:
        drift = drift * 0.0  # windows of another length hold other text
    gains = _drop(tables, ablation, gate.arm, seeds, gate.skip) - drift
    diverged = _rows(tables, ablation, gate.arm, seeds)["status"] == Status.DIVERGED
    gains = gains.mask(diverged, 0.0)  # a diverged run has no loss by position
    what = f"{part_of_window(gate)} the loss of {gate.arm} falls further than that of the bigram by"
    return _exceeds(gains, gate.by, what)


def failing_gate(tables: Tables, ablation: str, claim: Claim, seeds: pd.Index) -> GateResult | None:
    """The first gate of a claim that does not hold; None if all hold."""
    for gate in claim.requires:
        result = judge_gate(tables, ablation, gate, seeds)
        if not result.holds:
            return result
    return None


def _exceeds(gains: pd.Series, by: float, what: str) -> GateResult:
    """Whether a gain lies beyond a threshold with its whole interval over seeds."""
    if gains.isna().any() or gains.empty:
        return GateResult(None, f"{what} an amount that is not known for every seed yet")
    result = estimate(gains.to_numpy(dtype=float))
    least = result.mean if result.low is None else result.low
    return GateResult(least > by, f"{what} {format_estimate(result)}, and {by:g} is required")


def _members(tables: Tables, ablation: str, variant: str, seeds: pd.Index) -> pd.DataFrame:
    """The planned runs of a variant, finished or not, by seed."""
    rows = tables.of(ablation)
    return rows[rows["variant"] == variant].set_index("seed").reindex(seeds)


def _rows(tables: Tables, ablation: str, variant: str, seeds: pd.Index) -> pd.DataFrame:
    """The finished runs of a variant, by seed; nulls for the other seeds."""
    rows = scored(tables, ablation)
    return rows[rows["variant"] == variant].set_index("seed").reindex(seeds)


def _losses(tables: Tables, ablation: str, variant: str, seeds: pd.Index) -> pd.Series:
    return _rows(tables, ablation, variant, seeds)[loss_column(tables, ablation).name].astype(float)


def _yardstick(tables: Tables, ablation: str, name: str, seeds: pd.Index) -> pd.Series:
    """The loss of a yardstick for each seed, in the unit of the ablation's losses."""
    if name == "bigram":
        return bigram_losses(tables).reindex(seeds)
    if name in YARDSTICKS:
        loss = tables.unigram_loss if name == "unigram" else tables.uniform_loss
        return pd.Series(loss, index=seeds, dtype=float)
    return _losses(tables, ablation, name, seeds)


def _drop(tables: Tables, ablation: str, variant: str, seeds: pd.Index, skip: float) -> pd.Series:
    return context_drop(tables, ablation, variant, skip).reindex(seeds)


def _solves(tables: Tables, ablation: str, gate: Solves, seeds: pd.Index) -> GateResult:
    accuracies = pd.DataFrame(index=seeds)
    for arm in gate.arms:
        rows = _members(tables, ablation, arm, seeds)
        without = rows["status"].isin([Status.DIVERGED, Status.FAILED])
        accuracies[arm] = rows["val_accuracy"].astype(float).mask(without, 0.0)
    solved = accuracies >= gate.accuracy
    texts = [f"by {arm} in {solved[arm].sum()} of {len(seeds)} seeds" for arm in gate.arms]
    why = (
        f"the task is solved (accuracy {gate.accuracy:g}) {join_words(texts)}, and"
        f" {any_of(gate.arms)} is required to solve it in every seed"
    )
    unsolved = accuracies[~solved.any(axis=1)]
    if unsolved.empty and len(seeds):
        return GateResult(True, why)
    known = unsolved.notna().all(axis=1).any()
    return GateResult(False if known else None, why)


def _sees_tokens(tables: Tables, ablation: str, gate: SeesTokens, seeds: pd.Index) -> GateResult:
    rows = _rows(tables, ablation, gate.arm, seeds)
    ratios = (rows["tokens"] / rows["parameters"]).dropna().astype(float)
    if len(ratios) < len(seeds) or ratios.empty:
        return GateResult(None, f"the tokens of {gate.arm} are not known for every seed yet")
    why = (
        f"{gate.arm} is trained on {format_number(float(ratios.min()))} tokens a parameter, and"
        f" {gate.per_parameter:g} are required"
    )
    return GateResult(bool(ratios.min() >= gate.per_parameter), why)


def _guess_of(members: pd.DataFrame) -> float:
    """Loss of a uniform guess at the task of runs; NaN where no run is there."""
    runs = members.dropna(subset=["recipe.task"])
    if runs.empty:
        return math.nan
    run = runs.iloc[0]
    classes = None if pd.isna(run["model.n_classes"]) else int(run["model.n_classes"])
    return guess_loss(run["recipe.task"], int(run["model.vocab_size"]), classes)


def _trains(tables: Tables, ablation: str, gate: Trains, seeds: pd.Index) -> GateResult:
    members = _members(tables, ablation, gate.arm, seeds)
    column = loss_column(tables, ablation).name
    guess = tables.unigram_loss
    if not column.endswith("per_character"):
        guess = _guess_of(members)
    trains = (members["status"] == "done") & (guess - members[column].astype(float) > gate.by)
    over = members["status"].isin([*FINISHED, Status.FAILED])
    trained = int(trains.sum())
    why = (
        f"{gate.arm} ends {gate.by:g} nats below a guess ({format_number(guess)}) in {trained} of"
        f" {len(seeds)} seeds"
    )
    if (over & ~trains).any():
        return GateResult(False, why)
    return GateResult(True if trained == len(seeds) and len(seeds) else None, why)
