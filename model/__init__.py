"""The networks, written from scratch: `build(ModelConfig(...))` returns one.

Importing this package does not import torch; building a network does.
"""

from typing import TYPE_CHECKING

from model.accounting import parameter_count
from model.config import ModelConfig

if TYPE_CHECKING:
    from torch import nn

__all__ = ["ModelConfig", "build", "parameter_count"]


def build(config: ModelConfig) -> "nn.Module":
    """The network that `config` describes: token ids [batch, time] to logits [batch, time, vocab].

    Parameters are drawn from torch's global random state: seed it before.
    """
    from model.decoder import Decoder
    from model.lstm import LSTM

    families: dict[str, type[Decoder] | type[LSTM]] = {"decoder": Decoder, "lstm": LSTM}
    return families[config.family](config)
