"""Corpora: texts fetched, checked by hash, split, and stored as arrays of token ids."""

import contextlib
import dataclasses
import hashlib
import sys
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from experiments.data.shakespeare import Work, fetch_works, split_works
from experiments.data.text_sources import Pieces, part, pieces_of
from experiments.data.tokenizer import BytePairs, Characters, Tokenizer, smallest_dtype
from experiments.errors import UserError
from experiments.files import (
    DamagedError,
    open_atomically,
    read_sealed,
    sha256,
    unused_path,
    write_atomically,
    write_sealed,
)
from experiments.recipe import SPLITS

Tokens = npt.NDArray[Any]
Splits = Mapping[str, Pieces]

_TINY_ADDRESS = (
    "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
)
_TINY_SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
_SHORTEST = 10_000  # characters of the shortest text that is accepted
_CHUNK = 1 << 22  # tokens per read


@dataclass(frozen=True)
class Corpus:
    """A tokenised text on disk.

    Attributes:
        name: "shakespeare", "tinyshakespeare", or the file name of the user's own text.
        hash: SHA-256 of the vocabulary, of the tokens of every split, and of `works`.
        vocabulary: the text of every token, by id.
        byte_pairs: the stored byte-pair tokenizer; empty where tokens are characters.
        lengths: tokens, by split.
        characters: characters, by split.
        bytes: UTF-8 bytes, by split.
        unigram_loss: validation loss in nats per token of the token frequencies of the training
            split, with one added to each count. A model that ignores the context cannot do better.
        works: the plays with a genre; empty where genres are unknown or tokens are byte pairs.
        folder: where the arrays are stored.
    """

    name: str
    hash: str
    vocabulary: tuple[str, ...]
    byte_pairs: str
    lengths: dict[str, int]
    characters: dict[str, int]
    bytes: dict[str, int]
    unigram_loss: float
    works: tuple[Work, ...]
    folder: Path

    def tokens(self, split: str) -> Tokens:
        """Return the token ids of a split, [time], memory-mapped so that processes share them."""
        mapped = self.lengths[split] > 0  # an empty array cannot be mapped
        return np.load(self._file(split), "c" if mapped else None, allow_pickle=False)

    def chunks(self, split: str) -> Iterator[Tokens]:
        """Yield the token ids of a split, a few million at a time, without mapping the file."""
        array: Any = self.tokens(split)
        for start in range(0, len(array), _CHUNK):
            offset = array.offset + start * array.itemsize
            yield np.fromfile(self._file(split), array.dtype, _CHUNK, offset=offset)

    def _file(self, split: str) -> Path:
        return self.folder / f"{split}.npy"

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer that the corpus was encoded with."""
        return BytePairs(self.byte_pairs) if self.byte_pairs else Characters(self.vocabulary)


def prepare_corpus(name: str, data: Path, vocab_size: int | None = None) -> Corpus:
    """Return a corpus. A corpus that is not yet stored in `data` is fetched and tokenised first.

    Args:
        name: "shakespeare", "tinyshakespeare", or a text as `text_sources.pieces_of` takes it.
        data: the folder for corpora.
        vocab_size: the number of byte pairs, which are trained on the training split. Without a
            `vocab_size`, tokens are characters.

    Raises:
        UserError: the text cannot be fetched or read, is not UTF-8, is too short, or does not
            have the expected hash.
    """
    suffix = f"-bpe-{vocab_size}" if vocab_size else ""
    folder = data / f"{name}{suffix}"
    read_splits: Callable[[], tuple[Splits, Sequence[Work]]]
    if name == "shakespeare":
        read_splits = _fetch_shakespeare
    elif name == "tinyshakespeare":
        read_splits = partial(_fetch_tinyshakespeare, data)
    else:
        text = pieces_of(name)
        digest, length = hashlib.sha256(), 0
        for piece in text():
            digest.update(piece.encode())
            length += len(piece)
        folder = data / "own" / f"{digest.hexdigest()[:16]}{suffix}"
        read_splits = partial(_split_text, text, length, name)
    if corpus := _load_corpus(folder):
        return corpus
    splits, works = read_splits()
    return store_corpus(folder, Path(name).name, splits, works, vocab_size)


def find_corpus(digest: str, data: Path) -> Corpus:
    """Return the stored corpus with this hash.

    Raises:
        UserError: no corpus in `data` has this hash.
    """
    for file in sorted(data.glob("**/corpus.json")):
        if ".damaged-" in str(file):
            continue
        with contextlib.suppress(DamagedError):
            if read_sealed(file).get("hash") == digest and (corpus := _load_corpus(file.parent)):
                return corpus
    raise UserError(f"the run's corpus is not in {data}: the study that made it puts it there")


def _fetch_shakespeare() -> tuple[Splits, list[Work]]:
    texts, works = split_works(fetch_works())
    return {split: partial(iter, [text]) for split, text in texts.items()}, works


def _fetch_tinyshakespeare(data: Path) -> tuple[Splits, list[Work]]:
    """Split as nanoGPT does: the first 90 % and the last 10 %, without a test split."""
    text = _tinyshakespeare(data)
    cut = int(0.9 * len(text))
    texts = {"train": text[:cut], "val": text[cut:], "test": ""}
    return {split: partial(iter, [text]) for split, text in texts.items()}, []


def _split_text(text: Pieces, length: int, name: str) -> tuple[Splits, list[Work]]:
    """Split into the first 90 %, the next 5 % and the last 5 %."""
    if length < _SHORTEST:
        raise UserError(
            f"corpus '{name}' is too short: {length:,} characters, at least {_SHORTEST:,} needed"
        )
    cuts = [0, int(0.9 * length), int(0.95 * length), length]
    return {
        split: partial(_read_part, text, start, end)
        for split, start, end in zip(SPLITS, cuts[:-1], cuts[1:], strict=True)
    }, []


def _read_part(text: Pieces, start: int, end: int) -> Iterator[str]:
    return part(text(), start, end)


def _tinyshakespeare(data: Path) -> str:
    file = data / "tinyshakespeare.txt"
    if file.exists():
        content = file.read_bytes()
    else:
        try:
            with urllib.request.urlopen(_TINY_ADDRESS, timeout=60) as response:
                content = response.read()
        except OSError as error:
            raise UserError(
                f"corpus 'tinyshakespeare' cannot be fetched ({error}): connect to a network, or"
                f" put the file at {file}"
            ) from None
    if sha256(content) != _TINY_SHA256:
        raise UserError(f"corpus 'tinyshakespeare': its SHA-256 is not {_TINY_SHA256}")
    if not file.exists():
        write_atomically(file, content)
    return content.decode("utf-8")


def store_corpus(
    folder: Path,
    name: str,
    splits: Splits,
    works: Sequence[Work] = (),
    vocab_size: int | None = None,
) -> Corpus:
    """Tokenise the splits piece by piece and write a corpus into `folder`."""
    characters, sizes, alphabet = dict[str, int](), dict[str, int](), set[str]()
    for split in SPLITS:
        characters[split] = sizes[split] = 0
        for piece in splits[split]():
            characters[split] += len(piece)
            sizes[split] += len(piece.encode())
            alphabet.update(piece)
    tokenizer: BytePairs | Characters
    if vocab_size:
        tokenizer = BytePairs.trained(splits["train"](), vocab_size)
        works = ()  # their places are counted in characters
    else:
        tokenizer = Characters(sorted(alphabet))
    dtype = np.dtype(smallest_dtype(len(tokenizer.vocabulary)))
    lengths = {
        split: _write_array(folder / f"{split}.npy", tokenizer.encode(splits[split]()), dtype)
        for split in SPLITS
    }
    corpus = Corpus(
        name=name,
        hash="",
        vocabulary=tokenizer.vocabulary,
        byte_pairs=tokenizer.library.to_str() if isinstance(tokenizer, BytePairs) else "",
        lengths=lengths,
        characters=characters,
        bytes=sizes,
        unigram_loss=0.0,
        works=tuple(works),
        folder=folder,
    )
    corpus = dataclasses.replace(corpus, hash=_digest(corpus), unigram_loss=_unigram_loss(corpus))
    facts = dataclasses.asdict(corpus)
    del facts["folder"]
    write_sealed(folder / "corpus.json", facts)
    return corpus


def _write_array(path: Path, pieces: Iterable[Tokens], dtype: np.dtype[Any]) -> int:
    """Write the pieces as one `.npy` file and return the length of the array.

    The length is known after the last piece only, so the header is written twice. NumPy pads
    headers, so both have the same size.
    """
    header = {"descr": dtype.str, "fortran_order": False}
    with open_atomically(path) as file:
        np.lib.format.write_array_header_1_0(file, header | {"shape": (0,)})
        start = file.tell()
        for piece in pieces:
            file.write(piece.tobytes())
        length = (file.tell() - start) // dtype.itemsize
        file.seek(0)
        np.lib.format.write_array_header_1_0(file, header | {"shape": (length,)})
    return length


def _unigram_loss(corpus: Corpus) -> float:
    train, val = (_counts(corpus, split) for split in ("train", "val"))
    return float(-(np.log((train + 1) / (train + 1).sum()) * val).sum() / val.sum())


def _counts(corpus: Corpus, split: str) -> Tokens:
    """Frequency of every token of the vocabulary in a split: [vocab_size]."""
    counts = np.zeros(len(corpus.vocabulary), dtype=np.int64)
    for chunk in corpus.chunks(split):
        counts += np.bincount(chunk, minlength=len(counts))
    return counts


def _load_corpus(folder: Path) -> Corpus | None:
    """Read what `store_corpus` wrote, or return None where there is nothing.

    `store_corpus` writes `corpus.json` last, so a folder with this file is complete. A folder that
    is damaged, or that an older version wrote, is renamed.
    """
    file = folder / "corpus.json"
    if not file.exists():
        return None
    try:
        facts = read_sealed(file)
        facts["works"] = tuple(Work(**work) for work in facts["works"])
        facts["vocabulary"] = tuple(facts["vocabulary"])
        corpus = Corpus(**facts, folder=folder)
        lengths = {split: len(corpus.tokens(split)) for split in SPLITS}
        if lengths == corpus.lengths and corpus.hash == _digest(corpus):
            return corpus
    except (DamagedError, KeyError, TypeError, ValueError, OSError, EOFError):
        pass
    renamed = unused_path(folder.parent, f"{folder.name}.damaged")
    folder.rename(renamed)
    print(f"damaged: corpus {folder}: set aside as {renamed}, made again", file=sys.stderr)
    return None


def _digest(corpus: Corpus) -> str:
    digest = hashlib.sha256((corpus.byte_pairs or "".join(corpus.vocabulary)).encode())
    for split in SPLITS:
        digest.update(split.encode())
        for chunk in corpus.chunks(split):
            digest.update(chunk.astype(np.int32).tobytes())
    if corpus.works:
        digest.update(repr(list(corpus.works)).encode())
    return digest.hexdigest()
