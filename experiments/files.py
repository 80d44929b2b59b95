"""Writing files so that a reader never sees half of one, and sees whether one is still whole."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any


class DamagedError(Exception):
    """A file is not what was written: cut short, altered, or gone."""

    def __init__(self, file: Path) -> None:
        super().__init__(f"{file} is damaged")
        self.file = file


def write_atomically(path: Path, content: bytes) -> None:
    """Write to a temporary file beside `path`, flush it to disk, and rename it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _flush_folder(path.parent)


def write_sealed(path: Path, content: dict[str, Any]) -> None:
    """Write JSON with a checksum of itself under "seal"."""
    sealed = content | {"seal": _seal(content)}
    text = json.dumps(sealed, indent=2, allow_nan=False)
    write_atomically(path, text.encode())


def read_sealed(path: Path) -> dict[str, Any]:
    """Read what `write_sealed` wrote.

    Raises:
        DamagedError: it is something else.
    """
    try:
        found = json.loads(path.read_bytes())
        seal = found.pop("seal")
    except (ValueError, KeyError, AttributeError, TypeError):
        raise DamagedError(path) from None
    if seal != _seal(found):
        raise DamagedError(path)
    content: dict[str, Any] = found
    return content


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
