"""Which tokens a model sees, and when."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from experiments.data.corpus import Corpus


def precompute_batches(steps: int, draw: Callable[[int], np.ndarray]) -> Tensor:
    """What `draw` draws for each step, [steps, ...]: all before the first one, so that the loop
    draws nothing and copies nothing to the device.

    Where `draw(t)` depends on the seed and on t alone, every variant of a seed sees the same
    batches in the same order, and a run can go on from any step.
    """
    return torch.from_numpy(np.stack([draw(step) for step in range(steps)]))


def batch_starts(seed: int, steps: int, batch_size: int, highest: int) -> Tensor:
    """Where the windows of every batch begin: [steps, batch_size], from 0 up to below `highest`.

    Raises:
        ValueError: `highest` is below 1.
    """
    return precompute_batches(
        steps, lambda step: np.random.default_rng([seed, step]).integers(highest, size=batch_size)
    )


def evaluation_starts(length: int, context_length: int, windows: int) -> Tensor:
    """Starts of at most `windows` windows, evenly spaced and apart: [windows]. Always the same."""
    fitting = (length - 1) // context_length
    chosen = np.unique(np.linspace(0, fitting - 1, min(windows, fitting)).round().astype(int))
    return torch.from_numpy(chosen * context_length)


def load_tokens(corpus: Corpus, split: str, device: torch.device) -> Tensor:
    """A split's token ids on the device: [time]. On a CPU it stays mapped from the file."""
    return torch.from_numpy(corpus.tokens(split)).to(device)


def windows_at(tokens: Tensor, starts: Tensor, context_length: int) -> tuple[Tensor, Tensor]:
    """Inputs and targets of the windows of tokens, [time], that begin at `starts`, [batch]: two of
    [batch, context_length], int64.

    The target of a position is the token after it.
    """
    offsets = torch.arange(context_length + 1, device=tokens.device)
    window = tokens[starts[:, None] + offsets].long()
    return window[:, :-1], window[:, 1:]
