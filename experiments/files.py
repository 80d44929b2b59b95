"""Writing files so that a reader never sees half of one, and sees whether one is still whole."""

import contextlib
import hashlib
import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

ROOT = Path(__file__).parent.parent  # of the checkout


class DamagedError(Exception):
    """A file is not what was written: cut short, altered, or gone."""

    def __init__(self, file: Path) -> None:
        super().__init__(f"{file} is damaged")
        self.file = file


def write_atomically(path: Path, content: bytes) -> None:
    """Write to a temporary file beside `path`, flush it to disk, and rename it into place."""
    with open_atomically(path) as file:
        file.write(content)


@contextlib.contextmanager
def open_atomically(path: Path) -> Iterator[BinaryIO]:
    """The same for what is written bit by bit."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _flush_folder(path.parent)


def write_sealed(path: Path, content: dict[str, Any]) -> None:
    """Write JSON with a checksum of itself under "seal"."""
    write_atomically(path, json.dumps(seal(content), indent=2).encode())


def read_sealed(path: Path) -> dict[str, Any]:
    """Read what `write_sealed` wrote.

    Raises:
        DamagedError: it is something else.
    """
    found = unseal(path.read_bytes())
    if found is None:
        raise DamagedError(path)
    return found


def seal(content: dict[str, Any]) -> dict[str, Any]:
    """The same with a checksum of itself under "seal"."""
    return content | {"seal": _seal(content)}


def unseal(text: str | bytes) -> dict[str, Any] | None:
    """What was sealed and written as JSON, or None where the text is something else."""
    try:
        content: dict[str, Any] = json.loads(text)
        return content if content.pop("seal") == _seal(content) else None
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        return None


def unused_path(folder: Path, name: str, ending: str = "") -> Path:
    """The first of name-1, name-2 and so on in a folder, where nothing lies yet."""
    places = (folder / f"{name}-{i}{ending}" for i in itertools.count(1))
    return next(place for place in places if not place.exists())


def sha256(content: bytes) -> str:
    """The SHA-256 of some bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def _seal(content: dict[str, Any]) -> str:
    return sha256(json.dumps(content, sort_keys=True, allow_nan=False).encode())


def _flush_folder(folder: Path) -> None:
    """Flush a rename to disk as well, where the system lets a folder be opened."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
