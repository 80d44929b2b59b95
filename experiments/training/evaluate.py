"""Evaluation: the scores of a network on fixed examples of a split."""

import math
from dataclasses import dataclass

import torch
from torch import nn

from experiments.recipe import SPLITS, Precision
from experiments.spec import RunSpec
from experiments.training.loss import IGNORED, cross_entropy
from experiments.training.tasks import Task
from experiments.training.torch_setup import autocast_context


@dataclass(frozen=True)
class Scores:
    """Scores over all targets of an evaluation; NaN where there are no examples.

    loss: mean cross-entropy, in nats per target.
    accuracy: share of targets that the network ranks first.
    exact_match: share of examples in which the network ranks every target first.
    """

    loss: float
    accuracy: float
    exact_match: float


@torch.no_grad()
def evaluate(
    model: nn.Module, task: Task, split: str, examples: int, precision: Precision
) -> Scores:
    """Scores on at most `examples` fixed examples of a split, without dropout.

    The network is left in evaluation mode. Targets are predicted with the true tokens before them
    given. An example counts as an exact match when every target is ranked first, which is the case
    if and only if greedy generation writes the example, so no text has to be generated.
    """
    model.eval()
    losses, targets_seen, hits, examples_seen, matches = [], [], [], [], []
    for inputs, targets in task.evaluation(split, examples):
        with autocast_context(precision, targets.device):
            logits = model(*inputs)
        losses.append(cross_entropy(logits.float(), targets, reduction="sum"))
        counts = (targets != IGNORED).view(len(targets), -1)
        hit = (logits.argmax(-1) == targets).view(len(targets), -1)
        targets_seen.append(counts.sum())
        hits.append((hit & counts).sum())
        examples_seen.append(counts.any(dim=1).sum())
        matches.append(((hit | ~counts).all(dim=1) & counts.any(dim=1)).sum())
    if not losses:
        return Scores(math.nan, math.nan, math.nan)
    # float64 on the processor: not every device has float64.
    total_loss = torch.stack(losses).cpu().double().sum().item()
    n_targets, n_hits, n_examples, n_matches = (
        torch.stack(counts).sum().item() for counts in (targets_seen, hits, examples_seen, matches)
    )
    return Scores(total_loss / n_targets, n_hits / n_targets, n_matches / n_examples)


def final_scores(
    spec: RunSpec, task: Task, model: nn.Module, validation: Scores | None = None
) -> dict[str, float]:
    """Scores of a trained network on every split, as `val_loss`, `test_accuracy` and so on.

    A run that only tries a learning rate is evaluated on the validation split alone. Splits that
    are too short for an example are left out.

    Args:
        spec: the run.
        task: the run's task.
        model: the trained network.
        validation: scores on the validation split, if the network was evaluated on it already.
    """
    recipe = spec.recipe
    scores: dict[str, float] = {}
    for split in ("val",) if spec.tuning else SPLITS:
        if split == "val" and validation is not None:
            result = validation
        else:
            result = evaluate(model, task, split, recipe.eval_windows, recipe.precision)
        scores |= {f"{split}_{name}": value for name, value in vars(result).items()}
    return {name: value for name, value in scores.items() if not math.isnan(value)}


def divergence(spec: RunSpec, val_loss: float) -> str:
    """The reason why a finished language model counts as diverged; empty if it does not.

    A language model counts as diverged if its final validation loss is more than twice the loss of
    a uniform guess, or not a number.
    """
    uniform_loss = math.log(spec.model.vocab_size)
    too_high = spec.recipe.task == "language" and val_loss > 2 * uniform_loss
    if too_high or not math.isfinite(val_loss):
        return f"the final validation loss is {val_loss:.4g}, a guess {uniform_loss:.3g}"
    return ""
