"""From ablations to the list of runs: every variant of every ablation, budget and seed.

Learning rates are chosen first, by trials at the same budget: see `tuning.py`. An arm, which is a
variant that a claim about learning weighs, has a rate of its own.
"""

import dataclasses
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from experiments.ablation import Ablation, Variant
from experiments.catalogue import load_ablations, shown_path
from experiments.claim import LOOKS, check_looks
from experiments.errors import UserError
from experiments.planning.rates import CorpusFacts, Rates, Score, at_rate, variant_spec
from experiments.planning.seed_counts import Added, SeedCounts
from experiments.planning.tuning import TUNING_SEEDS, Sweep
from experiments.profiles import SHAKESPEARE_CHARACTERS, Profile
from experiments.spec import RunSpec

YARDSTICKS = "yardsticks"  # the ablation that the runs of yardsticks are listed under

# Seed of the first run of a comparison. Lower seeds are for pilots: a rule that was chosen with a
# seed in view cannot be tested with it.
FIRST_SEED = 200


@dataclass(frozen=True)
class PlannedRun:
    """A run's place in the study. Equal runs of several ablations are trained once.

    `core` says whether the ablation is one of the core, and `is_first` whether the seed is the
    first of those compared. `rate` is the multiple of the variant's learning rate that a trial
    tries; None in other runs.
    """

    ablation: str
    variant: str
    spec: RunSpec
    budget: int = 1
    core: bool = False
    rate: float | None = None
    is_first: bool = False

    @property
    def label(self) -> str:
        """The name of the run in messages."""
        which = f"seed {self.spec.seed}"
        if self.rate is not None:
            which = f"rate {self.rate:g}x"
            if self.spec.seed != TUNING_SEEDS[0]:
                which += f" again ({TUNING_SEEDS.index(self.spec.seed) + 1})"
        deeper = f" at budget {self.budget}" if self.budget > 1 else ""
        return f"{which} {self.ablation}/{self.variant}{deeper}"

    @property
    def turn(self) -> "Turn":
        """The place of the run in the order of work."""
        trial, seed = self.rate is not None, self.spec.seed
        if not self.core:
            return Turn(2, self.budget) if trial else Turn(3, seed)
        early = trial or self.is_first
        return Turn(0, self.budget, int(not trial)) if early else Turn(1, seed)


class Turn(NamedTuple):
    """A place in the order of work: runs of an earlier turn are trained first.

    The core comes first: at each budget its learning rates, and then one seed. The other seeds of
    the core follow, at all budgets, and then the rates and the seeds of the other ablations.
    """

    phase: int
    number: int
    part: int = 0

    def __str__(self) -> str:
        ablations = "core" if self.phase < 2 else "further ablations"
        if self.phase == 0 and self.part:
            return f"{ablations}, first seed at budget {self.number}"
        if self.phase % 2:
            return f"{ablations}, seed {self.number}"
        return f"{ablations}, learning rates at budget {self.number}"


@dataclass(frozen=True, order=True)
class UntunedRun:
    """A run of a comparison whose learning rate is not chosen yet."""

    ablation: str
    variant: str
    budget: int
    seed: int


@dataclass(frozen=True)
class Plan:
    """The runs of a study.

    trials: runs that only try a learning rate.
    comparison_runs: runs that are compared.
    untuned: further runs to compare, whose learning rates wait for trials.
    sweeps: the sweep of each arm's learning rate, by ablation, variant and budget.
    """

    trials: list[PlannedRun] = field(default_factory=list)
    comparison_runs: list[PlannedRun] = field(default_factory=list)
    untuned: list[UntunedRun] = field(default_factory=list)
    sweeps: dict[tuple[str, str, int], Sweep] = field(default_factory=dict)

    @property
    def runs(self) -> list[PlannedRun]:
        """All runs that can be trained now: the trials and the comparison runs."""
        return [*self.trials, *self.comparison_runs]


def plan(
    profile: Profile,
    ablations: Mapping[str, Ablation],
    corpus: CorpusFacts,
    *,
    seeds: int,
    fewer_seeds: int,
    budgets: Sequence[int],
    score: Score | None,
    only: Collection[str] | None = None,
    without: Collection[str] = (),
    added: Added | None = None,
    first_seed: int = FIRST_SEED,
) -> Plan:
    """Plan a study: the longest runs of a seed first.

    Args:
        profile: the base and its budgets.
        ablations: all ablations, which together decide how each arm is tuned.
        corpus: the corpus.
        seeds: number of seeds of core ablations.
        fewer_seeds: number of seeds of other ablations.
        budgets: those of the profile's budgets that are trained.
        score: losses of trials; None plans as if the rates in the files were the best.
        only: names of the ablations to plan; None plans all.
        without: tasks that the corpus lacks; variants with such a task are left out.
        added: numbers of seeds of claims at a budget, where they have more than their ablation.
        first_seed: the seed of the first run of a comparison.

    Raises:
        UserError: variants cannot work; the message names all of them. Or the planned looks do not
            increase.
    """
    check_looks(LOOKS)
    bases = {budget: _base(profile, corpus, budget) for budget in profile.budgets}
    rates = Rates(bases, ablations, corpus, score)
    counts = SeedCounts(seeds, fewer_seeds, added or {}, budgets)
    result, refusals = Plan(), dict[tuple[str, str], str]()
    for name in only or ablations:
        ablation = ablations[name]
        tasks: dict[str, str] = {}
        for variant in ablation.variants:
            try:
                tasks[variant.name] = variant_spec(bases[1], variant).recipe.task
            except (ValueError, TypeError) as error:
                refusals[name, variant.name] = str(error)
        for variant in ablation.variants:
            if variant.name not in tasks or tasks[variant.name] in without:
                continue
            source = rates.source(ablation, variant)
            if source and (name, source.name) in refusals:
                continue
            try:
                for budget in counts.budgets_of(ablation, variant.name):
                    n = counts.of_variant(ablation, variant.name, budget)
                    variant_seeds = range(first_seed, first_seed + n)
                    _plan_variant(
                        result, rates, ablation, name, variant, source, budget, variant_seeds
                    )
            except (ValueError, TypeError) as error:  # at a deeper budget alone
                refusals[name, variant.name] = str(error)
    if refusals:
        raise UserError(
            "; ".join(
                f"{shown_path(name)}: variant '{variant}': {reason}"
                for (name, variant), reason in refusals.items()
            )
        )
    result.comparison_runs.extend(
        _yardsticks(bases, ablations, result.comparison_runs, counts, first_seed)
    )
    for runs in (result.trials, result.comparison_runs):
        runs.sort(key=lambda run: (run.budget, run.spec.seed, -run.spec.flops))
    return result


