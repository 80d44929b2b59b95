"""Parts of a network as a user would write them, for the fields that take a function."""

import torch
from torch import Tensor, nn

from model import ModelConfig
from model.attention import Scoring, SelfAttention, attend_reference
from model.cache import Cache
from model.position import NoPosition
from model.sublayer import Sublayer


def halved(q: Tensor, k: Tensor, v: Tensor, scoring: Scoring, dropout: float = 0.0) -> Tensor:
    """A kernel: half of what attention returns."""
    return attend_reference(q, k, v, scoring, dropout) / 2


class Gated(SelfAttention):
    """A module of self-attention whose output is multiplied by a gate."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.gate = nn.Linear(config.d_model, config.d_model)

    def forward(
        self, x: Tensor, position: NoPosition, scoring: Scoring, cache: Cache | None
    ) -> Tensor:
        return super().forward(x, position, scoring, cache) * self.gate(x).sigmoid()


class RunningMean(nn.Module):
    """A mixer that is no attention: the mean of the tokens so far."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.value = nn.Linear(config.d_model, config.d_model)

    def forward(
        self, x: Tensor, position: NoPosition, scoring: Scoring, cache: Cache | None
    ) -> Tensor:
        v = self.value(x)
        start = cache.length if cache is not None else 0
        if cache is not None:
            (v,) = cache.extend(self, v)
        counts = torch.arange(1, v.shape[1] + 1, device=v.device)[:, None]
        return (v.cumsum(dim=1) / counts)[:, start:]


class ReZero(Sublayer):
    """A sublayer x + a · f(x), with a learned number a that is 0 at first (Bachlechner 2020)."""

    def __init__(self, config: ModelConfig, inner: nn.Module) -> None:
        super().__init__(config, inner)
        self.gain = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, *context: object) -> Tensor:
        return x + self.gain * self.inner(self.norm(x), *context)


def tiny(model: nn.Module, config: ModelConfig) -> None:
    """An initialisation: all matrices normal with a standard deviation of a thousandth."""
    for parameter in model.parameters():
        if parameter.dim() >= 2:
            nn.init.normal_(parameter, std=1e-3)


class Recurrent(nn.Module):
    """A family: a gated recurrent unit between embedding and head."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.embedding = nn.Embedding(config.vocab_size, config.d_model)
        self.layer = nn.GRU(config.d_model, config.d_model, batch_first=True)
        self.head = nn.Linear(config.d_model, config.vocab_size)

    def forward(self, tokens: Tensor) -> Tensor:
        states, _ = self.layer(self.embedding(tokens))
        return self.head(states)
