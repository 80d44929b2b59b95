"""One study at a time in a results folder."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import filelock

from experiments.errors import UserError


@contextlib.contextmanager
def results_lock(results: Path) -> Iterator[None]:
    """Within the block, nobody else changes this results folder. The system gives the lock back
    when its process ends, however that does.

    Raises:
        UserError: another process is at it; it is named. Or something in it leads elsewhere.
    """
    results.mkdir(parents=True, exist_ok=True)
    for place in results.iterdir():
        if place.is_symlink():
            raise UserError(f"{place} is a link: whatever is written there would be elsewhere")
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
