"""How a network is held against a reference: weights made alike, differences measured."""

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
    """float64 weights large enough for every part to show, gains and biases included. What such a
    model writes depends on what it reads only where its embeddings are large as well.
    """
    torch.manual_seed(0)
    for name, parameter in model.named_parameters():
        gain = parameter.dim() == 1 and name.endswith("weight")
        embedding = name.endswith("embedding.weight") or name.endswith("position.table")
        std = embedding_std if embedding else 0.3
        nn.init.normal_(parameter, mean=0.5 if gain else 0.0, std=std)
    return model.double().eval()


def tokens(time: int = TIME) -> Tensor:
    torch.manual_seed(1)
    return torch.randint(CONFIG.vocab_size, (3, time))


def padding(time: int = TIME) -> Tensor:
    """Which of three sequences' positions hold a token: all, all but one, five."""
    return torch.arange(time) < torch.tensor([time, time - 1, 5])[:, None]


def agree(what: str, ours: Tensor, theirs: Tensor, tolerance: float) -> None:
    """Fails beyond the tolerance; `pytest -rP` shows the difference that was seen."""
    assert ours.shape == theirs.shape
    difference = (ours - theirs).abs().max().item()
    print(f"{what}: largest difference {difference:.1e}")
    assert difference <= tolerance * max(1.0, theirs.abs().max().item())


Pair = tuple[tuple[Tensor, ...], Tensor]
"""Parameters of ours that, one below the other, are one of theirs."""


def agree_in_outputs_and_gradients(
    what: str, outputs: tuple[Tensor, Tensor], inputs: list[Tensor], pairs: list[Pair]
) -> None:
    """outputs: ours and theirs; inputs: what both were given."""
    agree(f"{what}, outputs", *outputs, 1e-10)
    torch.manual_seed(2)
    target = torch.randn_like(outputs[0])
    ours = [*inputs, *(mine for pair in pairs for mine in pair[0])]
    theirs = [*inputs, *(pair[1] for pair in pairs)]
    gradients = [
        torch.cat([g.flatten() for g in torch.autograd.grad((y * target).sum(), parameters)])
        for y, parameters in zip(outputs, (ours, theirs), strict=True)
    ]
    agree(f"{what}, gradients", *gradients, 1e-10)


def matched(
    mine: nn.Module | tuple[nn.Module, ...], its: nn.Module, prefix: str = ""
) -> list[Pair]:
    """Weight and bias of our layer, or of several put together, with theirs."""
    parts = mine if isinstance(mine, tuple) else (mine,)
    return [
        (tuple(getattr(part, name) for part in parts), getattr(its, prefix + name))
        for name in ("weight", "bias")
    ]


def copy(pairs: list[Pair], ours: nn.Module, theirs: nn.Module) -> None:
    """Copy ours into theirs; fails where either has a parameter that no pair has."""
    assert {id(mine) for pair in pairs for mine in pair[0]} == {id(p) for p in ours.parameters()}
    assert {id(pair[1]) for pair in pairs} == {id(p) for p in theirs.parameters()}
    with torch.no_grad():
        for mine, its in pairs:
            its.copy_(torch.cat(mine))


def renamed(model: nn.Module, names: dict[str, str]) -> dict[str, Tensor]:
    """The weights under another implementation's names."""
    found = {}
    for name, value in model.state_dict().items():
        for ours, theirs in names.items():
            name = name.replace(ours, theirs)
        found[name] = value.clone()
    return found
