"""How a text becomes token ids: characters, or byte pairs."""

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer as Library
from tokenizers import decoders, models, pre_tokenizers, trainers

from experiments.errors import UserError
from experiments.data.text_sources import Pieces, whole_lines

TOKENIZERS = ("characters", "bpe")
BYTES = 256  # tokens that byte pairs begin with

Ids = npt.NDArray[np.generic]


class Tokenizer(Protocol):
    """`vocabulary` has the text of every token, by id; a byte that is none alone is "�"."""

    vocabulary: tuple[str, ...]

    def encode(self, pieces: Pieces) -> Iterator[Ids]:
        """The ids of a text, piece by piece.

        Raises:
            KeyError: a character is not in the vocabulary.
        """

    def decode(self, ids: Sequence[int]) -> str:
        """The text of some ids."""


class Characters:
    """A token is a character; its id is its place in the sorted vocabulary."""

    def __init__(self, vocabulary: Sequence[str]) -> None:
        self.vocabulary = tuple(vocabulary)
        self.codes = np.full(max(map(ord, vocabulary)) + 2, -1, dtype=np.int32)
        self.codes[[ord(character) for character in vocabulary]] = np.arange(len(vocabulary))

    def encode(self, pieces: Pieces) -> Iterator[Ids]:
        kind = narrowest(len(self.vocabulary))
        for piece in pieces():
            points = np.frombuffer(piece.encode("utf-32-le"), dtype=np.uint32)
            ids = self.codes[np.minimum(points, len(self.codes) - 1)]
            if (ids < 0).any():
                raise KeyError(chr(points[np.argmax(ids < 0)]))
            yield ids.astype(kind)

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(self.vocabulary[i] for i in ids)


class BytePairs:
    """Bytes, and the pairs of tokens that are most frequent, merged again and again (Sennrich 2016;
    of bytes, Radford 2019). `stored` is what the library `tokenizers` writes.
    """

    def __init__(self, stored: str) -> None:
        self.library = Library.from_str(stored)
        self.vocabulary = tuple(self.decode([i]) for i in range(self.library.get_vocab_size()))

    @classmethod
    def trained(cls, pieces: Pieces, size: int) -> "BytePairs":
        """With a vocabulary of `size`.

        Raises:
            UserError: the text has fewer pairs than that.
        """
        library = Library(models.BPE())
        library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        library.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(
            vocab_size=size, initial_alphabet=alphabet, show_progress=False
        )
        # By line: the library takes hundreds at once, with many bytes for each character.
        library.train_from_iterator(_lines(pieces), trainer)
        if library.get_vocab_size() < size:
            raise UserError(
                f"VOCAB_SIZE={size} is more than the text has: {library.get_vocab_size()} tokens"
            )
        return cls(library.to_str())

    def encode(self, pieces: Pieces) -> Iterator[Ids]:
        kind = narrowest(len(self.vocabulary))
        for piece in whole_lines(pieces)():
            # in lines, which the library takes on all cores
            lines = self.library.encode_batch_fast(piece.splitlines(keepends=True))
            yield np.concatenate([np.array(line.ids, dtype=kind) for line in lines])

    def decode(self, ids: Sequence[int]) -> str:
        return str(self.library.decode(list(ids), skip_special_tokens=False))


def _lines(pieces: Pieces) -> Iterator[str]:
    return (line for piece in whole_lines(pieces)() for line in piece.splitlines(keepends=True))


def narrowest(size: int) -> type[np.uint8 | np.int16 | np.int32]:
    """The type of array in which so many ids take the least room, of those that torch indexes."""
    if size <= 2**8:
        return np.uint8
    return np.int16 if size <= 2**15 else np.int32
