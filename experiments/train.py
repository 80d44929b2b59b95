"""The training loop, and how a model is evaluated."""

import contextlib
import math
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from experiments.batches import batch_starts, evaluation_starts, load_tokens, windows_at
from experiments.corpus import SPLITS, Corpus
from experiments.loss import cross_entropy
from experiments.optimisation import build_optimizer, learning_rate_at
from experiments.spec import Precision, RunSpec
from model import build
from model.bigram import Bigram


def train(
    spec: RunSpec, corpus: Corpus, device: torch.device, record: Callable[..., None]
) -> dict[str, Any]:
    """Train one network and evaluate it on every split.

    `record(step=, tokens=, seconds=, split=, loss=, learning_rate=, gradient_norm=)` is called for
    every point of the curves: the mean training loss of the steps since the last point, and the
    validation loss. With label smoothing the training loss is the smoothed one. Seconds count
    training alone, not evaluation.

    Returns the run's summary: status "done" or "diverged", the reason, and its measurements.
    Losses are in nats per token; they are missing from a diverged run.
    """
    recipe, context = spec.recipe, spec.model.context_length
    torch.manual_seed(spec.seed)
    model = build(spec.model).to(device)
    optimizer = build_optimizer(model, recipe)
    tokens = {split: load_tokens(corpus, split, device) for split in SPLITS}
    starts = batch_starts(
        spec.seed, recipe.steps, recipe.batch_size, len(tokens["train"]) - context
    )
    starts = starts.to(device)
    losses: list[Tensor] = []
    norms: list[Tensor] = []
    seconds, status, reason, step = 0.0, "done", "", 0

    def evaluate(split: str, windows: int) -> float:
        return mean_loss(model, tokens[split], context, windows, spec.precision)

    def record_point(split: str, loss: float, **more: float) -> None:
        record(
            step=step,
            tokens=step * recipe.batch_size * context,
            seconds=seconds,
            split=split,
            loss=loss,
            **more,
        )

    record_point("val", evaluate("val", recipe.eval_windows))
    began = time.perf_counter()
    while step < recipe.steps:
        learning_rate = learning_rate_at(step, recipe)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate
        inputs, targets = windows_at(tokens["train"], starts[step], context)
        with precision_context(spec.precision, device):
            loss = cross_entropy(model(inputs), targets, recipe.label_smoothing)
        if isinstance(model, Bigram):
            model.count(inputs, targets)
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
                record_point("val", evaluate("val", recipe.eval_windows))
            began = time.perf_counter()

    final = {}
    if status == "done":
        final = {f"{split}_loss": evaluate(split, recipe.final_eval_windows) for split in SPLITS}
        if not math.isfinite(final["val_loss"]):
            status, reason, final = "diverged", "the final validation loss is not finite", {}
    trained = step * recipe.batch_size * context
    return {
        "status": status,
        "reason": reason,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "steps": step,
        "tokens": trained,
        "train_seconds": seconds,
        "tokens_per_second": trained / seconds,
        **{name: loss for name, loss in final.items() if not math.isnan(loss)},
    }


def precision_context(
    precision: Precision, device: torch.device
) -> contextlib.AbstractContextManager[None]:
    """Autocast to bfloat16, or nothing for float32."""
    if precision == "bf16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return contextlib.nullcontext()


@torch.no_grad()
def mean_loss(
    model: nn.Module, tokens: Tensor, context_length: int, windows: int, precision: Precision
) -> float:
    """Mean cross-entropy in nats per token over fixed windows of a split, without dropout.

    NaN for a split that is too short to hold a window.
    """
    if len(tokens) <= context_length:
        return math.nan
    model.eval()
    starts = evaluation_starts(len(tokens), context_length, windows).to(tokens.device)
    sums = []
    for some in starts.split(64):
        inputs, targets = windows_at(tokens, some, context_length)
        with precision_context(precision, tokens.device):
            logits = model(inputs)
        sums.append(cross_entropy(logits.float(), targets, reduction="sum"))
    model.train()
    # float64 on the processor: not every device has it
    return torch.stack(sums).cpu().double().sum().item() / (len(starts) * context_length)
