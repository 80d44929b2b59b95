"""A trained language model with its task, as probes take it, and its losses by token."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from experiments.spec import RunSpec
from experiments.training.loss import cross_entropy
from experiments.training.tasks import LanguageModelling
from experiments.training.torch_setup import autocast_context
from experiments.training.windows import evaluation_starts, windows_at

ProbeTables = dict[str, list[dict[str, Any]]]  # rows by table

_CHUNK = 8192  # tokens evaluated at once


class TrainedModel(NamedTuple):
    """A trained language model with its spec and its task."""

    model: nn.Module
    spec: RunSpec
    task: LanguageModelling


def validation_losses(trained: TrainedModel, length: int, windows: int) -> Tensor:
    """Loss of every token of fixed validation windows, in nats per token: [windows, length].

    Raises:
        ValueError: the network's positions end before `length`.
    """
    tokens = trained.task.tokens["val"]
    starts = evaluation_starts(len(tokens), length, windows).to(tokens.device)
    losses = []
    for chunk in starts.split(max(1, _CHUNK // length)):
        inputs, targets = windows_at(tokens, chunk, length)
        with autocast_context(trained.spec.recipe.precision, inputs.device):
            logits = trained.model(inputs)
        losses.append(cross_entropy(logits.float(), targets, reduction="none").view(targets.shape))
    return torch.cat(losses)
