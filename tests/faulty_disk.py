"""A disk that fails at one operation, for tests of what a crash leaves.

`FaultyDisk.install` replaces the functions of Python that change files. Each change below the
watched folder is an operation with a number, counted over all processes forked afterwards. The
operation `at` fails.
"""

import builtins
import errno
import io
import json
import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

FAULTS = {
    "ENOSPC": "the operation fails: no space left",
    "EIO": "the operation fails: input/output error",
    "exit": "the process ends before the operation; half of a write is done",
    "power, data lost": "all processes end, and what was not flushed is missing from the files",
    "power, all lost": "the same, and changes of folders that were not flushed are undone",
}


class FaultyDisk:
    """Counts the operations below the folder `watched`, and fails at one of them.

    at: number of the operation that fails, from 1; 0 for none.
    fault: one of `FAULTS`.
    journal: folder outside `watched` for what is needed to take operations back.
    """

    def __init__(self, watched: Path, journal: Path, fault: str = "", at: int = 0) -> None:
        self.watched, self.journal, self.fault, self.at = str(watched), journal, fault, at
        self.operations = multiprocessing.Value("i", 0)
        self.kinds: list[str] = []
        self.open = io.open
        journal.mkdir(parents=True, exist_ok=True)

    def install(self) -> None:
        """Replace the functions that change files, in this process and those forked from it."""
        builtins.open = io.open = self._open  # type: ignore[assignment]
        os.fsync = self._fsync
        for name in ("replace", "rename"):
            setattr(os, name, self._rename(getattr(os, name)))
        for name in ("unlink", "remove", "rmdir", "mkdir"):
            setattr(os, name, self._change(name, getattr(os, name)))

    def watches(self, path: Any, folder: int | None = None) -> str:
        """The absolute path of the watched folder or a file below it, else an empty text."""
        if isinstance(path, int):
            path = os.readlink(f"/proc/self/fd/{path}")
        if folder is not None:
            path = os.path.join(os.readlink(f"/proc/self/fd/{folder}"), path)
        path = os.path.abspath(os.fspath(path))
        return str(path) if f"{path}/".startswith(self.watched + "/") else ""

    def step(self, half: Callable[[], object] = lambda: None) -> None:
        """Count an operation, and fail if it is the one. `half` does a part of the operation."""
        with self.operations.get_lock():
            self.operations.value += 1
            now = self.operations.value == self.at
        if not now:
            return
        (self.journal / "failed").touch()
        half()
        if self.fault == "exit":
            os._exit(9)
        if self.fault.startswith("power"):
            os.killpg(0, signal.SIGKILL)
        code = getattr(errno, self.fault)
        raise OSError(code, os.strerror(code))

    def note(self, *entry: Any) -> None:
        """Add an entry to the journal, which outlives the process."""
        handle = os.open(self.journal / "entries", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(handle, (json.dumps(entry) + "\n").encode())
        os.close(handle)

    def keep(self, path: str) -> str | None:
        """Keep a file that is about to lose its name. Returns the name it is kept under."""
        if not os.path.isfile(path):
            return None
        status = os.stat(path)
        kept = self.journal / f"kept-{status.st_ino}-{self.operations.value}"
        os.link(path, kept)
        return str(kept)

    def _open(self, file: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        path = "" if isinstance(file, int) else self.watches(file)
        if not path or not set(mode) & set("wax+"):
            return self.open(file, mode, *args, **kwargs)
        new = not os.path.exists(path)
        self.step()
        opened = self.open(file, mode, *args, **kwargs)
        status = os.fstat(opened.fileno())
        if new:
            self.note("create", path)
        self.note("written" if "w" in mode else "opened", status.st_ino, status.st_size)
        return WatchedFile(self, opened)

    def _fsync(self, handle: int) -> None:
        """Note that a file or a folder is flushed. The journal alone decides what lasts."""
        path = self.watches(handle)
        if path:
            self.step()
        if path and os.path.isdir(path):
            self.note("flushed", path)
        elif path:
            status = os.fstat(handle)
            self.note("written", status.st_ino, status.st_size)

    def _rename(self, rename: Callable[..., None]) -> Callable[..., None]:
        def renamed(source: Any, target: Any, **kwargs: Any) -> None:
            path = self.watches(target)
            if not path:
                return rename(source, target, **kwargs)
            kept = self.keep(path)
            self.step()
            rename(source, target, **kwargs)
            self.note("rename", path, self.watches(source), kept)

        return renamed

    def _change(self, name: str, change: Callable[..., None]) -> Callable[..., None]:
        def changed(path: Any, *args: Any, dir_fd: int | None = None, **kwargs: Any) -> None:
            if dir_fd is not None:
                kwargs["dir_fd"] = dir_fd
            watched = self.watches(path, dir_fd)
            if not watched or os.path.exists(watched) == (name == "mkdir"):
                return change(path, *args, **kwargs)  # which raises the error that is due
            kept = self.keep(watched)
            self.step()
            change(path, *args, **kwargs)
            self.note(name, watched, kept)

        return changed


class WatchedFile:
    """An open file whose writes are operations of a `FaultyDisk`."""

    def __init__(self, disk: FaultyDisk, file: Any) -> None:
        self.disk, self.file = disk, file

    def write(self, content: Any) -> int:
        """Write, or fail after a half."""

        def half() -> None:
            self.file.write(content[: len(content) // 2])
            self.file.flush()

        self.disk.step(half)
        return int(self.file.write(content))

    def truncate(self, size: int) -> int:
        """Truncate, or fail before."""
        self.disk.step()
        return int(self.file.truncate(size))

    def __enter__(self) -> "WatchedFile":
        return self

    def __exit__(self, *error: object) -> None:
        self.file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


def lose_unflushed(watched: Path, journal: Path, *, folders: bool) -> None:
    """Make the files below `watched` what they would be after a power cut.

    Files lose what was written after their last flush. With `folders`, every change of a folder
    after the folder's last flush is undone too, the latest first.
    """
    entries = read_journal(journal)
    flushed: dict[int, int] = {}
    for kind, number, *rest in entries:
        if kind == "written":
            flushed[number] = rest[0]
        elif kind == "opened":  # what a file held at first is on the disk
            flushed.setdefault(number, rest[0])
    kept = [*journal.glob("kept-*"), *watched.rglob("*")]
    for path in kept:
        number = path.stat().st_ino
        if path.is_file() and path.stat().st_size > flushed.get(number, path.stat().st_size):
            os.truncate(path, flushed[number])
    lasting: set[str] = set()
    for kind, path, *rest in reversed(entries) if folders else ():
        if kind == "flushed":
            lasting.add(path)
        elif kind not in ("written", "opened") and os.path.dirname(path) not in lasting:
            _undo(kind, Path(path), *rest)


def read_journal(journal: Path) -> list[list[Any]]:
    """The operations that were done, each with its kind and its path."""
    file = journal / "entries"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def _undo(kind: str, path: Path, *rest: Any) -> None:
    """Undo a change of a folder, unless the folder itself has gone."""
    if not path.parent.exists():
        return
    if kind == "create":
        path.unlink(missing_ok=True)
    elif kind == "mkdir":
        shutil.rmtree(path, ignore_errors=True)
    elif kind == "rmdir":
        path.mkdir(exist_ok=True)
    elif kind in ("unlink", "remove"):
        _give_back(rest[0], path)
    elif kind == "rename" and path.exists():
        source, kept = rest
        if Path(source).parent.exists():
            path.rename(source)
        _give_back(kept, path)


def _give_back(kept: str | None, path: Path) -> None:
    if kept and not path.exists():
        os.link(kept, path)
