"""Helpers that compare a network with a reference implementation that has the same weights."""

import dataclasses

import torch
from torch import Tensor, nn

from model import ModelConfig

TIME = 12
CONFIG = ModelConfig(
    vocab_size=13, context_length=16, d_model=24, n_layers=2, n_heads=4, d_ff=96, bias=True
)


def changed(**fields) -> ModelConfig:
    return dataclasses.replace(CONFIG, **fields)


def randomise(model: nn.Module, embedding_std: float = 0.3) -> nn.Module:
    """Set random float64 weights, gains and biases included, large enough for every part to matter.

    What such a model generates depends on its input only if its embeddings are large as well.
    """
    torch.manual_seed(0)
    for name, parameter in model.named_parameters():
        is_gain = parameter.dim() == 1 and name.endswith("weight")
        is_embedding = name.endswith(("embedding.weight", "position.table"))
        std = embedding_std if is_embedding else 0.3
        nn.init.normal_(parameter, mean=0.5 if is_gain else 0.0, std=std)
    return model.double().eval()


def tokens(time: int = TIME) -> Tensor:
    torch.manual_seed(1)
    return torch.randint(CONFIG.vocab_size, (3, time))


def padding_mask(time: int = TIME) -> Tensor:
    """The padding mask of three sequences, with `time`, `time` - 1 and 5 tokens: True at tokens."""
    return torch.arange(time) < torch.tensor([time, time - 1, 5])[:, None]


def agree(what: str, ours: Tensor, theirs: Tensor, tolerance: float) -> None:
    """Fail if the largest difference exceeds the tolerance; `pytest -rP` shows the difference."""
    assert ours.shape == theirs.shape
    difference = (ours - theirs).abs().max().item()
    print(f"{what}: largest difference {difference:.1e}")
    assert difference <= tolerance * max(1.0, theirs.abs().max().item())


Pair = tuple[tuple[Tensor, ...], Tensor]
"""Parameters of ours, and the parameter of theirs that they make when concatenated."""


def agree_in_outputs_and_gradients(
    what: str, outputs: tuple[Tensor, Tensor], inputs: list[Tensor], pairs: list[Pair]
) -> None:
    """outputs: ours and theirs; inputs: the tensors that both were given."""
    agree(f"{what}, outputs", *outputs, 1e-10)
    torch.manual_seed(2)
    target = torch.randn_like(outputs[0])
    ours = [*inputs, *(parameter for pair in pairs for parameter in pair[0])]
    theirs = [*inputs, *(pair[1] for pair in pairs)]
    gradients = [
        torch.cat([g.flatten() for g in torch.autograd.grad((y * target).sum(), parameters)])
        for y, parameters in zip(outputs, (ours, theirs), strict=True)
    ]
    agree(f"{what}, gradients", *gradients, 1e-10)


def matched(
    ours: nn.Module | tuple[nn.Module, ...], theirs: nn.Module, prefix: str = ""
) -> list[Pair]:
    """Pairs for weight and bias of our layer, or of several layers that are one of theirs."""
    parts = ours if isinstance(ours, tuple) else (ours,)
    return [
        (tuple(getattr(part, name) for part in parts), getattr(theirs, prefix + name))
        for name in ("weight", "bias")
    ]


def copy(pairs: list[Pair], ours: nn.Module, theirs: nn.Module) -> None:
    """Copy our weights into theirs; fail if any parameter of either is in no pair."""
    assert {id(parameter) for pair in pairs for parameter in pair[0]} == {
        id(p) for p in ours.parameters()
    }
    assert {id(pair[1]) for pair in pairs} == {id(p) for p in theirs.parameters()}
    with torch.no_grad():
        for parameters, parameter in pairs:
            parameter.copy_(torch.cat(parameters))


def renamed(model: nn.Module, names: dict[str, str]) -> dict[str, Tensor]:
    """The model's weights under the names of another implementation."""
    weights = {}
    for name, value in model.state_dict().items():
        for ours, theirs in names.items():
            name = name.replace(ours, theirs)
        weights[name] = value.clone()
    return weights
