"""Training steps on random tokens, as functions to be timed."""

from collections.abc import Callable, Iterable
from functools import partial

import torch

from experiments.metrics import step_name
from experiments.planning.rates import variant_spec
from experiments.records.study import Study
from experiments.spec import RunSpec
from experiments.training.events import TrainingState
from experiments.training.loop import compiled, loss_function, training_step
from experiments.training.tasks import Batch


def step_specs(study: Study, names: Iterable[str]) -> dict[str, RunSpec]:
    """The runs of those variants whose training steps are among the names of measurements.

    Neither the budget nor the learning rate changes what a step takes, so they are the base's.
    """
    base = RunSpec(model=study.base, recipe=study.profile.recipe, corpus=study.corpus_hash, seed=0)
    wanted = set(names)
    return {
        step: variant_spec(base, variant)
        for name, ablation in study.ablations.items()
        for variant in ablation.variants
        if (step := step_name(name, variant.name)) in wanted
    }


def step_function(spec: RunSpec, device: torch.device) -> Callable[[], object]:
    """A function that takes a training step of a run, always on the same random batch."""
    state, batch = TrainingState.initial(spec, device), random_batch(spec, device)
    state.model.train()
    loss = loss_function(state.model, spec.recipe)
    if spec.recipe.compiled:
        loss = compiled(loss, state.model, batch)
    return partial(training_step, loss, batch, state, spec.recipe.gradient_clip)


def random_batch(spec: RunSpec, device: torch.device) -> Batch:
    """A batch of random tokens in the shapes of a run's training batches."""
    config = spec.model
    inputs = 2 if config.family == "encoder_decoder" else 1  # which fill one context together
    shape = (spec.recipe.batch_size, config.context_length // inputs)
    tokens, targets = torch.randint(config.vocab_size, (2, *shape), device=device)
    if config.n_classes:
        targets = targets[:, 0] % config.n_classes
    return Batch((tokens,) * inputs, targets)
