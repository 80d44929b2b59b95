"""The tables of one study, loaded for the report."""

import dataclasses
import functools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.ablation import Ablation, Claim, OwnProbe, Variant
from experiments.catalogue import load_ablations
from experiments.metrics import BLOCK_METRICS
from experiments.records.collect import read_table
from experiments.records.run_folder import FINISHED
from experiments.records.study import Study
from report.study.cost_growth import peak_flops

Stamp = tuple[int, int, int]  # of a file: inode, size and time of change in nanoseconds

_LOADED = (
    "runs",
    "measures",
    "membership",
    "curves",
    "tuning",
    "costs",
    "bench",
    "calls",
    "seals",
    "identities",
    "verified",
)


@dataclass(frozen=True, eq=False)  # compared and hashed by identity, so that results can be cached
class Tables:
    """The tables of a results folder, with the columns and units of `experiments.records.schema`.

    Some tables have further columns. `runs` has a column for each measure of the table `measures`,
    and `utilisation`: floating-point operations per second of training as a share, from 0 to 1, of
    the peak that was measured on the same machine. `members` is `membership` joined with `runs`:
    one row per ablation, variant, budget and seed, with the status "missing" for a planned run
    without a row in `runs`. `tuning` has the status and validation loss of each trial.
    `identities` is indexed by `check`.

    What is shown and judged of an ablation is at one budget: `budget` if it is given, else the
    ablation's `shown_budget`.

    Figures share these frames and must not change them in place.
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
    seals: pd.DataFrame
    identities: pd.DataFrame
    verified: pd.DataFrame
    ablations: dict[str, Ablation]
    budget: int | None = None

    @classmethod
    def load(cls, results: Path) -> "Tables":
        """Read the tables that `collect` wrote into a results folder.

        The tables are kept in memory for the next call, so that all sections of a page that share
        a kernel load them once. They are read again as soon as any of the files has changed.

        Raises:
            UserError: a table is missing, damaged, or of another version.
        """
        files = [results / "study.json", *(results / f"{name}.parquet" for name in _LOADED)]
        return _load(results, tuple(_stamp(file) for file in files))

    def probe(self, name: str, ablation: str) -> pd.DataFrame:
        """A probe's table for the runs of an ablation, with variant and seed. The table is empty
        unless the ablation asks for the probe: runs shared with other ablations may have more.

        Raises:
            UserError: the table is missing, damaged, or of another version.
        """
        asked = self.ablations[ablation].probes if ablation in self.ablations else ("positions",)
        rows = self.of(ablation)
        chosen = rows if name in asked else rows.iloc[:0]
        rows = _read(self.results, name, _stamp(self.results / f"{name}.parquet"))
        return chosen[["variant", "seed", "run_id"]].merge(rows, on="run_id")

    def own_probe(self, probe: OwnProbe, ablation: str) -> pd.DataFrame:
        """The rows of the table `own_probes` of a probe, for the runs of an ablation, with variant
        and seed.
        """
        rows = _read(self.results, "own_probes", _stamp(self.results / "own_probes.parquet"))
        rows = rows[rows["probe"] == probe.name]
        return self.of(ablation)[["variant", "seed", "run_id"]].merge(rows, on="run_id")

    def at(self, budget: int) -> "Tables":
        """The same tables, with every ablation at this budget."""
        return dataclasses.replace(self, budget=budget)

    def of_claim(self, ablation: str, claim: Claim, budget: int) -> "Tables":
        """The same tables, at a budget, with the seeds alone that are planned for a claim. A
        variant may have further seeds, which were added for another claim.
        """
        at_budget = self.at(budget)
        seeds = sorted(set(at_budget.of(ablation)["seed"]))
        planned = self.study.seed_counts.of_claim(self.ablations[ablation], claim, budget)
        members = self.members[self.members["seed"].isin(seeds[:planned])]
        return dataclasses.replace(at_budget, members=members)

    def look(self, ablation: str, claim: Claim) -> int:
        """The look at a claim's data. As many blocks are measured, however many seeds there are."""
        if claim.metric in BLOCK_METRICS:
            return 1
        budget = self.budget or self.shown_budget(ablation)
        usual = self.study.seed_counts.of_ablation(self.ablations[ablation], budget)
        return self.study.look(claim.id, self.budget, usual)

    @property
    def budgets(self) -> list[int]:
        """The budgets at which runs are compared: the study's, and those of single claims."""
        return sorted({*self.study.budgets, *map(int, self.members["budget"].dropna())})

    def of(self, ablation: str) -> pd.DataFrame:
        """The members of an ablation at its budget."""
        return _members_of(self, ablation)

    def trials(self, ablation: str) -> pd.DataFrame:
        """The rows of `tuning` of an ablation at its budget."""
        budget = self.budget or self.shown_budget(ablation)
        return self.tuning[
            (self.tuning["ablation"] == ablation) & (self.tuning["budget"] == budget)
        ]

    def budgets_of(self, ablation: str) -> list[int]:
        """The budgets at which an ablation has runs that are over, or its first budget."""
        members = self.members[self.members["ablation"] == ablation]
        over = members[members["status"].isin(FINISHED)]
        return sorted(set(over["budget"])) or sorted(set(members["budget"]))[:1]

    def shown_budget(self, ablation: str) -> int:
        """The deepest budget at which a seed of all the ablation's variants is complete.

        Without one, the deepest budget that has a result.
        """
        members = self.members[self.members["ablation"] == ablation]
        variants = members.groupby("budget")["variant"].transform("nunique")
        members = members[variants == variants.max()]  # elsewhere single claims are trained alone
        whole = members.assign(over=members["status"].isin(FINISHED)).groupby(["budget", "seed"])
        complete = whole["over"].all()
        budgets = set(complete[complete].index.get_level_values("budget"))
        return int(max(budgets or self.budgets_of(ablation) or [1]))

    @property
    def uniform_loss(self) -> float:
        """Loss of a uniform guess over the vocabulary, in nats per character."""
        return math.log(self.study.vocab_size) * self.study.tokens_per_character()

    @property
    def unigram_loss(self) -> float:
        """Loss of a guess by token frequency alone, in nats per character."""
        return self.study.unigram_loss * self.study.tokens_per_character()

    def differing(self, variant: Variant) -> dict[str, Any]:
        """Values of the fields in which a variant differs from the base, as "model.position"."""
        base_model, base_recipe = self.study.base, self.study.profile.recipe
        model, recipe = variant.applied_to(base_model, base_recipe)
        before = {
            "model": dataclasses.asdict(base_model),
            "recipe": dataclasses.asdict(base_recipe),
        }
        after = {"model": dataclasses.asdict(model), "recipe": dataclasses.asdict(recipe)}
        return {
            f"{part}.{name}": value
            for part, fields in after.items()
            for name, value in fields.items()
            if value != before[part][name]
        }

    def complete_seeds(self) -> int:
        """Number of the study's seeds whose planned runs all have a result. Seeds that were added
        for single claims are not counted.
        """
        finished = self.members["status"].isin(FINISHED)
        complete = finished.groupby(self.members["seed"]).all()
        return int(complete.sort_index().iloc[: self.study.seeds].sum())

    def present(self) -> list[str]:
        """Names of the ablations with runs of at least two variants, or of their only variant.

        A single variant with runs may be one that the ablation shares with another.
        """
        started = self.members[self.members["status"] != "missing"]
        variants = started.groupby("ablation")["variant"].nunique()
        return [
            name
            for name, ablation in self.ablations.items()
            if variants.get(name, 0) >= min(2, len(ablation.variants))
        ]


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table as dictionaries, with None for nulls."""
    cleaned = frame.astype(object).where(frame.notna(), None)
    return [{str(name): value for name, value in row.items()} for row in cleaned.to_dict("records")]


def _stamp(file: Path) -> Stamp | None:
    """A value that changes whenever a file is written; None where there is no file."""
    if not file.exists():
        return None
    facts = file.stat()
    return facts.st_ino, facts.st_size, facts.st_mtime_ns


@functools.lru_cache(maxsize=16)
def _members_of(tables: Tables, ablation: str) -> pd.DataFrame:
    members, budget = tables.members, tables.budget or tables.shown_budget(ablation)
    return members[(members["ablation"] == ablation) & (members["budget"] == budget)]


# Both caches are keyed by the stamps of the files that are read, so they cannot go stale.
@functools.lru_cache(maxsize=16)
def _read(results: Path, name: str, _: Stamp | None) -> pd.DataFrame:
    return read_table(results, name)


@functools.lru_cache(maxsize=2)
def _load(results: Path, _: tuple[Stamp | None, ...]) -> Tables:
    study = Study.load(results)
    measures = read_table(results, "measures")
    wide = measures.pivot(index="run_id", columns="measure", values="value")
    runs = read_table(results, "runs").merge(wide, on="run_id", how="left")
    costs = read_table(results, "costs")
    peak = peak_flops(costs) or math.nan
    same_machine = runs["device_name"].isin(costs["device_name"])
    runs["utilisation"] = (runs["flops"] / runs["train_seconds"] / peak).where(same_machine)
    results_of_trials = runs[["run_id", "status", "val_loss", "val_loss_per_character"]]
    members = read_table(results, "membership").merge(
        runs.drop(columns=["ablation", "variant", "seed"]), on="run_id", how="left"
    )
    members["status"] = members["status"].fillna("missing")
    return Tables(
        results=results,
        study=study,
        members=members,
        runs=runs,
        curves=read_table(results, "curves"),
        tuning=read_table(results, "tuning").merge(results_of_trials, on="run_id", how="left"),
        costs=costs,
        bench=read_table(results, "bench"),
        calls=read_table(results, "calls"),
        seals=read_table(results, "seals"),
        identities=read_table(results, "identities").set_index("check"),
        verified=read_table(results, "verified"),
        ablations=load_ablations(),
    )
