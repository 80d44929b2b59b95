"""Probe of activations and gradients by layer."""

from typing import Any

import torch
from torch import Tensor, nn

from experiments.training.loss import cross_entropy
from experiments.training.tasks import Batch
from model.networks.stack import Stack


def layers(model: nn.Module, step: int, batch: Batch) -> list[dict[str, Any]]:
    """Size of the output and of the gradient of every sublayer, on one batch.

    `output_rms` is the root mean square of the sublayer's output. `gradient_norm` is the norm of
    the loss's gradient with respect to the sublayer's last matrix (Xiong 2020, theorem 1). No
    gradients are left in the network. A network without layers has no rows.
    """
    if not isinstance(model, Stack):
        return []
    sublayers = [
        (layer, part, getattr(module, part).inner)
        for layer, module in enumerate(model.layers)
        for part in ("attention", "feed_forward")
    ]
    sizes: list[float] = []

    def measure(_: nn.Module, inputs: Any, output: Tensor) -> None:
        sizes.append(output.detach().float().square().mean().sqrt().item())

    hooks = [inner.register_forward_hook(measure) for _, _, inner in sublayers]
    loss = cross_entropy(model(*batch.inputs), batch.targets)
    gradients = torch.autograd.grad(loss, [inner.output.weight for _, _, inner in sublayers])
    for hook in hooks:
        hook.remove()
    return [
        {
            "step": step,
            "layer": layer,
            "part": part,
            "output_rms": size,
            "gradient_norm": gradient.norm().item(),
        }
        for (layer, part, _), size, gradient in zip(sublayers, sizes, gradients, strict=True)
    ]


def layer_measures(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Gradient norm of the last feed-forward sublayer before the first step, as a measure.

    rows: what `layers` returned over a training.
    """
    norms = [
        row["gradient_norm"] for row in rows if row["step"] == 0 and row["part"] == "feed_forward"
    ]
    return [{"measure": "last_layer_gradient", "value": norm} for norm in norms[-1:]]
