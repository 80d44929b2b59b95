"""Checks of a run with functions of one's own, before it is trained."""

import copy

import torch
from torch import Tensor, nn

from experiments.spec import RunSpec
from experiments.training.loss import training_loss
from experiments.training.tasks import Task

_TOLERANCE = 1e-9  # of earlier logits in float64, relative to the largest


class OwnPartError(Exception):
    """A function of one's own does not do what its place in the network needs."""


def check_own_parts(spec: RunSpec, task: Task, model: nn.Module) -> None:
    """Refuse a network that sees the tokens it predicts, or that is not trained as a whole.

    The network is not changed, and torch's random state is the same afterwards. A run without
    functions of one's own is not checked, since the tests check what is built in.

    Raises:
        OwnPartError: a token changes the logits before it in a network that reads in order, the
            first training loss is not a finite number, or a parameter has no gradient.
    """
    if not spec.custom:
        return
    own = ", ".join(f"{field} '{name.partition(':')[2]}'" for field, name in spec.custom.items())
    device = next(model.parameters()).device
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        inputs, targets = task.training(0)
        if spec.model.custom and spec.model.family not in ("encoder", "encoder_decoder"):
            _check_causal(spec, copy.deepcopy(model).cpu().double().eval(), inputs[0].cpu(), own)
        network = copy.deepcopy(model).train()
        loss = training_loss(network(*inputs), targets, spec.recipe)
        if not torch.isfinite(loss):
            raise OwnPartError(f"the first training loss is {loss.item()}: see {own}")
        loss.backward()
        idle = [name for name, each in network.named_parameters() if _is_idle(each)]
        if idle:
            raise OwnPartError(f"{idle[0]} has no gradient, so it is not trained: see {own}")


def _check_causal(spec: RunSpec, model: nn.Module, tokens: Tensor, own: str) -> None:
    """Change the token in the middle: logits before it must stay, and those from it on must not."""
    if spec.model.n_classes is not None or spec.model.masking == "after_softmax":
        return  # a class is read from all tokens, and the masking is there to leak
    tokens = tokens[:1]
    middle = tokens.shape[1] // 2
    other = tokens.clone()
    other[:, middle] = (other[:, middle] + 1) % spec.model.vocab_size
    with torch.no_grad():
        before, after = model(tokens), model(other)
    if before.shape != (*tokens.shape, spec.model.vocab_size):
        raise OwnPartError(
            f"logits have the shape {[*before.shape]} in place of [batch, time, vocab_size],"
            f" {[*tokens.shape, spec.model.vocab_size]}: see {own}"
        )
    change = (before - after).abs().amax(dim=(0, 2)) / before.abs().max().clamp(min=1e-30)
    if change[:middle].max() > _TOLERANCE:
        raise OwnPartError(f"a token changes the logits before it: the future leaks through {own}")
    if change[middle:].max() <= _TOLERANCE:
        raise OwnPartError(f"a token changes no logit: see {own}")


def _is_idle(parameter: nn.Parameter) -> bool:
    return parameter.requires_grad and parameter.grad is None
