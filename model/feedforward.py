"""The position-wise feed-forward network (Vaswani 2017, section 3.3)."""

from torch import Tensor, nn

from model.config import ModelConfig

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "gelu": nn.GELU}


class FeedForward(nn.Module):
    """W₂ · activation(W₁ x), the same at every position; d_model to d_ff and back."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.hidden = nn.Linear(config.d_model, config.d_ff, bias=config.bias)
        self.activation = ACTIVATIONS[config.activation]()
        self.output = nn.Linear(config.d_ff, config.d_model, bias=config.bias)

    def forward(self, x: Tensor) -> Tensor:
        """x: [batch, time, d_model]. Returns the same shape."""
        y: Tensor = self.output(self.activation(self.hidden(x)))
        return y
