"""What is looked at in a language model besides its loss, each probe by its name.

A probe takes a trained network and gives rows for tables, which `schema.COLUMNS` describes. The
table "measures" takes its single numbers, which a claim can be about by `ablation.METRICS`.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from experiments.probes.heads import atlas, heads, pruning
from experiments.probes.trained_model import ProbeTables, TrainedModel, validation_losses
from experiments.training.loss import cross_entropy
from experiments.training.tasks import Batch
from model.networks.generation import generate
from model.networks.stack import Stack

_SAMPLE = 500  # tokens


@torch.no_grad()
def positions(subject: TrainedModel) -> ProbeTables:
    """Validation loss by position in the context."""
    recipe, context = subject.spec.recipe, subject.spec.model.context_length
    mean = validation_losses(subject, context, recipe.final_eval_windows).mean(dim=0)
    rows = [{"position": i, "loss": loss} for i, loss in enumerate(mean.tolist())]
    return {"positions": rows}


@torch.no_grad()
def lengths(subject: TrainedModel) -> ProbeTables:
    """Validation loss at 1, 2, 4 and 8 times the training length, on as many tokens each, whole and
    beyond the training length; null where the network cannot read so far.
    """
    rows: list[dict[str, Any]] = []
    context = subject.spec.model.context_length
    for multiple in (1, 2, 4, 8):
        row: dict[str, Any] = {"multiple": multiple, "length": multiple * context}
        windows = max(1, subject.spec.recipe.final_eval_windows // multiple)
        try:
            losses = validation_losses(subject, multiple * context, windows)
        except ValueError:  # learned positions end, and the network says so
            losses = torch.empty(0, 0)
        if losses.numel():
            row["loss"] = losses.mean().item()
            row["loss_beyond"] = losses[:, context:].mean().item() if multiple > 1 else None
        rows.append(row)
    measures = [
        {"measure": f"loss_beyond_{row['multiple']}x", "value": row["loss_beyond"]}
        for row in rows
        if row.get("loss_beyond") is not None
    ]
    return {"lengths": rows, "measures": measures}


@torch.no_grad()
def samples(subject: TrainedModel) -> ProbeTables:
    """Five hundred tokens after a line break, drawn at temperature 1 and greedily."""
    model, spec, task = subject
    line_break = task.vocabulary.index("\n") if "\n" in task.vocabulary else 0
    start = torch.tensor([[line_break]], device=task.device)
    cached = spec.model.masking == "before_softmax"
    rows = []
    for kind, temperature in (("temperature 1", 1.0), ("greedy", 0.0)):
        tokens = generate(model, start, _SAMPLE, temperature=temperature, cached=cached)
        rows.append({"kind": kind, "text": task.tokenizer.decode(tokens[0, 1:].tolist())})
    return {"samples": rows}


def layers(model: nn.Module, step: int, batch: Batch) -> list[dict[str, Any]]:
    """By layer and sublayer, on one batch: the size of what it writes (root mean square), and the
    norm of the loss's gradient by its last matrix (Xiong 2020, theorem 1). Leaves no gradients.
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


def of_layers(rows: list[dict[str, Any]]) -> ProbeTables:
    """What `layers` gave along a training, with the gradient of the last layer at its start."""
    feed_forward = [row for row in rows if row["step"] == 0 and row["part"] == "feed_forward"]
    measures = [
        {"measure": "last_layer_gradient", "value": row["gradient_norm"]}
        for row in feed_forward[-1:]
    ]
    return {"layers": rows, "measures": measures}


PROBES: dict[str, Callable[[TrainedModel], ProbeTables]] = {
    "positions": positions,
    "lengths": lengths,
    "heads": heads,
    "pruning": pruning,
    "samples": samples,
    "atlas": atlas,
}
