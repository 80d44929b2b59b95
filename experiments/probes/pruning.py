"""Probe of what a network loses when attention heads are switched off."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from experiments.probes.trained_model import ProbeTables, TrainedModel, validation_losses
from model.attention import Attention

_TOLERANCE = 0.02  # nats per token: a rise of the loss up to here counts as little

Head = tuple[int, int]  # layer and head


@torch.no_grad()
def pruning(trained: TrainedModel) -> ProbeTables:
    """Rise of the validation loss without each head, and without more and more heads (Michel 2019).

    Heads are switched off together in the order of their rises alone, smallest first. The measure
    `removable_heads` is the share of heads that can be switched off together before the loss rises
    by more than 0.02 nats per token.
    """
    attentions = [module for module in trained.model.modules() if isinstance(module, Attention)]
    if not attentions:
        return {}
    context = trained.spec.model.context_length
    windows = max(1, trained.spec.recipe.eval_windows // 4)  # every head needs an evaluation

    def loss_without(heads: list[Head]) -> float:
        with switched_off(attentions, heads):
            return validation_losses(trained, context, windows).mean().item()

    whole = loss_without([])
    heads = [(layer, head) for layer, a in enumerate(attentions) for head in range(a.n_heads)]
    alone = {head: loss_without([head]) - whole for head in heads}
    order = sorted(heads, key=lambda head: alone[head])
    together = {order[n]: loss_without(order[: n + 1]) - whole for n in range(len(order))}
    removable = 0
    while removable < len(order) and together[order[removable]] <= _TOLERANCE:
        removable += 1
    rows = [
        {
            "layer": layer,
            "head": head,
            "rise_alone": alone[layer, head],
            "order": order.index((layer, head)) + 1,
            "rise_together": together[layer, head],
        }
        for layer, head in heads
    ]
    share = {"measure": "removable_heads", "value": removable / len(heads)}
    return {"pruning": rows, "measures": [share]}


@contextmanager
def switched_off(attentions: list[Attention], heads: list[Head]) -> Iterator[None]:
    """Within the block, the outputs of `heads` are zero."""

    def silence(layer: int) -> Callable[[nn.Module, tuple[Tensor]], tuple[Tensor]]:
        silent = [head for each, head in heads if each == layer]

        def hook(_: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
            mixed = inputs[0].unflatten(-1, (attentions[layer].n_heads, -1)).clone()
            mixed[..., silent, :] = 0
            return (mixed.flatten(-2),)

        return hook

    hooks = [
        attention.output.register_forward_pre_hook(silence(layer))
        for layer, attention in enumerate(attentions)
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
