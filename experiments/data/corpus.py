"""Texts to train on: fetched, checked by hash, split, and turned into token arrays."""

import contextlib
import dataclasses
import functools
import hashlib
import sys
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from experiments.errors import UserError
from experiments.files import (
    DamagedError,
    unused_path,
    read_sealed,
    write_atomically,
    write_sealed,
    open_atomically,
)
from experiments.data.shakespeare import Work, fetch_works, split_works
from experiments.data.text_sources import Pieces, part, pieces_of
from experiments.data.tokenizer import BytePairs, Characters, Tokenizer, narrowest

Tokens = npt.NDArray[Any]
SPLITS = ("train", "val", "test")
NAMES = ("shakespeare", "tinyshakespeare")

_TINY_ADDRESS = (
    "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
)
_TINY_SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
_CHUNK = 1 << 22  # tokens that are looked at at once


@dataclass(frozen=True)
class Corpus:
    """A tokenised text on disk. `hash` covers the vocabulary and every token of every split, and
    which of them are a work of which genre, where that is known.

    Tokens are characters, or byte pairs where `byte_pairs` has the tokenizer. By split, `lengths`
    has their number, `characters` and `bytes` that of what they stand for. `unigram_loss` is the
    validation loss, in nats per token, of guessing by the training split's frequencies (one added
    to each count): the floor for a model that looks at nothing.
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
        """Token ids of "train", "val" or "test", [time], mapped from the file and shared."""
        mapped: Literal["c"] | None = "c" if self.lengths[split] else None  # nothing to map
        array: Tokens = np.load(self.folder / f"{split}.npy", mmap_mode=mapped, allow_pickle=False)
        return array

    def chunks(self, split: str) -> Iterator[Tokens]:
        """The same from end to end, a few million at a time: read and let go, and not mapped."""
        with (self.folder / f"{split}.npy").open("rb") as file:
            np.lib.format.read_magic(file)
            (length,), _, kind = np.lib.format.read_array_header_1_0(file)
            for start in range(0, length, _CHUNK):
                yield np.fromfile(file, kind, min(_CHUNK, length - start))

    @property
    def tokenizer(self) -> Tokenizer:
        """What turns text into ids, and ids into text."""
        return BytePairs(self.byte_pairs) if self.byte_pairs else Characters(self.vocabulary)


def prepare_corpus(name: str, data: Path, vocab_size: int | None = None) -> Corpus:
    """The corpus called `name`, fetched and tokenised under `data` if it is not there yet; by
    character, or by so many byte pairs, which the training split decides.

    `name` is "shakespeare", "tinyshakespeare" or a text of `experiments.data.text_sources`.

    Raises:
        UserError: it cannot be had, is not UTF-8, or has another hash than it should.
    """
    suffix = f"-bpe-{vocab_size}" if vocab_size else ""
    folder = data / f"{name}{suffix}"
    if name == "shakespeare":
        return _stored(folder) or _store(folder, name, *_fetched_works(), vocab_size)
    if name == "tinyshakespeare":
        splits = _split_tiny(_fetch_tiny(data))
        return _stored(folder) or _store(folder, name, splits, (), vocab_size)
    text = pieces_of(name)
    digest, length = hashlib.sha256(), 0
    for piece in text():
        digest.update(piece.encode())
        length += len(piece)
    folder = data / "own" / f"{digest.hexdigest()[:16]}{suffix}"
    splits = _split_ends(text, length, name)
    return _stored(folder) or _store(folder, Path(name).name, splits, (), vocab_size)


def find_corpus(digest: str, data: Path) -> Corpus:
    """The corpus of this hash, which has been prepared before.

    Raises:
        UserError: there is none.
    """
    for file in sorted(data.glob("**/corpus.json")):
        with contextlib.suppress(DamagedError):
            found = ".damaged-" not in str(file) and read_sealed(file).get("hash") == digest
            if found and (corpus := _stored(file.parent)):
                return corpus
    raise UserError(f"the run's corpus is not in {data}: the study that made it puts it there")


def _fetched_works() -> tuple[dict[str, Pieces], list[Work]]:
    texts, works = split_works(fetch_works())
    return {split: _whole(text) for split, text in texts.items()}, works


def _whole(text: str) -> Pieces:
    return lambda: iter([text])


def _split_tiny(text: str) -> dict[str, Pieces]:
    """As nanoGPT: the first 90 % and the last 10 %, and nothing held back for a test."""
    cut = int(0.9 * len(text))
    return {"train": _whole(text[:cut]), "val": _whole(text[cut:]), "test": _whole("")}


def _split_ends(text: Pieces, length: int, name: str) -> dict[str, Pieces]:
    """The first 90 %, then 5 % each; a text too short for that is refused."""
    if length < 10_000:
        raise UserError(
            f"corpus '{name}' is too short: {length:,} characters, at least 10,000 needed"
        )
    cuts = [0, int(0.9 * length), int(0.95 * length), length]
    return {split: part(text, *cuts[i : i + 2]) for i, split in enumerate(SPLITS)}


def _fetch_tiny(data: Path) -> str:
    file = data / "tinyshakespeare.txt"
    if file.exists():
        content = file.read_bytes()
    else:
        try:
            with urllib.request.urlopen(_TINY_ADDRESS, timeout=60) as answer:
                content = answer.read()
        except (urllib.error.URLError, OSError) as error:
            raise UserError(
                f"corpus 'tinyshakespeare' cannot be fetched ({error}): connect to a network, or"
                f" put the file at {file}"
            ) from None
    if hashlib.sha256(content).hexdigest() != _TINY_SHA256:
        raise UserError(f"corpus 'tinyshakespeare': its SHA-256 is not {_TINY_SHA256}")
    if not file.exists():
        write_atomically(file, content)
    return content.decode("utf-8")


def _store(
    folder: Path,
    name: str,
    splits: Mapping[str, Pieces],
    works: Sequence[Work] = (),
    vocab_size: int | None = None,
) -> Corpus:
    """Tokenise, piece by piece."""
    tokenizer: Tokenizer
    if vocab_size:
        tokenizer = found = BytePairs.trained(splits["train"], vocab_size)
        byte_pairs, works = found.library.to_str(), ()  # whose places are counted in characters
    else:
        distinct = {c for split in SPLITS for piece in splits[split]() for c in set(piece)}
        tokenizer, byte_pairs = Characters(sorted(distinct)), ""
    sizes: dict[str, Counter[str]] = {split: Counter() for split in SPLITS}

    def counted(split: str) -> Iterator[str]:
        for piece in splits[split]():
            sizes[split] += Counter(characters=len(piece), bytes=len(piece.encode()))
            yield piece

    kind = narrowest(len(tokenizer.vocabulary))
    lengths = {
        split: _write_array(
            folder / f"{split}.npy", tokenizer.encode(functools.partial(counted, split)), kind
        )
        for split in SPLITS
    }
    corpus = Corpus(
        name=name,
        hash="",
        vocabulary=tokenizer.vocabulary,
        byte_pairs=byte_pairs,
        lengths=lengths,
        characters={split: sizes[split]["characters"] for split in SPLITS},
        bytes={split: sizes[split]["bytes"] for split in SPLITS},
        unigram_loss=0.0,
        works=tuple(works),
        folder=folder,
    )
    corpus = dataclasses.replace(corpus, hash=_digest(corpus), unigram_loss=_unigram_loss(corpus))
    facts = {key: value for key, value in dataclasses.asdict(corpus).items() if key != "folder"}
    write_sealed(folder / "corpus.json", facts)
    return corpus


def _write_array(path: Path, pieces: Iterator[Tokens], kind: type) -> int:
    """Write an array whose length, which is returned, is known when its last piece is there."""
    header = {"descr": np.dtype(kind).str, "fortran_order": False}
    with open_atomically(path) as file:
        np.lib.format.write_array_header_1_0(file, header | {"shape": (0,)})
        begin = file.tell()  # numpy leaves room in a header for the length to grow
        for piece in pieces:
            file.write(piece.tobytes())
        length: int = (file.tell() - begin) // np.dtype(kind).itemsize
        file.seek(0)
        np.lib.format.write_array_header_1_0(file, header | {"shape": (length,)})
    return length


def _unigram_loss(corpus: Corpus) -> float:
    train, val = (_counts(corpus, split) for split in ("train", "val"))
    return float(-(np.log((train + 1) / (train + 1).sum()) * val).sum() / val.sum())


def _counts(corpus: Corpus, split: str) -> Tokens:
    """How often each token stands in a split: [vocab]."""
    counts = np.zeros(len(corpus.vocabulary), dtype=np.int64)
    for chunk in corpus.chunks(split):
        counts += np.bincount(chunk, minlength=len(counts))
    return counts


def _stored(folder: Path) -> Corpus | None:
    """What `_store` left; it writes the facts last, so their presence means all is there. None
    where there is nothing. What is damaged, or an older version's, is set aside.
    """
    file = folder / "corpus.json"
    if not file.exists():
        return None
    try:
        facts = read_sealed(file)
        works = tuple(Work(**work) for work in facts.pop("works"))
        vocabulary = tuple(facts.pop("vocabulary"))
        corpus = Corpus(**facts, vocabulary=vocabulary, works=works, folder=folder)
        lengths = {split: len(corpus.tokens(split)) for split in SPLITS}
        whole = lengths == corpus.lengths and corpus.hash == _digest(corpus)
    except (DamagedError, KeyError, TypeError, ValueError, OSError, EOFError):
        whole = False
    if whole:
        return corpus
    place = unused_path(folder.parent, f"{folder.name}.damaged")
    folder.rename(place)
    print(f"damaged: corpus {folder}: set aside as {place}, made again", file=sys.stderr)
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
