"""Neural networks, written from scratch: `build(ModelConfig(...))` returns one.

Importing this package does not import torch; building a network does.
"""

from typing import TYPE_CHECKING

from model.accounting import parameter_count
from model.config import ModelConfig

if TYPE_CHECKING:
    from torch import nn

__all__ = ["ModelConfig", "build", "parameter_count"]


def build(config: ModelConfig) -> "nn.Module":
    """The network that `config` describes, with weights drawn from torch's global random state.

    Decoder, LSTM, MLP and bigram map token ids [batch, time] to logits [batch, time, vocab], and so
    does a family of one's own. For the encoder, the encoder-decoder and classifiers see their
    `forward`.
    """
    from model.mechanism import mechanism
    from model.networks.families import FAMILIES

    network: nn.Module = mechanism(config.family, FAMILIES)(config)
    if "family" in config.custom:
        # Generation asks every network for these.
        sizes = {"vocab_size": config.vocab_size, "context_length": config.context_length}
        for name, value in (sizes | {"cacheable": False}).items():
            if not hasattr(network, name):
                setattr(network, name, value)
    return network
