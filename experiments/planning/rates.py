"""Which variants share a learning rate, and the sweep that chooses each of these rates.

An arm is a variant that a claim about learning weighs. Arms of core ablations are tuned. Other arms
are checked against half and twice their rate, and tuned where one of these is better.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from experiments.ablation import Ablation, Claim, Variant
from experiments.planning.tuning import TUNING_SEEDS, Sweep, sweep
from experiments.recipe import TEXT_TASKS, guess_loss
from experiments.spec import RunSpec

_ENOUGH = 0.02  # nats: least gain by another rate, for arms whose claims have no margin in nats
_LEARNT_NOTHING = 0.99  # share of the loss of a guess, above which a trial counts as failed

# The validation loss of a trial: infinite if it diverged, None if it is not finished.
Score = Callable[[RunSpec], float | None]


@dataclass(frozen=True)
class CorpusFacts:
    """The facts of a corpus that decide a plan.

    unigram_loss: loss of a guess by token frequency, in nats per token.
    tokens_per_character: of the validation split.
    """

    vocab_size: int
    hash: str
    unigram_loss: float = math.inf
    tokens_per_character: float = 1.0


def variant_spec(base: RunSpec, variant: Variant) -> RunSpec:
    """The run of a variant, with the base's seed.

    Raises:
        ValueError, TypeError: the variant cannot work.
    """
    model, recipe = variant.applied_to(base.model, base.recipe)
    return dataclasses.replace(base, model=model, recipe=recipe)


def at_rate(spec: RunSpec, rate: float) -> RunSpec:
    """The run at a multiple of its learning rate."""
    recipe = dataclasses.replace(spec.recipe, learning_rate=rate * spec.recipe.learning_rate)
    return dataclasses.replace(spec, recipe=recipe)


class Rates:
    """The learning rates of all variants, chosen by sweeps at every budget.

    Args:
        bases: the run of the base at each budget of the profile.
        ablations: all ablations by name.
        corpus: the corpus.
        score: losses of trials; None chooses the rates in the files.
    """

    def __init__(
        self,
        bases: Mapping[int, RunSpec],
        ablations: Mapping[str, Ablation],
        corpus: CorpusFacts,
        score: Score | None,
    ) -> None:
        self.bases, self.ablations, self.corpus, self.score = bases, ablations, corpus, score
        self.cache: dict[tuple[str, int], Sweep] = {}

    def source(self, ablation: Ablation, variant: Variant) -> Variant | None:
        """The variant whose sweep decides the learning rate of `variant`, which may be the same.

        A variant that is no arm has the rate of the ablation's baseline. None if there is nothing
        to choose: the rate is the one of the file.
        """
        if variant.fixed_rate:
            return None
        variants = {each.name: each for each in ablation.variants}
        if variant.tuned_for:
            source = variants[variant.tuned_for]
        else:
            arms = _arms(ablation)
            source = variant if variant.name in arms else variants[ablation.baseline]
            if source.name not in arms:
                return None
            source = variants[source.tuned_for or source.name]
        return None if source.changes.get("model.family") == "bigram" else source

    @functools.cached_property
    def treatments(self) -> dict[str, tuple[bool, float]]:
        """Whether a core ablation needs a sweep, and the least margin of the claims about it.

        The keys are run ids of trials: variants of several ablations that are the same run have one
        treatment, and so one rate. The margin is in nats per character.
        """
        treatments: dict[str, tuple[bool, float]] = {}
        for ablation in self.ablations.values():
            arms = _arms(ablation)
            for variant in ablation.variants:
                try:
                    source = self.source(ablation, variant)
                    key = source and self.trial(source, 1, 0, TUNING_SEEDS[0]).run_id
                except (ValueError, TypeError):
                    continue  # the variant is refused, with its reason, where its runs are planned
                if key:
                    core, least = treatments.get(key, (False, math.inf))
                    margin = arms.get(variant.name, math.inf)
                    treatments[key] = (core or ablation.core, min(least, margin))
        return treatments

    def sweep(self, variant: Variant, budget: int) -> Sweep:
        """The sweep of an arm at a budget, as far as its trials are finished."""
        name = self.trial(variant, 1, 0, TUNING_SEEDS[0]).run_id
        if (name, budget) not in self.cache:
            centre: int | None = 0
            if shallower := [each for each in self.bases if each < budget]:
                centre = self.sweep(variant, shallower[-1]).chosen
            if centre is None:
                self.cache[name, budget] = Sweep()  # its trials are not known yet
            else:
                core, margin = self.treatments[name]
                margin = margin if math.isfinite(margin) else _ENOUGH
                self.cache[name, budget] = sweep(
                    lambda exponent, seed: self._loss(variant, budget, exponent, seed),
                    centre,
                    deeper=bool(shallower),
                    enough=None if core else margin / self.corpus.tokens_per_character,
                )
        return self.cache[name, budget]

    def sweeps_up_to(self, variant: Variant, budget: int) -> dict[int, Sweep]:
        """The sweeps of an arm at a budget and at all shallower budgets of the profile."""
        return {each: self.sweep(variant, each) for each in self.bases if each <= budget}

    def trial(self, variant: Variant, budget: int, exponent: int, seed: int) -> RunSpec:
        """The run that tries a rate, 2 to the power of `exponent` times that of the file."""
        spec = at_rate(variant_spec(self.bases[budget], variant), 2.0**exponent)
        # Only the loss at the end counts.
        recipe = dataclasses.replace(spec.recipe, eval_every=spec.recipe.steps)
        return dataclasses.replace(spec, recipe=recipe, seed=seed, tuning=True)

    def _loss(self, variant: Variant, budget: int, exponent: int, seed: int) -> float | None:
        """The loss of a trial: infinite if it has learnt nothing, None if it is not finished."""
        if self.score is None:
            return float(abs(exponent))
        spec = self.trial(variant, budget, exponent, seed)
        loss = self.score(spec)
        if loss is None:
            return None
        return math.inf if loss >= _LEARNT_NOTHING * self._guess(spec) else loss

    def _guess(self, spec: RunSpec) -> float:
        """Loss of a guess that ignores the input, in nats per target."""
        if spec.recipe.task in TEXT_TASKS:
            return self.corpus.unigram_loss
        return guess_loss(spec.recipe.task, spec.model.vocab_size, spec.model.n_classes)


def _arms(ablation: Ablation) -> dict[str, float]:
    """The variants that claims about learning weigh, and those whose rates these variants share,
    with the least margin of the claims.

    Variants whose file decides their learning rate are none of them.
    """
    arms: dict[str, float] = {}
    for claim in ablation.claims:
        for variant in ablation.variants:
            if claim.learnt and variant.name in claim.effect and not variant.fixed_rate:
                for name in {variant.name, variant.tuned_for or variant.name}:
                    arms[name] = min(arms.get(name, math.inf), _margin(claim))
    return arms


def _margin(claim: Claim) -> float:
    """A claim's margin in nats per character, or a usual one where it is in another unit."""
    margin = claim.margin_in_nats
    return _ENOUGH if margin is None else margin
