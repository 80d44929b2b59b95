"""The loss of every task: cross-entropy in nats."""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

from experiments.recipe import Recipe
from model.mechanism import mechanism

IGNORED = -100  # a target that does not count: padding, or a token that was not hidden


def cross_entropy(
    logits: Tensor, targets: Tensor, label_smoothing: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """Cross-entropy in nats over the targets that are not `IGNORED`.

    logits: [..., classes]; targets: [...]. With label smoothing e the target distribution is
    1 - e on the true class plus e spread evenly over all classes (Szegedy 2016). The mean over no
    targets is NaN.
    """
    return F.cross_entropy(
        logits.flatten(0, -2),
        targets.flatten(),
        ignore_index=IGNORED,
        label_smoothing=label_smoothing,
        reduction=reduction,
    )


def smoothed(logits: Tensor, targets: Tensor, recipe: Recipe) -> Tensor:
    """Cross-entropy with the recipe's label smoothing."""
    return cross_entropy(logits, targets, recipe.label_smoothing)


LOSSES: dict[str, Callable[[Tensor, Tensor, Recipe], Tensor]] = {"cross_entropy": smoothed}


def training_loss(logits: Tensor, targets: Tensor, recipe: Recipe) -> Tensor:
    """The loss that a training minimises: the one that the recipe names."""
    loss: Tensor = mechanism(recipe.loss, LOSSES)(logits, targets, recipe)
    return loss
