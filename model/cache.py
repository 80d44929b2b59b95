"""What a network keeps of the tokens it has read, so that generation reads each of them once."""

import torch
from torch import Tensor, nn


class Cache:
    """A model that is given one reads `tokens` as the continuation of what it read before.

    `length` counts the tokens read. Every module keeps its own tensors under itself, batch first:
    attention its keys and values, an LSTM its state.
    """

    def __init__(self) -> None:
        self.length = 0
        self.kept: dict[nn.Module, tuple[Tensor, ...]] = {}

    def extend(self, module: nn.Module, *new: Tensor) -> tuple[Tensor, ...]:
        """Append to what `module` keeps, along the time axis: each [..., time, width]. Returns all
        that it keeps now.
        """
        if module in self.kept:
            pairs = zip(self.kept[module], new, strict=True)
            new = tuple(torch.cat([kept, more], dim=-2) for kept, more in pairs)
        self.kept[module] = new
        return new

    def select(self, rows: Tensor) -> None:
        """Keep these rows of the batch, in this order, as a beam search does; rows: [new batch]."""
        self.kept = {
            module: tuple(tensor[rows] for tensor in tensors)
            for module, tensors in self.kept.items()
        }

    @property
    def nbytes(self) -> int:
        """Memory of all that is kept, in bytes."""
        return sum(tensor.nbytes for tensors in self.kept.values() for tensor in tensors)
