"""The sublayer: residual connection, norm and dropout around attention or feed-forward."""

import torch
from torch import Tensor, nn

from model.config import ModelConfig
from model.mechanism import Build, mechanism

# Placements with a norm before each sublayer. Their last residual sum is not normalised, so a stack
# has a final norm.
NORM_FIRST = ("pre", "sandwich")


class Sublayer(nn.Module):
    """Wraps attention or feed-forward f with dropout, norm, gain g and residual.

    | `norm_placement` | with residual         | without        | source                       |
    |------------------|-----------------------|----------------|------------------------------|
    | pre              | x + g · f(norm(x))    | f(norm(x))     | Radford 2019, Xiong 2020     |
    | post             | norm(x + g · f(x))    | norm(f(x))     | Vaswani 2017, section 3.1    |
    | sandwich         | x + g · norm(f(norm(x))) | norm(f(norm(x))) | Ding 2021              |
    | none             | x + g · f(x)          | f(x)           |                              |

    The gain is 1 unless `branch_gain` says otherwise: a number, 0 at first (Bachlechner 2020), or a
    number for each feature, 0.1 at first (Touvron 2021).
    """

    def __init__(self, config: ModelConfig, inner: nn.Module) -> None:
        super().__init__()
        self.placement = config.norm_placement
        self.residual = config.residual
        self.inner = inner
        self.norm = norm(config) if self.placement != "none" else nn.Identity()
        self.norm_after = norm(config) if self.placement == "sandwich" else nn.Identity()
        self.dropout = nn.Dropout(config.dropout)
        gains = {"rezero": torch.zeros(()), "layerscale": torch.full((config.d_model,), 0.1)}
        gain = gains.get(config.branch_gain)
        self.gain = None if gain is None else nn.Parameter(gain)

    def forward(self, x: Tensor, *context: object) -> Tensor:
        """x: [batch, time, d_model]; context: further arguments of f. Returns x's shape."""
        y = self.inner(self.norm(x) if self.placement in NORM_FIRST else x, *context)
        y = self.dropout(self.norm_after(y))
        if self.gain is not None:
            y = self.gain * y
        if self.residual:
            y = x + y
        if self.placement == "post":
            y = self.norm(y)
        return y


SUBLAYERS = {"standard": Sublayer}


def norm(config: ModelConfig) -> nn.Module:
    """The norm over d_model that the config names."""
    return mechanism(config.norm, NORMS)(config)


def layernorm(config: ModelConfig) -> nn.Module:
    """(x - mean) / sqrt(variance + ε) · gain + bias, ε = 1e-5 (Ba 2016)."""
    return nn.LayerNorm(config.d_model, eps=1e-5, bias=config.bias)


def rmsnorm(config: ModelConfig) -> nn.Module:
    """x / sqrt(mean of squares + ε) · gain, ε = 1e-5, without bias (Zhang & Sennrich 2019)."""
    return nn.RMSNorm(config.d_model, eps=1e-5)


NORMS: dict[str, Build] = {"layernorm": layernorm, "rmsnorm": rmsnorm}
