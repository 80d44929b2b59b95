"""What probes look at: a trained language model with what it was trained on, and its losses."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from experiments.spec import RunSpec
from experiments.training.loss import cross_entropy
from experiments.training.tasks import LanguageModelling
from experiments.training.torch_setup import autocast_context
from experiments.training.windows import evaluation_starts, windows_at

ProbeTables = dict[str, list[dict[str, Any]]]  # rows by table

_AT_ONCE = 8192  # tokens that are evaluated at once


class TrainedModel(NamedTuple):
    """A trained network, and what it was trained on."""

    model: nn.Module
    spec: RunSpec
    task: LanguageModelling


def validation_losses(subject: TrainedModel, length: int, windows: int) -> Tensor:
    """Loss in nats of each token of fixed validation windows of any length: [windows, length].

    Raises:
        ValueError: the length is more than the positional encoding knows.
    """
    tokens = subject.task.tokens["val"]
    starts = evaluation_starts(len(tokens), length, windows).to(tokens.device)
    found = []
    for some in starts.split(max(1, _AT_ONCE // length)):
        inputs, targets = windows_at(tokens, some, length)
        with autocast_context(subject.spec.recipe.precision, inputs.device):
            logits = subject.model(inputs)
        found.append(cross_entropy(logits.float(), targets, reduction="none").view(targets.shape))
    return torch.cat(found)
