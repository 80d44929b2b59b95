"""The cache of a network's earlier tokens, so that generation reads every token once."""

import torch
from torch import Tensor, nn


class Cache:
    """What a network has computed of the tokens that it has read.

    A network that is called with a cache reads `tokens` as the continuation of the tokens in the
    cache.

    length: number of tokens read.
    kept: by module, the tensors that the module needs again, each with the batch dimension first.
        Attention keeps its keys and values, an LSTM its state, the MLP its last embeddings.
    """

    def __init__(self) -> None:
        self.length = 0
        self.kept: dict[nn.Module, tuple[Tensor, ...]] = {}

    def extend(self, module: nn.Module, *new: Tensor) -> tuple[Tensor, ...]:
        """Append tensors, each [..., time, width], to the tensors of `module` along the time axis.

        Returns all that `module` has in the cache now.
        """
        if module in self.kept:
            pairs = zip(self.kept[module], new, strict=True)
            new = tuple(torch.cat([kept, more], dim=-2) for kept, more in pairs)
        self.kept[module] = new
        return new

    def select(self, rows: Tensor) -> None:
        """Select and reorder rows of the batch, as a beam search needs; rows: [new batch]."""
        self.kept = {
            module: tuple(tensor[rows] for tensor in tensors)
            for module, tensors in self.kept.items()
        }

    @property
    def nbytes(self) -> int:
        """Memory of all tensors in the cache, in bytes."""
        return sum(tensor.nbytes for tensors in self.kept.values() for tensor in tensors)