def preliminary_plan(
    profile: Profile, seeds: int | None, budgets: Sequence[int] | None = None
) -> list[PlannedRun]:
    """All runs of a study whose corpus is not fetched yet, planned for the default corpus.

    The run ids, the fields that follow from the vocabulary and the tuned learning rates are not
    those of the study.

    Raises:
        UserError: variants cannot work; the message names all of them.
    """
    return plan(
        profile,
        load_ablations(),
        CorpusFacts(SHAKESPEARE_CHARACTERS, ""),
        seeds=seeds or profile.seeds,
        fewer_seeds=seeds or profile.fewer_seeds,
        budgets=budgets or profile.default_budgets,
        score=None,
    ).runs


def _plan_variant(
    result: Plan,
    rates: Rates,
    ablation: Ablation,
    name: str,
    variant: Variant,
    source: Variant | None,
    budget: int,
    seeds: range,
) -> None:
    """Add a variant's runs at a budget to the plan, with the trials that decide its rate.

    `source` is the variant whose sweep decides the rate, as `Rates.source` returns it.
    """
    chosen: int | None = 0
    if source:
        chosen = rates.sweep(source, budget).chosen
        for each, found in rates.sweeps_up_to(source, budget).items():
            if (name, source.name, each) not in result.sweeps:
                result.sweeps[name, source.name, each] = found
                result.trials.extend(
                    PlannedRun(name, source.name, trial, each, ablation.core, 2.0**k)
                    for k, seed in found.trials
                    for trial in [rates.trial(source, each, k, seed)]
                )
    if chosen is None:
        result.untuned.extend(UntunedRun(name, variant.name, budget, seed) for seed in seeds)
        return
    spec = at_rate(variant_spec(rates.bases[budget], variant), 2.0**chosen)
    result.comparison_runs.extend(
        PlannedRun(name, variant.name, run, budget, ablation.core, is_first=run.seed == seeds.start)
        for run in comparison_specs(spec, seeds, ablation.probe_names)
    )


def _base(profile: Profile, corpus: CorpusFacts, budget: int) -> RunSpec:
    model = profile.base_model(corpus.vocab_size)
    return RunSpec(model=model, recipe=profile.recipe_at(budget), corpus=corpus.hash, seed=0)


def _yardsticks(
    bases: Mapping[int, RunSpec],
    ablations: Mapping[str, Ablation],
    runs: Sequence[PlannedRun],
    counts: SeedCounts,
    first_seed: int,
) -> Iterator[PlannedRun]:
    """The bigram at every budget and seed of those claims that need it: by a gate, or because its
    loss is to be reached.
    """
    places: dict[tuple[int, int], bool] = {}
    for run in runs:
        place = run.budget, run.spec.seed
        if run.spec.seed - first_seed < counts.of_bigram(ablations[run.ablation], run.budget):
            places[place] = places.get(place, False) or run.core
    for (budget, seed), core in sorted(places.items()):
        base = bases[budget]
        spec = dataclasses.replace(
            base,
            model=dataclasses.replace(base.model, family="bigram"),
            seed=seed,
            probes=("positions",),
        )
        is_first = seed == first_seed
        yield PlannedRun(YARDSTICKS, "bigram", spec, budget, core, is_first=is_first)


def comparison_specs(spec: RunSpec, seeds: range, probes: Sequence[str]) -> Iterator[RunSpec]:
    """One run per seed, each with the probes that its seed needs."""
    for seed in seeds:
        # Samples and the atlas are for reading, so one seed is enough.
        chosen = tuple(p for p in probes if seed == seeds.start or p not in ("samples", "atlas"))
        yield dataclasses.replace(spec, seed=seed, probes=chosen)


def first_by_run_id(runs: Iterable[PlannedRun]) -> dict[str, PlannedRun]:
    """The distinct runs by run id; of several equal runs, the first."""
    first: dict[str, PlannedRun] = {}
    for run in runs:
        first.setdefault(run.spec.run_id, run)
    return first


def run_labels(runs: Iterable[PlannedRun]) -> dict[str, str]:
    """Labels by run id; of several equal runs, the label of the first."""
    return {run_id: run.label for run_id, run in first_by_run_id(runs).items()}


def unique_runs(runs: Iterable[PlannedRun]) -> list[RunSpec]:
    """The distinct runs in order of appearance, each with the probes of all runs equal to it."""
    merged: dict[str, RunSpec] = {}
    for spec in (run.spec for run in runs):
        probes = {*merged.get(spec.run_id, spec).probes, *spec.probes}
        merged[spec.run_id] = dataclasses.replace(spec, probes=tuple(sorted(probes)))
    return list(merged.values())
