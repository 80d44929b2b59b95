"""The training loop, and how a model is evaluated."""

import math
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from experiments.data.corpus import SPLITS, Corpus
from experiments.spec import TUNING_SEED, RunSpec
from experiments.training.checkpoint import Checkpoint
from experiments.training.evaluate import Scores, evaluate
from experiments.training.loss import cross_entropy
from experiments.training.optim import build_optimizer, learning_rate_at
from experiments.training.tasks import TASKS, Task
from experiments.training.torch_setup import autocast_context
from model import build
from model.networks.bigram import Bigram


def train(
    spec: RunSpec,
    corpus: Corpus,
    device: torch.device,
    record: Callable[..., None],
    observe: Callable[[int, nn.Module, Task], None] = lambda *_: None,
    checkpoint: Checkpoint | None = None,
) -> dict[str, Any]:
    """Train one network and evaluate it on every split; on the test split, only a run that is
    compared with others.

    `record(step=, tokens=, seconds=, split=, loss=, learning_rate=, gradient_norm=)` is called for
    every point of the curves: the mean training loss of the steps since the last point, and the
    validation loss. With label smoothing the training loss is the smoothed one. Seconds count
    training alone, not evaluation. `observe(step, model, task)` is called after every evaluation,
    with the network as it is evaluated; it must leave no random number drawn. With a checkpoint,
    training goes on from where that stands, and leaves where it stands after evaluations.

    Returns the run's summary: status "done" or "diverged", the reason, and its measurements.
    Losses are in nats per target; scores are missing from a diverged run.
    """
    recipe = spec.recipe
    torch.manual_seed(spec.seed)
    model = build(spec.model).to(device)
    optimizer = build_optimizer(model, recipe)
    task = TASKS[recipe.task](spec, corpus, device)
    losses: list[Tensor] = []
    norms: list[Tensor] = []
    status, reason, step, seconds = "done", "", 0, 0.0
    if checkpoint:
        step, seconds = checkpoint.restore(model, optimizer)

    def loss_of(inputs: tuple[Tensor, ...], targets: Tensor) -> Tensor:
        with autocast_context(recipe.precision, device):
            return cross_entropy(model(*inputs), targets, recipe.label_smoothing)

    counted = isinstance(model, Bigram)  # and not trained: there is nothing to compile
    training_loss = torch.compile(loss_of) if recipe.compiled and not counted else loss_of

    def evaluated(split: str, examples: int) -> Scores:
        return evaluate(model, task, split, examples, recipe.precision)

    def look() -> None:
        record_point("val", evaluated("val", recipe.eval_windows).loss)
        model.eval()
        observe(step, model, task)
        model.train()

    def record_point(split: str, loss: float, **more: float) -> None:
        record(
            step=step,
            tokens=step * spec.tokens_per_step,
            seconds=seconds,
            split=split,
            loss=loss,
            **more,
        )

    if step == 0:
        look()
    began = time.perf_counter()
    while step < recipe.steps:
        learning_rate = learning_rate_at(step, recipe)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate
        inputs, targets = task.training(step)
        loss = training_loss(inputs, targets)
        if isinstance(model, Bigram):
            model.count(inputs[0], targets)
        else:
            optimizer.zero_grad()
            loss.backward()
            norm = nn.utils.clip_grad_norm_(model.parameters(), recipe.gradient_clip)
            optimizer.step()
            norms.append(norm.detach())
        losses.append(loss.detach())
        step += 1

        last = step == recipe.steps
        if step % recipe.log_every == 0 or step % recipe.eval_every == 0 or last:
            # Reading the losses waits for the device, so it is done here only.
            mean = torch.stack(losses).float().mean().item()
            gradient_norm = torch.stack(norms).float().mean().item() if norms else math.nan
            seconds += time.perf_counter() - began
            record_point("train", mean, learning_rate=learning_rate, gradient_norm=gradient_norm)
            losses, norms = [], []
            if not math.isfinite(mean):
                status, reason = "diverged", f"the loss was {mean} by step {step}"
                break
            if step % recipe.eval_every == 0 or last:
                look()
                if checkpoint:
                    checkpoint.save(step, seconds, model, optimizer)
            began = time.perf_counter()

    final: dict[str, float] = {}
    if status == "done":
        for split in SPLITS:
            if split == "test" and spec.seed >= TUNING_SEED:
                continue  # what a choice is made from has no look at it
            scores = evaluated(split, recipe.final_windows(split))
            final |= {f"{split}_{name}": value for name, value in scores._asdict().items()}
        guess = math.log(spec.model.vocab_size)
        lost = recipe.task == "language" and final["val_loss"] > 2 * guess
        if lost or not math.isfinite(final["val_loss"]):
            reason = f"the final validation loss is {final['val_loss']:.4g}, a guess {guess:.3g}"
            status, final = "diverged", {}
    trained = step * spec.tokens_per_step
    return {
        "status": status,
        "reason": reason,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "steps": step,
        "tokens": trained,
        "train_seconds": seconds,
        "tokens_per_second": trained / seconds,
        **{name: value for name, value in final.items() if not math.isnan(value)},
    }
