"""Texts to train on: fetched, checked by hash, split, and turned into token arrays."""

import dataclasses
import hashlib
import io
import itertools
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from experiments.errors import UserError
from experiments.files import DamagedError, read_sealed, write_atomically, write_sealed
from experiments.shakespeare import Work, fetch_works, split_works

Tokens = npt.NDArray[np.int32]
SPLITS = ("train", "val", "test")
NAMES = ("shakespeare", "tinyshakespeare")

_TINY_ADDRESS = (
    "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
)
_TINY_SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"


@dataclass(frozen=True)
class Corpus:
    """A tokenised text on disk. `hash` covers the vocabulary and every token of every split, and
    which of them are a work of which genre, where that is known.

    `unigram_loss` is the validation loss, in nats per character, of guessing by the training
    split's character frequencies (one added to each count): the floor for a model that looks at
    nothing.
    """

    name: str
    hash: str
    vocabulary: str
    lengths: dict[str, int]
    unigram_loss: float
    works: tuple[Work, ...]
    folder: Path

    def tokens(self, split: str) -> Tokens:
        """Token ids of "train", "val" or "test", [time], mapped from the file and shared."""
        mapped: Literal["c"] | None = "c" if self.lengths[split] else None  # nothing to map
        array: Tokens = np.load(self.folder / f"{split}.npy", mmap_mode=mapped, allow_pickle=False)
        return array


def prepare(name: str, data: Path) -> Corpus:
    """The corpus called `name`, fetched and tokenised under `data` if it is not there yet.

    `name` is "shakespeare", "tinyshakespeare" or the path of a UTF-8 text file.

    Raises:
        UserError: it cannot be had, is not UTF-8, or has another hash than it should.
    """
    if name == "shakespeare":
        return _stored(data / name) or _store(data / name, name, *split_works(fetch_works()))
    if name == "tinyshakespeare":
        return _stored(data / name) or _store(data / name, name, _split_tiny(_fetch_tiny(data)))
    text = _read_file(Path(name))
    folder = data / "own" / hashlib.sha256(text.encode()).hexdigest()[:16]
    return _stored(folder) or _store(folder, Path(name).name, _split_ends(text, name))


def _split_tiny(text: str) -> dict[str, str]:
    """As nanoGPT: the first 90 % and the last 10 %, and nothing held back for a test."""
    cut = int(0.9 * len(text))
    return {"train": text[:cut], "val": text[cut:], "test": ""}


def _split_ends(text: str, name: str) -> dict[str, str]:
    """The first 90 %, then 5 % each; a text too short for that is refused."""
    if len(text) < 10_000:
        raise UserError(
            f"corpus '{name}' is too short: {len(text):,} characters, at least 10,000 needed"
        )
    first, second = int(0.9 * len(text)), int(0.95 * len(text))
    return {"train": text[:first], "val": text[first:second], "test": text[second:]}


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
    write_atomically(file, content)
    return content.decode("utf-8")


def _read_file(path: Path) -> str:
    try:
        if path.exists() and not path.is_file():  # a folder, or a device that has no end
            raise UserError(f"corpus '{path}' is no file")
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise UserError(
            f"corpus '{path}' does not exist: give {', '.join(NAMES)} or the path of a text file"
        ) from None
    except UnicodeDecodeError as error:
        raise UserError(f"corpus '{path}' is not UTF-8 text: byte {error.start} is not") from None
    except OSError as error:
        raise UserError(f"corpus '{path}' cannot be read: {error.strerror}") from None


def _store(folder: Path, name: str, texts: dict[str, str], works: Sequence[Work] = ()) -> Corpus:
    """Tokenise: a character's id is its place in the sorted vocabulary of the whole text."""
    vocabulary = "".join(sorted(set("".join(texts.values()))))
    code = np.zeros(max(map(ord, vocabulary)) + 1, dtype=np.int32)
    code[[ord(character) for character in vocabulary]] = np.arange(len(vocabulary))
    arrays = {}
    for split in SPLITS:
        points = np.frombuffer(texts[split].encode("utf-32-le"), dtype=np.uint32)
        arrays[split] = code[points]
        buffer = io.BytesIO()
        np.save(buffer, arrays[split], allow_pickle=False)
        write_atomically(folder / f"{split}.npy", buffer.getvalue())
    counts = np.bincount(arrays["train"], minlength=len(vocabulary)) + 1
    unigram_loss = -np.log(counts / counts.sum())[arrays["val"]].mean()
    corpus = Corpus(
        name=name,
        hash=_digest(vocabulary, arrays, list(works)),
        vocabulary=vocabulary,
        lengths={split: len(array) for split, array in arrays.items()},
        unigram_loss=float(unigram_loss),
        works=tuple(works),
        folder=folder,
    )
    facts = {key: value for key, value in dataclasses.asdict(corpus).items() if key != "folder"}
    write_sealed(folder / "corpus.json", facts)
    return corpus


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
        corpus = Corpus(**facts, works=works, folder=folder)
        arrays = {split: corpus.tokens(split) for split in SPLITS}
        whole = corpus.hash == _digest(corpus.vocabulary, arrays, list(works))
    except (DamagedError, KeyError, TypeError, ValueError, OSError, EOFError):
        whole = False
    if whole:
        return corpus
    places = (folder.with_name(f"{folder.name}.damaged-{i}") for i in itertools.count(1))
    place = next(place for place in places if not place.exists())
    folder.rename(place)
    print(f"damaged: corpus {folder}: set aside as {place}, made again", file=sys.stderr)
    return None


def _digest(vocabulary: str, arrays: Mapping[str, Tokens], works: list[Work]) -> str:
    digest = hashlib.sha256(vocabulary.encode())
    for split in SPLITS:
        digest.update(split.encode() + arrays[split].tobytes())
    if works:
        digest.update(repr(works).encode())
    return digest.hexdigest()
