"""The sublayer: residual connection, norm and dropout around attention or feed-forward."""

from torch import Tensor, nn

from model.config import ModelConfig
from model.mechanism import Build, mechanism


class Sublayer(nn.Module):
    """Wraps attention or feed-forward f with dropout, norm and residual.

    | `norm_placement` | with residual     | without        | source                       |
    |------------------|-------------------|----------------|------------------------------|
    | pre              | x + f(norm(x))    | f(norm(x))     | Radford 2019, Xiong 2020     |
    | post             | norm(x + f(x))    | norm(f(x))     | Vaswani 2017, section 3.1    |
    | none             | x + f(x)          | f(x)           |                              |
    """

    def __init__(self, config: ModelConfig, inner: nn.Module) -> None:
        super().__init__()
        self.placement = config.norm_placement
        self.residual = config.residual
        self.inner = inner
        self.norm = norm(config) if self.placement != "none" else nn.Identity()
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, *context: object) -> Tensor:
        """x: [batch, time, d_model]; context: further arguments of f. Returns x's shape."""
        y = self.inner(self.norm(x) if self.placement == "pre" else x, *context)
        y = self.dropout(y)
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
