"""From ablations to the list of runs: every variant of every ablation, for every seed; and before
them, for the variants that ask for it, one run at each of several learning rates, and another one
at the best two.
"""

import dataclasses
import statistics
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from experiments.ablation import Ablation, Variant
from experiments.catalogue import load_ablations, located
from experiments.errors import UserError
from experiments.profiles import SHAKESPEARE_CHARACTERS, Profile
from experiments.spec import TUNING_SEED, RunSpec, Task

# Validation loss of a run that tries a learning rate: infinite where it diverged, None where it is
# not over.
Score = Callable[[RunSpec], float | None]


@dataclass(frozen=True)
class PlannedRun:
    """A run's place in the study. Equal runs of several ablations are one run, several members.

    `rate` is the multiple of the base's learning rate in a run that only tries it.
    """

    ablation: str
    variant: str
    spec: RunSpec
    rate: float | None = None

    @property
    def label(self) -> str:
        """What the user is told is running."""
        which = f"seed {self.spec.seed}" if self.rate is None else f"rate {self.rate:g}x"
        return f"{which} {self.ablation}/{self.variant}"


class UntunedRun(NamedTuple):
    """A planned run whose learning rate is not chosen yet."""

    ablation: str
    variant: str
    seed: int


@dataclass(frozen=True)
class Plan:
    """What is to be run: `trials` try learning rates, `members` are compared, and of those
    `waiting` wait for the trials. `rates` has what was chosen, by (ablation, variant tried).
    """

    trials: list[PlannedRun]
    members: list[PlannedRun]
    waiting: list[UntunedRun]
    rates: dict[tuple[str, str], float]


def plan(
    profile: Profile,
    ablations: Mapping[str, Ablation],
    *,
    vocab_size: int,
    corpus_hash: str,
    seeds: int,
    fewer_seeds: int,
    score: Score,
    without: Collection[Task] = (),
) -> Plan:
    """The whole study: seed by seed, and within a seed the longest runs first; variants of a task
    that the corpus does not have are left out.

    Raises:
        UserError: variants that cannot work, all of them named at once.
    """
    base = profile.base_model(vocab_size)
    found, refusals = Plan([], [], [], {}), []

    def specs(
        ablation: Ablation, variant: Variant, rate: float | None, its_seeds: Iterable[int]
    ) -> Iterator[RunSpec]:
        model, recipe = variant.applied_to(base, profile.recipe)
        if rate is not None:
            tried = rate * profile.recipe.learning_rate
            recipe = dataclasses.replace(recipe, learning_rate=tried)
        for seed in its_seeds:
            # Samples are for reading, and one seed's will do; a trial is there for its loss alone.
            probes = tuple(p for p in ablation.probes if seed == 0 or p not in ("samples", "atlas"))
            if recipe.task not in without:
                yield RunSpec(
                    model=model,
                    recipe=recipe,
                    corpus=corpus_hash,
                    seed=seed,
                    probes=probes if seed < TUNING_SEED else (),
                )

    def trials(
        name: str, ablation: Ablation, variant: Variant, rates: Iterable[float], seed: int
    ) -> list[PlannedRun]:
        return [
            PlannedRun(name, variant.name, spec, rate)
            for rate in rates
            for spec in specs(ablation, variant, rate, [seed])
        ]

    for name, ablation in ablations.items():
        its_seeds = range(seeds if ablation.core else fewer_seeds)
        by_name = {variant.name: variant for variant in ablation.variants}
        for variant in ablation.variants:
            try:
                rate = None
                if variant.tuned_for:
                    key = (name, variant.tuned_for)
                    swept = by_name[variant.tuned_for]
                    tried = trials(name, ablation, swept, profile.rates, TUNING_SEED)
                    if not tried:  # the corpus does not have its task
                        continue
                    # One seed may have been lucky: the best two are tried with another.
                    finalists = ranked(tried, score)[:2]
                    tried += trials(name, ablation, swept, finalists, TUNING_SEED + 1)
                    if key not in {(t.ablation, t.variant) for t in found.trials}:
                        found.trials.extend(tried)
                    best = ranked([t for t in tried if t.rate in finalists], score)
                    if not best:
                        found.waiting.extend(UntunedRun(name, variant.name, s) for s in its_seeds)
                        continue
                    rate = best[0]
                    found.rates[key] = rate
                for spec in specs(ablation, variant, rate, its_seeds):
                    found.members.append(PlannedRun(name, variant.name, spec))
            except (ValueError, TypeError) as error:
                fields = [(key, key.partition(".")[2]) for key in variant.changes]
                blamed = [
                    word for key, field in fields if field in str(error) for word in (key, field)
                ]
                at = located(name, variant.name, *blamed, variant.name)
                refusals.append(f"{at}variant '{name}/{variant.name}': {error}")
    if refusals:
        raise UserError("; ".join(refusals))
    for members in (found.trials, found.members):
        members.sort(key=lambda member: (member.spec.seed, -member.spec.flops))
    return found


def preliminary_plan(profile: Profile, seeds: int | None) -> list[PlannedRun]:
    """The plan before any corpus is at hand, for as many characters as the default one has: right
    but for the run ids, what follows from the vocabulary, and the learning rates still to choose.

    Raises:
        UserError: variants cannot work, all of them named at once.
    """
    found = plan(
        profile,
        load_ablations(),
        vocab_size=SHAKESPEARE_CHARACTERS,
        corpus_hash="",
        seeds=seeds or profile.seeds,
        fewer_seeds=seeds or profile.fewer_seeds,
        score=lambda spec: spec.recipe.learning_rate,  # as if the lowest rate were always chosen
    )
    return [*found.trials, *found.members]


def ranked(trials: Iterable[PlannedRun], score: Score) -> list[float]:
    """The rates that were tried, from the lowest mean validation loss over seeds on, the lower of
    two equally good ones first; none while one of the trials is not over.
    """
    scores: dict[float, list[float]] = {}
    for trial in trials:
        found = score(trial.spec)
        if found is None or trial.rate is None:
            return []
        scores.setdefault(trial.rate, []).append(found)
    return sorted(scores, key=lambda rate: (statistics.fmean(scores[rate]), rate))


def run_labels(members: Iterable[PlannedRun]) -> dict[str, str]:
    """What each run is called, by its id: after the first member that asks for it."""
    labels: dict[str, str] = {}
    for member in members:
        labels.setdefault(member.spec.run_id, member.label)
    return labels


def unique_runs(members: Iterable[PlannedRun]) -> list[RunSpec]:
    """The distinct runs, in the members' order, each with the probes that any member asks for."""
    merged: dict[str, RunSpec] = {}
    for spec in (member.spec for member in members):
        others = merged.get(spec.run_id, spec).probes
        probes = tuple(sorted({*others, *spec.probes}))
        merged[spec.run_id] = dataclasses.replace(spec, probes=probes)
    return list(merged.values())
