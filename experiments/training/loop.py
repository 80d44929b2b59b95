"""The training loop: a generator of events. It writes no file and calls nobody back."""

import math
import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from experiments.recipe import Recipe
from experiments.spec import RunSpec
from experiments.training.evaluate import evaluate
from experiments.training.events import End, Evaluation, Event, TrainingPoint, TrainingState
from experiments.training.loss import training_loss
from experiments.training.optim import learning_rate_at
from experiments.training.tasks import Batch, Task
from experiments.training.torch_setup import autocast_context, configure_compiler

LossFunction = Callable[[tuple[Tensor, ...], Tensor], Tensor]


def train(spec: RunSpec, task: Task, state: TrainingState) -> Iterator[Event]:
    """Train `state.model` from `state.step` to the recipe's last step.

    `state` advances in place. Yields a `TrainingPoint` every `log_every` steps, an `Evaluation`
    before the first step and wherever `Recipe.evaluates_after` holds, and an `End`. A training
    whose loss is not finite ends early.
    """
    recipe, model = spec.recipe, state.model
    loss_of = loss_function(model, recipe)
    if state.step == 0:
        yield evaluation(spec, task, state)
    model.train()
    if recipe.compiled and state.step < recipe.steps:
        began = time.perf_counter()
        loss_of = compiled(loss_of, model, task.training(state.step))
        state.compile_seconds += time.perf_counter() - began
    losses: list[Tensor] = []
    norms: list[Tensor] = []
    began = time.perf_counter()
    while state.step < recipe.steps:
        learning_rate = learning_rate_at(state.step, recipe)
        for group in state.optimizer.param_groups:
            group["lr"] = learning_rate
        loss, norm = training_step(loss_of, task.training(state.step), state, recipe.gradient_clip)
        losses.append(loss)
        norms.append(norm)
        state.step += 1

        evaluate_now = recipe.evaluates_after(state.step)
        if not evaluate_now and state.step % recipe.log_every:
            continue
        # Reading the losses waits for the device, so they are read here only.
        mean = torch.stack(losses).float().mean().item()
        gradient_norm = torch.stack(norms).float().mean().item()
        state.seconds += time.perf_counter() - began
        yield TrainingPoint(state.step, state.seconds, mean, learning_rate, gradient_norm)
        losses, norms = [], []
        if not math.isfinite(mean):
            yield End(state.step, state.seconds, f"the loss was {mean} by step {state.step}")
            return
        if evaluate_now:
            yield evaluation(spec, task, state)
            model.train()
        began = time.perf_counter()
    yield End(state.step, state.seconds)


def loss_function(model: nn.Module, recipe: Recipe) -> LossFunction:
    """The training loss of a batch, in the recipe's precision."""

    def loss_of(inputs: tuple[Tensor, ...], targets: Tensor) -> Tensor:
        with autocast_context(recipe.precision, targets.device):
            return training_loss(model(*inputs), targets, recipe)

    return loss_of


def training_step(
    loss_of: LossFunction, batch: Batch, state: TrainingState, gradient_clip: float
) -> tuple[Tensor, Tensor]:
    """One step of the optimizer: forward pass, loss, backward pass, clipping and update.

    Returns the loss, and the norm of the gradient before clipping. Neither is waited for.
    """
    loss = loss_of(*batch)
    state.optimizer.zero_grad()
    loss.backward()
    norm = nn.utils.clip_grad_norm_(state.model.parameters(), gradient_clip)
    state.optimizer.step()
    return loss.detach(), norm.detach()


def compiled(loss_of: LossFunction, model: nn.Module, batch: Batch) -> LossFunction:
    """The loss function, compiled for batches like this one.

    One forward and backward pass compiles it. The weights, the gradients and the random state are
    the same afterwards.
    """
    device = batch.targets.device
    configure_compiler(device)
    fast = torch.compile(loss_of)
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        fast(*batch).backward()
    model.zero_grad()
    return fast


def evaluation(spec: RunSpec, task: Task, state: TrainingState) -> Evaluation:
    """Evaluate the network on the validation split. The network is left in evaluation mode."""
    recipe, began = spec.recipe, time.perf_counter()
    scores = evaluate(state.model, task, "val", recipe.eval_windows, recipe.precision)
    state.evaluation_seconds += time.perf_counter() - began
    return Evaluation(state.step, state.seconds, **vars(scores))
