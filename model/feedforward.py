"""The position-wise feed-forward network (Vaswani 2017, section 3.3)."""

import torch.nn.functional as F
from torch import Tensor, nn

from model.config import ModelConfig


class FeedForward(nn.Module):
    """W₂ · activation(W₁ x), applied at every position alike: from d_model to d_ff and back."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.hidden_width
        self.hidden = nn.Linear(config.d_model, width, bias=config.bias)
        self.output = nn.Linear(width, config.d_model, bias=config.bias)

    def forward(self, x: Tensor) -> Tensor:
        """x: [batch, time, d_model]. Returns the same shape."""
        return self.output(self.activate(x))

    def activate(self, x: Tensor) -> Tensor:
        """The hidden layer after its activation: [batch, time, hidden_width]."""
        raise NotImplementedError


class ReLU(FeedForward):
    """max(0, W₁ x) (Vaswani 2017)."""

    def activate(self, x: Tensor) -> Tensor:
        return F.relu(self.hidden(x))


class SquaredReLU(FeedForward):
    """max(0, W₁ x)² (So 2021)."""

    def activate(self, x: Tensor) -> Tensor:
        return F.relu(self.hidden(x)).square()


class GELU(FeedForward):
    """z · Φ(z) with z = W₁ x, computed exactly (Hendrycks 2016)."""

    def activate(self, x: Tensor) -> Tensor:
        return F.gelu(self.hidden(x))


class SwiGLU(FeedForward):
    """silu(V x) · W₁ x: a gated hidden layer, two thirds as wide as d_ff (Shazeer 2020)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.gate = nn.Linear(config.d_model, config.hidden_width, bias=config.bias)

    def activate(self, x: Tensor) -> Tensor:
        return F.silu(self.gate(x)) * self.hidden(x)


FEED_FORWARDS: dict[str, type[FeedForward]] = {
    "relu": ReLU,
    "relu2": SquaredReLU,
    "gelu": GELU,
    "swiglu": SwiGLU,
}
