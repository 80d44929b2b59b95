"""Tokenizers: characters, or byte pairs."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer as Library
from tokenizers import decoders, models, pre_tokenizers, trainers

from experiments.data.text_sources import whole_lines
from experiments.errors import UserError

Ids = npt.NDArray[np.generic]


class Tokenizer(Protocol):
    """Turns text into token ids, and token ids into text.

    `vocabulary[id]` is the text of a token. A byte that is no character by itself is shown as "�".
    """

    vocabulary: tuple[str, ...]

    def encode(self, pieces: Iterable[str]) -> Iterator[Ids]:
        """Yield the token ids of a text, piece by piece.

        Raises:
            KeyError: a character is not in the vocabulary.
        """

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of a sequence of token ids."""


class Characters:
    """Character tokenizer. The id of a character is its index in the sorted vocabulary."""

    def __init__(self, vocabulary: Sequence[str]) -> None:
        self.vocabulary = tuple(vocabulary)
        # id of every code point, -1 for code points that are not in the vocabulary
        self.codes = np.full(max(map(ord, vocabulary)) + 2, -1, dtype=np.int32)
        self.codes[[ord(character) for character in vocabulary]] = np.arange(len(vocabulary))

    def encode(self, pieces: Iterable[str]) -> Iterator[Ids]:
        dtype = smallest_dtype(len(self.vocabulary))
        for piece in pieces:
            points = np.frombuffer(piece.encode("utf-32-le"), dtype=np.uint32)
            ids = self.codes[np.minimum(points, len(self.codes) - 1)]
            if (ids < 0).any():
                raise KeyError(chr(points[np.argmax(ids < 0)]))
            yield ids.astype(dtype)

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(self.vocabulary[i] for i in ids)


class BytePairs:
    """Byte-pair encoding (Sennrich 2016) of UTF-8 bytes (Radford 2019).

    Args:
        stored: JSON of the library `tokenizers`, as `library.to_str()` returns it.
    """

    def __init__(self, stored: str) -> None:
        self.library = Library.from_str(stored)
        self.vocabulary = tuple(self.decode([i]) for i in range(self.library.get_vocab_size()))

    @classmethod
    def trained(cls, pieces: Iterable[str], size: int) -> "BytePairs":
        """Train byte pairs with a vocabulary of `size` tokens.

        Raises:
            UserError: the text has fewer pairs.
        """
        library = Library(models.BPE())
        library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        library.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=size,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        # Single lines: the library buffers hundreds of items, with many bytes per character.
        lines = (line for piece in whole_lines(pieces) for line in piece.splitlines(keepends=True))
        library.train_from_iterator(lines, trainer)
        if library.get_vocab_size() < size:
            raise UserError(
                f"VOCAB_SIZE={size} is more than the text has: {library.get_vocab_size()} tokens"
            )
        return cls(library.to_str())

    def encode(self, pieces: Iterable[str]) -> Iterator[Ids]:
        dtype = smallest_dtype(len(self.vocabulary))
        for piece in whole_lines(pieces):
            # The library encodes the lines of a batch on all cores.
            lines = self.library.encode_batch_fast(piece.splitlines(keepends=True))
            yield np.concatenate([np.array(line.ids, dtype=dtype) for line in lines])

    def decode(self, ids: Sequence[int]) -> str:
        return str(self.library.decode(list(ids), skip_special_tokens=False))


def smallest_dtype(vocab_size: int) -> type[np.uint8 | np.int16 | np.int32]:
    """Return the smallest dtype for token ids, of the dtypes that torch can index with."""
    if vocab_size <= 2**8:
        return np.uint8
    return np.int16 if vocab_size <= 2**15 else np.int32
