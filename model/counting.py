"""Parameters and FLOPs of a network, counted by PyTorch after building it."""

import dataclasses
import functools

import torch
from torch.utils.flop_counter import FlopCounterMode

from model import build
from model.config import ModelConfig


@functools.cache
def counted(config: ModelConfig, time: int) -> tuple[int, float]:
    """Trainable parameters of `build(config)`, and multiply-adds per token of a forward pass.

    The network is built on the device "meta", so nothing is computed and no weight is stored. As in
    `model.accounting`, only matrix products are counted, and those of attention in full. For an
    encoder-decoder, `time` source tokens and `time` target tokens are read, and the multiply-adds
    are those of one source token and one target token together.
    """
    if "attention" not in config.custom:
        config = dataclasses.replace(config, attention="reference")  # counts hidden keys too
    with torch.device("meta"):
        network = build(config)
        tokens = torch.zeros(1, time, dtype=torch.long)
    with FlopCounterMode(display=False) as counter:
        network(*[tokens] * (2 if config.family == "encoder_decoder" else 1))
    parameters = sum(each.numel() for each in network.parameters() if each.requires_grad)
    return parameters, counter.get_total_flops() / 2 / time
