"""Evaluation: a network's scores on fixed examples of a split."""

import math
from typing import NamedTuple

import torch
from torch import nn

from experiments.spec import Precision
from experiments.training.loss import IGNORED, cross_entropy
from experiments.training.tasks import Task
from experiments.training.torch_setup import autocast_context


class Scores(NamedTuple):
    """What an evaluation finds: mean cross-entropy in nats per target, the share of targets that
    were the likeliest answer, and the share of examples of which every target was. NaN of nothing.
    """

    loss: float
    accuracy: float
    exact_match: float


@torch.no_grad()
def evaluate(
    model: nn.Module, task: Task, split: str, examples: int, precision: Precision
) -> Scores:
    """Scores on at most so many fixed examples of a split, without dropout.

    A sequence of which every target is the likeliest, the ones before it given, is the sequence
    that greedy generation writes: its exact match needs no generation.
    """
    model.eval()
    losses, counted, right, matched, asked = [], [], [], [], []
    for inputs, targets in task.evaluation(split, examples):
        with autocast_context(precision, targets.device):
            logits = model(*inputs)
        losses.append(cross_entropy(logits.float(), targets, reduction="sum"))
        counts = (targets != IGNORED).view(len(targets), -1)
        hits = (logits.argmax(-1) == targets).view(len(targets), -1)
        counted.append(counts.sum())
        right.append((hits & counts).sum())
        asked.append(counts.any(dim=1).sum())
        matched.append(((hits | ~counts).all(dim=1) & counts.any(dim=1)).sum())
    model.train()
    if not losses:
        return Scores(math.nan, math.nan, math.nan)
    # float64 on the processor: not every device has it
    total = torch.stack(losses).cpu().double().sum().item()
    n_targets, n_right, n_asked, n_matched = (
        torch.stack(counts).sum().item() for counts in (counted, right, asked, matched)
    )
    return Scores(total / n_targets, n_right / n_targets, n_matched / n_asked)
