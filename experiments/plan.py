"""From ablations to the list of runs: every variant of every ablation, with every seed.

For the variants that ask for it, trials choose the learning rate first: one run at each of several
rates, then one more run with another seed at the best two.
"""

import dataclasses
import itertools
import statistics
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from experiments.ablation import Ablation, Variant
from experiments.catalogue import load_ablations, shown_path
from experiments.errors import UserError
from experiments.profiles import SHAKESPEARE_CHARACTERS, Profile
from experiments.spec import Probe, RunSpec, Task

# The seeds of the trials, above every seed of a comparison. The first tries all rates, the second
# the best two.
TUNING_SEEDS = (1000, 1001)

# The validation loss of a trial: infinite if it diverged, None if it is not finished.
Score = Callable[[RunSpec], float | None]


@dataclass(frozen=True)
class PlannedRun:
    """A run's place in the study. Equal runs of several ablations are trained once.

    `rate` is the multiple of the base's learning rate that a trial tries; None in other runs.
    """

    ablation: str
    variant: str
    spec: RunSpec
    rate: float | None = None

    @property
    def label(self) -> str:
        """The name of the run in messages."""
        which = f"seed {self.spec.seed}" if self.rate is None else f"rate {self.rate:g}x"
        return f"{which} {self.ablation}/{self.variant}"


class UntunedRun(NamedTuple):
    """A run of a comparison whose learning rate is not chosen yet."""

    ablation: str
    variant: str
    seed: int


@dataclass(frozen=True)
class Plan:
    """The runs of a study.

    trials: runs that only try a learning rate.
    comparison_runs: runs that are compared.
    untuned: further runs to compare, whose learning rates wait for trials.
    rates: the chosen multiples of the base's learning rate, by ablation and tuned variant.
    """

    trials: list[PlannedRun]
    comparison_runs: list[PlannedRun]
    untuned: list[UntunedRun]
    rates: dict[tuple[str, str], float]

    @property
    def runs(self) -> list[PlannedRun]:
        """All runs that can be trained now: the trials and the comparison runs."""
        return [*self.trials, *self.comparison_runs]


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
    """Plan a study: seed by seed, and the longest runs of a seed first.

    Variants are left out if the corpus lacks their task (`without`).

    Raises:
        UserError: variants cannot work; the message names all of them.
    """
    model = profile.base_model(vocab_size)
    base = RunSpec(model=model, recipe=profile.recipe, corpus=corpus_hash, seed=0)
    result, refusals = Plan([], [], [], {}), []
    for name, ablation in ablations.items():
        variants = {variant.name: variant for variant in ablation.variants}
        variant_seeds = range(seeds if ablation.core else fewer_seeds)
        trials: dict[str, list[PlannedRun]] = {}
        for variant in ablation.variants:
            tuned_for = variant.tuned_for
            try:
                spec = variant_spec(base, variant)
                if spec.recipe.task in without:
                    continue
                if tuned_for and tuned_for not in trials:
                    trials[tuned_for] = tuning_trials(
                        name, variants[tuned_for], base, profile.rates, score
                    )
            except (ValueError, TypeError) as error:
                refusals.append(f"{shown_path(name)}: variant '{variant.name}': {error}")
                continue
            if tuned_for:
                rate = best_rate(trials[tuned_for], score)
                if rate is None:
                    result.untuned.extend(
                        UntunedRun(name, variant.name, seed) for seed in variant_seeds
                    )
                    continue
                result.rates[name, tuned_for] = rate
                spec = _at_rate(base, spec, rate)
            result.comparison_runs.extend(
                PlannedRun(name, variant.name, seeded)
                for seeded in comparison_specs(spec, variant_seeds, ablation.probes)
            )
        result.trials.extend(itertools.chain.from_iterable(trials.values()))
    if refusals:
        raise UserError("; ".join(refusals))
    for runs in (result.trials, result.comparison_runs):
        runs.sort(key=lambda run: (run.spec.seed, -run.spec.flops))
    return result


def preliminary_plan(profile: Profile, seeds: int | None) -> list[PlannedRun]:
    """All runs of a study whose corpus is not fetched yet, planned for the default corpus.

    The run ids, the fields that follow from the vocabulary and the tuned learning rates are not
    those of the study.

    Raises:
        UserError: variants cannot work; the message names all of them.
    """
    return plan(
        profile,
        load_ablations(),
        vocab_size=SHAKESPEARE_CHARACTERS,
        corpus_hash="",
        seeds=seeds or profile.seeds,
        fewer_seeds=seeds or profile.fewer_seeds,
        score=lambda spec: spec.recipe.learning_rate,  # as if the lowest rate were always chosen
    ).runs


def variant_spec(base: RunSpec, variant: Variant) -> RunSpec:
    """The run of a variant, with the base's seed.

    Raises:
        ValueError, TypeError: the variant cannot work.
    """
    model, recipe = variant.applied_to(base.model, base.recipe)
    return dataclasses.replace(base, model=model, recipe=recipe)


def comparison_specs(
    spec: RunSpec, seeds: Iterable[int], probes: Sequence[Probe]
) -> Iterator[RunSpec]:
    """The same run with every seed, and with probes."""
    for seed in seeds:
        # Samples and the atlas are for reading, so one seed is enough.
        chosen = tuple(p for p in probes if seed == 0 or p not in ("samples", "atlas"))
        yield dataclasses.replace(spec, seed=seed, probes=chosen)


def tuning_trials(
    ablation: str, variant: Variant, base: RunSpec, rates: Sequence[float], score: Score
) -> list[PlannedRun]:
    """The trials of a variant: all rates with the first seed, and the best two with the second.

    The second seed is there because a rate may be lucky with one seed. Its trials follow when those
    of the first seed are finished.

    Raises:
        ValueError, TypeError: the variant cannot work.
    """
    first_seed, second_seed = TUNING_SEEDS
    spec = dataclasses.replace(variant_spec(base, variant), seed=first_seed, tuning=True)
    trials = {
        rate: PlannedRun(ablation, variant.name, _at_rate(base, spec, rate), rate) for rate in rates
    }
    finalists = [trials[rate] for rate in ranked(trials.values(), score)[:2]]
    return [
        *trials.values(),
        *(
            dataclasses.replace(trial, spec=dataclasses.replace(trial.spec, seed=second_seed))
            for trial in finalists
        ),
    ]


def best_rate(trials: Sequence[PlannedRun], score: Score) -> float | None:
    """The rate with the lowest mean validation loss over both seeds; None before all are finished.

    Only the rates that were tried with both seeds are compared.
    """
    finalists = {trial.rate for trial in trials if trial.spec.seed == TUNING_SEEDS[1]}
    ranking = ranked([trial for trial in trials if trial.rate in finalists], score)
    return ranking[0] if ranking else None


def ranked(trials: Iterable[PlannedRun], score: Score) -> list[float]:
    """The rates of the trials in ascending order of mean validation loss over seeds.

    Of two rates with equal losses the lower comes first. Empty while any trial is not finished.
    """
    losses: dict[float, list[float]] = {}
    for trial in trials:
        loss = score(trial.spec)
        if loss is None or trial.rate is None:
            return []
        losses.setdefault(trial.rate, []).append(loss)
    return sorted(losses, key=lambda rate: (statistics.fmean(losses[rate]), rate))


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


def _at_rate(base: RunSpec, spec: RunSpec, rate: float) -> RunSpec:
    """The run at a multiple of the base's learning rate."""
    learning_rate = rate * base.recipe.learning_rate
    recipe = dataclasses.replace(spec.recipe, learning_rate=learning_rate)
    return dataclasses.replace(spec, recipe=recipe)
