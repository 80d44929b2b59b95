"""Files that are written whole or not at all, and checksums that show whether a file changed."""

import contextlib
import hashlib
import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Literal

ROOT = Path(__file__).parent.parent  # the root of the checkout


class DamagedError(Exception):
    """A file is not what was written: it is truncated, altered or missing."""

    def __init__(self, file: Path) -> None:
        super().__init__(f"{file} is damaged")
        self.file = file


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that no reader ever sees a part of it.

    The content goes to a temporary file beside `path`, which is flushed to disk and renamed.
    """
    with open_atomically(path) as file:
        file.write(content)


@contextlib.contextmanager
def open_atomically(path: Path) -> Iterator[BinaryIO]:
    """Like `write_atomically`, for content that is written piece by piece."""
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open_unlinked(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _flush_folder(path.parent)


def open_unlinked(path: Path, mode: Literal["ab", "wb"]) -> BinaryIO:
    """Open a file for writing, and refuse a symbolic link: what is written would be elsewhere.

    Raises:
        OSError: the path is a symbolic link, or the file cannot be opened.
    """

    def opener(name: str, flags: int) -> int:
        return os.open(name, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)

    return open(path, mode, opener=opener)


def make_folder(folder: Path) -> None:
    """Create a folder, with its parents, so that it is still there after a power cut."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        _flush_folder(folder.parent)


def flush(file: Path) -> None:
    """Flush the content of a file to disk."""
    handle = os.open(file, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_sealed(path: Path, content: dict[str, Any]) -> None:
    """Write JSON with a checksum of the content under "seal"."""
    write_atomically(path, _sealed_text(content))


def read_sealed(path: Path) -> dict[str, Any]:
    """Read what `write_sealed` wrote.

    Raises:
        DamagedError: the file is not as it was written.
    """
    written = path.read_bytes()
    content = unseal(written)
    # The last digit of a number may change without another value, and so without another checksum.
    if content is None or _sealed_text(content) != written:
        raise DamagedError(path)
    return content


def _sealed_text(content: dict[str, Any]) -> bytes:
    return json.dumps(seal(content), indent=2).encode()


def seal(content: dict[str, Any]) -> dict[str, Any]:
    """The content with its checksum added under "seal"."""
    return content | {"seal": _checksum(content)}


def unseal(text: str | bytes) -> dict[str, Any] | None:
    """The content of sealed JSON, without the seal; None if the text is anything else."""
    try:
        content: dict[str, Any] = json.loads(text)
        return content if content.pop("seal") == _checksum(content) else None
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        return None


def unused_path(folder: Path, name: str, ending: str = "") -> Path:
    """The first path of name-1, name-2 and so on in a folder that does not exist."""
    paths = (folder / f"{name}-{i}{ending}" for i in itertools.count(1))
    return next(path for path in paths if not path.exists())


def sha256(content: bytes) -> str:
    """The SHA-256 of bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def _checksum(content: dict[str, Any]) -> str:
    return sha256(json.dumps(content, sort_keys=True, allow_nan=False).encode())


def _flush_folder(folder: Path) -> None:
    """Flush a rename to disk, on systems where a folder can be opened."""
    if os.name == "posix":
        flush(folder)
