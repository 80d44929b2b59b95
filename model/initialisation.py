"""Initialisation schemes, by name."""

import math
from collections.abc import Callable

from torch import nn

from model.attention import CrossAttention, SelfAttention
from model.config import ModelConfig
from model.mechanism import mechanism


def gpt2(model: nn.Module, config: ModelConfig) -> None:
    """GPT-2's initialisation (Radford 2019, section 2.3).

    Weights are normal with standard deviation 0.02, biases zero. The output projection of every
    sublayer, which adds to the residual stream, is divided by the square root of the number of
    sublayers. Without residual connections nothing adds up, and nothing is divided.
    """
    sublayers = sum(len([*layer.children()]) for layer in getattr(model, "layers", []))
    residual_shrink = math.sqrt(sublayers) if config.residual else 1.0
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            shrink = residual_shrink if name.endswith(".output") else 1.0
            nn.init.normal_(module.weight, std=0.02 / shrink)
        _embedding_or_bias(module, config)


def xavier(model: nn.Module, config: ModelConfig) -> None:
    """Xavier initialisation (Glorot 2010), as in the first transformer.

    Weights are uniform within ±sqrt(6 / (inputs + outputs)), biases zero. Queries, keys and values
    count as separate matrices.
    """
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
        _embedding_or_bias(module, config)
    for module in model.modules():
        if isinstance(module, SelfAttention | CrossAttention):
            combined = module.qkv if isinstance(module, SelfAttention) else module.key_value
            for part in combined.weight.data.split(module.widths):
                nn.init.xavier_uniform_(part)


def _embedding_or_bias(module: nn.Module, config: ModelConfig) -> None:
    if isinstance(module, nn.Embedding):
        nn.init.normal_(module.weight, std=config.embedding_std)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)


INITIALISATIONS: dict[str, Callable[[nn.Module, ModelConfig], None]] = {
    "gpt2": gpt2,
    "xavier": xavier,
}


def initialise(model: nn.Module, config: ModelConfig) -> None:
    """Set the initial weights of a network as the config says."""
    mechanism(config.initialisation, INITIALISATIONS)(model, config)
