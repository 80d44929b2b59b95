"""Shape traces: the shape of a sequence after every step of a network."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from model import build
from model.attention import Attention, Kernel, Scoring, attention_weights
from model.config import ModelConfig
from model.position import NoPosition


class Step(NamedTuple):
    """One step of a forward pass.

    module: name of the module in the network.
    what: class of the module, or which tensor inside attention it is.
    shape: shape of the module's output.
    parameters: trainable numbers of the module; a shared matrix counts at its first use only.
    """

    module: str
    what: str
    shape: tuple[int, ...]
    parameters: int


def shape_trace(config: ModelConfig, time: int = 1) -> list[Step]:
    """The steps of a forward pass over one sequence of `time` tokens, in order of execution. For an
    encoder-decoder, source and target have `time` tokens each.

    The network is built on the "meta" device, so nothing is computed and no weight is stored.
    Equal layers are listed once. Attention lists its heads, with keys and values as in the cache.
    """
    with torch.device("meta"):
        model = build(config)
        tokens = torch.zeros(1, time, dtype=torch.long)
    trace = _Trace()
    for name, module in model.named_modules():
        if isinstance(module, Attention):
            module.attend = partial(trace.attend, name, module, module.attend)
        elif isinstance(module, NoPosition):
            embed = partial(trace.embed, name, module, module.embed)
            module.embed = embed  # type: ignore[method-assign]
        elif not [*module.children()] and not isinstance(module, nn.Dropout | nn.Identity):
            module.register_forward_hook(partial(trace.after_forward, name))
    inputs = 2 if config.family == "encoder_decoder" else 1
    model(*[tokens] * inputs)
    return trace.steps


class _Trace:
    """Collects steps; its methods stand in for, or run after, the methods of the traced modules."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.counted: set[nn.Parameter] = set()

    def add(self, name: str, what: str, shape: tuple[int, ...], parameters: int = 0) -> None:
        if all(part == "0" for part in name.split(".") if part.isdigit()):  # the first layer
            self.steps.append(Step(name, what, tuple(shape), parameters))

    def new_parameters(self, module: nn.Module) -> int:
        new = set(module.parameters()) - self.counted
        self.counted |= new
        return sum(parameter.numel() for parameter in new)

    def after_forward(self, name: str, module: nn.Module, inputs: Any, output: Any) -> None:
        result = output[0] if isinstance(output, tuple) else output
        self.add(name, type(module).__name__, result.shape, self.new_parameters(module))

    def attend(
        self,
        name: str,
        attention: Attention,
        kernel: Kernel,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        scoring: Scoring,
        dropout: float,
    ) -> Tensor:
        mixed = kernel(q, k, v, scoring, dropout)
        tensors = {"queries": q, "keys": k, "values": v}
        tensors |= {"weights": attention_weights(q, k, scoring), "mixed values": mixed}
        for what, tensor in tensors.items():
            # k and v have been repeated for all query heads; the cache holds them once.
            heads = attention.kv_heads if what in ("keys", "values") else attention.n_heads
            self.add(name, what, (tensor.shape[0], heads, *tensor.shape[2:]))
        return mixed

    def embed(
        self,
        name: str,
        position: NoPosition,
        embed: Callable[[Tensor, int], Tensor],
        x: Tensor,
        start: int = 0,
    ) -> Tensor:
        y = embed(x, start)
        if y is not x:
            what = f"+ {type(position).__name__}"
            self.add(name, what, y.shape, self.new_parameters(position))
        return y
