"""Windows of a corpus: where the windows of each batch start, and their tokens."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from experiments.data.corpus import Corpus


def precompute_batches(steps: int, draw: Callable[[int], np.ndarray]) -> Tensor:
    """Stack `draw(step)` for every step: [steps, ...].

    All batches are drawn before the first step, so that the training loop draws nothing and copies
    nothing to the device. `draw` must be a function of the seed and the step alone: then all
    variants of a seed see the same batches, and a training can go on from any step.
    """
    return torch.from_numpy(np.stack([draw(step) for step in range(steps)]))


def batch_starts(seed: int, steps: int, batch_size: int, highest: int) -> Tensor:
    """Start of every window of every batch, drawn from 0 to `highest` - 1: [steps, batch_size].

    Raises:
        ValueError: `highest` is below 1.
    """
    return precompute_batches(
        steps, lambda step: np.random.default_rng([seed, step]).integers(highest, size=batch_size)
    )


def evaluation_starts(length: int, context_length: int, windows: int) -> Tensor:
    """Start of at most `windows` evenly spaced windows that do not overlap: [windows]."""
    fitting = (length - 1) // context_length
    chosen = np.unique(np.linspace(0, fitting - 1, min(windows, fitting)).round().astype(int))
    return torch.from_numpy(chosen * context_length)


def load_tokens(corpus: Corpus, split: str, device: torch.device) -> Tensor:
    """Token ids of a split on the device: [time]. On a CPU they stay mapped from the file."""
    return torch.from_numpy(corpus.tokens(split)).to(device)


def windows_at(tokens: Tensor, starts: Tensor, context_length: int) -> tuple[Tensor, Tensor]:
    """Inputs and targets of the windows that begin at `starts`.

    tokens: [time]; starts: [batch]. Returns two tensors [batch, context_length], int64. The target
    of a position is the token after the position.
    """
    offsets = torch.arange(context_length + 1, device=tokens.device)
    window = tokens[starts[:, None] + offsets].long()
    return window[:, :-1], window[:, 1:]
