"""The tables of one study, as the notebooks and figures take them."""

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from experiments.ablation import Ablation, Claim, Variant
from experiments.catalogue import load_ablations
from experiments.data.corpus import SPLITS
from experiments.metrics import COST_METRICS
from experiments.records.collect import read_table
from experiments.records.run_folder import FINISHED
from experiments.records.study import Study
from report.verdicts.cost_growth import effects, peak_flops, weighed
from report.verdicts.cost_to_target import spent_to_loss
from report.verdicts.stats import Estimate, estimate

# Tasks whose targets are tokens of the corpus, and columns that are nats for each of them.
_OF_TEXT = ("language", "masked", "continuation")
_NATS = (
    *(f"{split}_loss" for split in SPLITS),
    *("loss", "loss_beyond", *(f"loss_beyond_{n}x" for n in (2, 4, 8))),
    *("rise_alone", "rise_together"),
)


def _per_character(table: pd.DataFrame, runs: pd.DataFrame, study: Study) -> pd.DataFrame:
    """Losses per character of the text, whatever its tokens are: what margins are written for, and
    what compares across tokenizers. A loss is of the validation split, but where a column's name or
    the column `split` says something else.
    """
    of_text = table["run_id"].isin(runs.loc[runs["recipe.task"].isin(_OF_TEXT), "run_id"])

    def factor(name: str) -> "pd.Series[float]":
        split = name.removesuffix("_loss")
        here = pd.Series(split if split in SPLITS else "val", index=table.index)
        return (
            table.get("split", here)
            .map(study.tokens_per_character)
            .astype(float)
            .where(of_text, 1.0)
        )

    return table.assign(**{name: table[name] * factor(name) for name in _NATS if name in table})


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows as dicts, with None where the table has a null."""
    cleaned = frame.astype(object).where(frame.notna(), None)
    return [{str(name): value for name, value in row.items()} for row in cleaned.to_dict("records")]


@dataclass(frozen=True)
class Tables:
    """The tables of `experiments.records.schema`, which tells their columns and units; but that losses of
    text are in nats per character here.

    `runs` has besides a column for each of the table `measures`, and `utilisation`: the share, from
    0 to 1, of the machine's own peak of floating-point operations per second. `members` is
    membership joined with it: a row per ablation, variant and seed, `status` "missing" where a
    planned run has not been made. `tuning` has the trial's `status` and `val_loss` besides.
    `identities` is by its `check`.
    """

    results: Path
    study: Study
    members: pd.DataFrame
    runs: pd.DataFrame
    curves: pd.DataFrame
    tuning: pd.DataFrame
    costs: pd.DataFrame
    bench: pd.DataFrame
    calls: pd.DataFrame
    identities: pd.DataFrame
    ablations: dict[str, Ablation]

    @classmethod
    def load(cls, results: Path) -> "Tables":
        """Read what `collect` wrote.

        Raises:
            UserError: a table is missing or of another version.
        """
        study = Study.load(results)
        runs = read_table(results, "runs")
        measures = read_table(results, "measures")
        wide = measures.pivot(index="run_id", columns="measure", values="value")
        runs = _per_character(runs.merge(wide, on="run_id", how="left"), runs, study)
        costs = read_table(results, "costs")
        peak = peak_flops(costs) or math.nan
        there = runs["device_name"].isin(costs["device_name"])  # and not on another machine
        runs["utilisation"] = (runs["flops"] / runs["train_seconds"] / peak).where(there)
        tuning = read_table(results, "tuning")
        tuning = tuning.merge(runs[["run_id", "status", "val_loss"]], on="run_id", how="left")
        planned = read_table(results, "membership")
        members = planned.merge(
            runs.drop(columns=["ablation", "variant", "seed"]), on="run_id", how="left"
        )
        members["status"] = members["status"].fillna("missing")
        return cls(
            results=results,
            study=study,
            members=members,
            runs=runs,
            curves=_per_character(read_table(results, "curves"), runs, study),
            tuning=tuning,
            costs=costs,
            bench=read_table(results, "bench"),
            calls=read_table(results, "calls"),
            identities=read_table(results, "identities").set_index("check"),
            ablations=load_ablations(),
        )

    def probe(self, name: str, ablation: str) -> pd.DataFrame:
        """What a probe found in the runs of an ablation that asks for it: its table, with variant
        and seed. A run that others share may hold more.

        Raises:
            UserError: the table is missing, damaged, or of another version.
        """
        asked = name in self.ablations[ablation].probes
        chosen = self.members[(self.members["ablation"] == ablation) & asked]
        found = _per_character(read_table(self.results, name), self.runs, self.study)
        return chosen[["variant", "seed", "run_id"]].merge(found, on="run_id")

    @property
    def uniform_loss(self) -> float:
        """The loss of a guess that knows nothing, ln(vocabulary), in nats per character."""
        return math.log(self.study.vocab_size) * self.study.tokens_per_character()

    @property
    def unigram_loss(self) -> float:
        """The loss of a guess by the tokens' frequencies alone, in nats per character."""
        return self.study.unigram_loss * self.study.tokens_per_character()

    def differing(self, variant: Variant) -> dict[str, Any]:
        """What a variant changes of the base: "model.position" to its value."""
        base = self.study.base
        recipe = self.study.profile.recipe
        model, trained = variant.applied_to(base, recipe)
        return {
            f"{part}.{name}": value
            for part, mine, its in (("model", model, base), ("recipe", trained, recipe))
            for name, value in dataclasses.asdict(mine).items()
            if value != getattr(its, name)
        }

    def is_text(self, ablation: str) -> bool:
        """Whether characters are predicted in all variants of an ablation."""
        tasks = self.members.loc[self.members["ablation"] == ablation, "recipe.task"].dropna()
        return bool(tasks.isin(_OF_TEXT).all())

    def finished(self, ablation: str) -> pd.DataFrame:
        """An ablation's members that have a result."""
        mine = self.members["ablation"] == ablation
        return self.members[mine & self.members["status"].isin(FINISHED)]

    def scored(self, ablation: str) -> pd.DataFrame:
        """The finished members with `score`: the validation loss, and for a diverged run the loss
        of a uniform guess among all that its own task could have answered."""
        rows = self.finished(ablation)
        guess = np.log(rows["model.n_classes"].fillna(rows["model.vocab_size"]).astype(float))
        of_text = rows["recipe.task"].isin(_OF_TEXT)
        guess *= np.where(of_text, self.study.tokens_per_character(), 1.0)
        return rows.assign(score=rows["val_loss"].where(rows["status"] == "done", guess))

    def values(self, ablation: str, claim: Claim) -> pd.Series:
        """A claim's effect per seed: for the seeds of which every run it needs is there. Of what is
        measured apart from training, per repeat or per doubling of the length.
        """
        if claim.metric in COST_METRICS:
            return effects(self.costs, claim.metric, claim.effect, claim.log) - claim.threshold
        rows = self.scored(ablation)
        column = "score" if claim.metric == "val_loss" else claim.metric
        if column.endswith("_to_loss"):
            spent = column.removesuffix("_to_loss")
            table = spent_to_loss(self.points(ablation), list(claim.effect), spent)
        elif column in rows:
            table = rows.pivot(index="seed", columns="variant", values=column)
        else:  # a measure that no probe has taken yet
            return pd.Series(dtype=float)
        return weighed(table, claim.effect, claim.log) - claim.threshold

    def points(self, ablation: str, split: str = "val") -> pd.DataFrame:
        """The points of an ablation's curves, with variant, seed and `flops` spent. Of runs that
        have a result alone: what a failed or unfinished one has by now is no training to compare.
        """
        members = self.finished(ablation)[["variant", "seed", "run_id", "flops", "steps"]]
        points = self.curves[self.curves["split"] == split].merge(members, on="run_id")
        points["flops"] *= points["step"] / points["steps"]
        return points

    def differences(self, ablation: str) -> pd.DataFrame:
        """Every variant against its ablation's baseline, paired by seed, in validation loss.

        Columns: variant, mean, low, high, n. Positive is worse than the baseline.
        """
        stated = self.ablations[ablation]
        table = self.scored(ablation).pivot(index="seed", columns="variant", values="score")
        rows = []
        for variant in (v.name for v in stated.variants if v.name != stated.baseline):
            if {variant, stated.baseline} <= set(table.columns):
                values = (table[variant] - table[stated.baseline]).dropna()
                if len(values):
                    rows.append({"variant": variant, **vars(estimate(list(values)))})
        return pd.DataFrame(rows, columns=["variant", "mean", "low", "high", "n"])

    def variant_estimate(self, ablation: str, variant: str, column: str) -> Estimate | None:
        """A column's mean over a variant's finished seeds, or None where there is no number."""
        rows = self.scored(ablation)
        numbers = rows.loc[rows["variant"] == variant, column].dropna()
        return estimate(list(numbers)) if len(numbers) else None

    def complete_seeds(self) -> int:
        """Seeds of which every planned run is over and has a result."""
        ended = self.members["status"].isin(FINISHED)
        return int(ended.groupby(self.members["seed"]).all().sum())

    def present(self) -> list[str]:
        """The ablations of which two variants have been begun, or the only one there is: a run that
        is shared with another ablation is no comparison yet.
        """
        begun = self.members[self.members["status"] != "missing"]
        variants = begun.groupby("ablation")["variant"].nunique()
        return [
            name
            for name, ablation in self.ablations.items()
            if variants.get(name, 0) >= min(2, len(ablation.variants))
        ]
