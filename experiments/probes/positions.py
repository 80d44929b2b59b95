"""Probes of the validation loss by position in the context and by length of the context."""

from typing import Any

import torch

from experiments.probes.trained_model import ProbeTables, TrainedModel, validation_losses


@torch.no_grad()
def positions(trained: TrainedModel) -> ProbeTables:
    """Mean validation loss at each position in the context, in nats per token."""
    recipe, context = trained.spec.recipe, trained.spec.model.context_length
    losses = validation_losses(trained, context, recipe.eval_windows).mean(dim=0)
    return {"positions": [{"position": i, "loss": loss} for i, loss in enumerate(losses.tolist())]}


@torch.no_grad()
def lengths(trained: TrainedModel) -> ProbeTables:
    """Mean validation loss at 1, 2, 4 and 8 times the training length, in nats per token.

    Each length is read from equally many tokens. `loss_beyond` is the mean over the positions after
    the training length alone, and the measure `rise_beyond` is its excess over the mean over the
    positions before, in the same windows. A length that the network cannot read has no loss.
    """
    context = trained.spec.model.context_length
    rows: list[dict[str, Any]] = []
    measures: list[dict[str, Any]] = []
    for multiple in (1, 2, 4, 8):
        row: dict[str, Any] = {"multiple": multiple, "length": multiple * context}
        windows = max(1, trained.spec.recipe.eval_windows // multiple)
        try:
            losses = validation_losses(trained, multiple * context, windows)
        except ValueError:  # learned positions end at the training length
            losses = torch.empty(0, 0)
        if losses.numel():
            row["loss"] = losses.mean().item()
        if losses.numel() and multiple > 1:
            row["loss_beyond"] = losses[:, context:].mean().item()
            rise = row["loss_beyond"] - losses[:, :context].mean().item()
            values = {"loss": row["loss_beyond"], "rise": rise}
            measures += [
                {"measure": f"{name}_beyond_{multiple}x", "value": value}
                for name, value in values.items()
            ]
        rows.append(row)
    return {"lengths": rows, "measures": measures}
