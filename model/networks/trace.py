"""What shape a sequence has at every step of a network."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from model import build
from model.attention import Attention, Kernel, Scoring, attention_weights
from model.config import ModelConfig
from model.position import NoPosition


class Step(NamedTuple):
    """A module, by its name in the network, what it is, what it returns, and the trainable numbers
    that it is the first to use: a shared matrix counts once.
    """

    module: str
    what: str
    shape: tuple[int, ...]
    parameters: int


def shape_trace(config: ModelConfig, time: int = 1) -> list[Step]:
    """The steps of a forward pass over one sequence of `time` tokens, in the order in which they
    are taken; of an encoder-decoder, over a source and a target of that length.

    Nothing is computed and no weight is stored: the network is built on the "meta" device. Equal
    layers are shown once. Attention shows its heads, with keys and values as the cache holds them.
    """
    with torch.device("meta"):
        model = build(config)
        tokens = torch.zeros(1, time, dtype=torch.long)
    steps: list[Step] = []
    counted: set[nn.Parameter] = set()

    def note(name: str, what: str, shape: torch.Size, parameters: int = 0) -> None:
        first_or_only = all(part == "0" for part in name.split(".") if part.isdigit())
        if first_or_only:
            steps.append(Step(name, what, tuple(shape), parameters))

    def watched(name: str, attention: Attention) -> Kernel:
        kernel = attention.attend

        def attend(q: Tensor, k: Tensor, v: Tensor, scoring: Scoring, dropout: float) -> Tensor:
            mixed = kernel(q, k, v, scoring, dropout)
            parts = {"queries": q, "keys": k, "values": v}
            parts |= {"weights": attention_weights(q, k, scoring), "mixed values": mixed}
            for what, part in parts.items():
                shared = what in ("keys", "values")
                heads = attention.kv_heads if shared else attention.n_heads
                note(name, what, torch.Size([part.shape[0], heads, *part.shape[2:]]))
            return mixed

        return attend

    def watch(name: str, module: nn.Module) -> None:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            result = output[0] if isinstance(output, tuple) else output
            note(name, type(module).__name__, result.shape, held(module))

        module.register_forward_hook(hook)

    def held(module: nn.Module) -> int:
        new = set(module.parameters()) - counted
        counted.update(new)
        return sum(parameter.numel() for parameter in new)

    def watched_embed(name: str, position: NoPosition) -> Callable[[Tensor, int], Tensor]:
        embed = position.embed

        def adding(x: Tensor, start: int = 0) -> Tensor:
            y = embed(x, start)
            if y is not x:
                note(name, f"+ {type(position).__name__}", y.shape, held(position))
            return y

        return adding

    for name, module in model.named_modules():
        if isinstance(module, Attention):
            module.attend = watched(name, module)
        elif isinstance(module, NoPosition):
            module.embed = watched_embed(name, module)  # type: ignore[assignment, method-assign]
        elif not [*module.children()] and not isinstance(module, nn.Dropout | nn.Identity):
            watch(name, module)
    model(*([tokens, tokens] if config.family == "encoder_decoder" else [tokens]))
    return steps
