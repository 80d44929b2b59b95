"""A lock that lets one process at a time change a results folder."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import filelock

from experiments.errors import UserError
from experiments.files import make_folder


@contextlib.contextmanager
def results_lock(results: Path) -> Iterator[None]:
    """Hold the lock of a results folder. The operating system releases the lock when the process
    ends, even if it is killed.

    Raises:
        UserError: another process holds the lock, or the folder contains a symbolic link.
    """
    make_folder(results)
    for path in results.iterdir():
        if path.is_symlink():
            raise UserError(f"{path} is a link: whatever is written there would be elsewhere")
    lock, owner = filelock.FileLock(results / ".lock"), results / ".owner"
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        pid = owner.read_text() if owner.exists() else "not known"
        raise UserError(
            f"{results} is in use by another call, process {pid}: wait for it, or end it"
        ) from None
    try:
        owner.write_text(str(os.getpid()))
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()
