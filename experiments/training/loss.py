"""The loss that every task trains on."""

import torch.nn.functional as F
from torch import Tensor

IGNORED = -100  # a target that counts for nothing: padding, or a token that was not hidden


def cross_entropy(
    logits: Tensor, targets: Tensor, label_smoothing: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """Cross-entropy in nats over the targets that are not `IGNORED`.

    logits: [..., classes]; targets: [...]. With label smoothing e the target is 1 - e on the right
    class and e spread evenly over all (Szegedy 2016). The mean of no targets at all is NaN.
    """
    return F.cross_entropy(
        logits.flatten(0, -2),
        targets.flatten(),
        ignore_index=IGNORED,
        label_smoothing=label_smoothing,
        reduction=reduction,
    )
