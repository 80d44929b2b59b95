"""The networks, written from scratch: `build(ModelConfig(...))` returns one.

Importing this package does not import torch; building a network does.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from model.accounting import parameter_count
from model.config import ModelConfig

if TYPE_CHECKING:
    from torch import nn

__all__ = ["ModelConfig", "build", "parameter_count"]


def build(config: ModelConfig) -> "nn.Module":
    """The network that `config` describes.

    A decoder, LSTM, MLP or bigram maps token ids [batch, time] to logits [batch, time, vocab];
    what an encoder and an encoder-decoder take and return, their `forward` says.

    Parameters are drawn from torch's global random state: seed it before.
    """
    from model.networks.bigram import Bigram
    from model.networks.decoder import Decoder
    from model.networks.encoder import Encoder
    from model.networks.encoder_decoder import EncoderDecoder
    from model.networks.lstm import LSTM
    from model.networks.mlp import MLP

    families: dict[str, Callable[[ModelConfig], nn.Module]] = {
        "decoder": Decoder,
        "encoder": Encoder,
        "encoder_decoder": EncoderDecoder,
        "lstm": LSTM,
        "mlp": MLP,
        "bigram": Bigram,
    }
    return families[config.family](config)
