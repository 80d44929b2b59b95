"""The bigram: a network that is counted from the training batches instead of trained."""

import time
from collections.abc import Iterator

import torch
from torch import Tensor

from experiments.spec import RunSpec
from experiments.training.events import End, Event, TrainingPoint, TrainingState
from experiments.training.loop import evaluation
from experiments.training.loss import cross_entropy
from experiments.training.tasks import Task
from model.networks.bigram import Bigram


def count(spec: RunSpec, task: Task, state: TrainingState) -> Iterator[Event]:
    """Count the bigrams of the same batches that other networks are trained on.

    Yields the same events at the same steps as `experiments.training.loop.train`. The training
    loss of a batch is taken before the batch is counted.

    Raises:
        TypeError: the network is not a bigram.
    """
    recipe, model = spec.recipe, state.model
    if not isinstance(model, Bigram):
        raise TypeError(f"only a bigram can be counted, not {type(model).__name__}")
    if state.step == 0:
        yield evaluation(spec, task, state)
    losses: list[Tensor] = []
    began = time.perf_counter()
    while state.step < recipe.steps:
        (window,), targets = task.training(state.step)
        losses.append(cross_entropy(model(window), targets, recipe.label_smoothing))
        model.count(window, targets)
        state.step += 1
        evaluate_now = recipe.evaluates_after(state.step)
        if not evaluate_now and state.step % recipe.log_every:
            continue
        mean = torch.stack(losses).float().mean().item()
        state.seconds += time.perf_counter() - began
        yield TrainingPoint(state.step, state.seconds, mean)
        losses = []
        if evaluate_now:
            yield evaluation(spec, task, state)
        began = time.perf_counter()
    yield End(state.step, state.seconds)
