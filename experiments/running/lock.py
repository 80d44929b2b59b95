"""A lock that lets one process at a time change a results folder."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import filelock

from experiments.errors import UserError
from experiments.files import make_folder
from experiments.running.leases import Member, end_sharing

_LONGEST_WAIT = 600.0  # seconds: the first process measures theory, on a machine with other work


@contextlib.contextmanager
def joined(results: Path, begin: Callable[[Member], None]) -> Iterator[Member]:
    """Share the runs of a results folder with other processes.

    Args:
        results: the folder.
        begin: what is done before any run, by one process after the other.

    Raises:
        UserError: a process that does not share the runs holds the lock.
    """
    with contextlib.ExitStack() as whole:
        with writing_in_turn(results), results_lock(results, sharing=True):
            member = whole.enter_context(Member(results))
            begin(member)
        yield member


@contextlib.contextmanager
def writing_in_turn(results: Path) -> Iterator[None]:
    """Wait until no other process that shares the runs writes the files of the whole study.

    Raises:
        UserError: another process has not ended after ten minutes.
    """
    make_folder(results)
    lock = filelock.FileLock(results / ".sharing")
    try:
        lock.acquire(timeout=_LONGEST_WAIT)
    except filelock.Timeout:
        raise UserError(f"{results}: another process has held {lock.lock_file} too long") from None
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def results_lock(results: Path, *, sharing: bool = False) -> Iterator[None]:
    """Hold the lock of a results folder. The operating system releases the lock when the process
    ends, even if it is killed.

    Args:
        results: the folder.
        sharing: whether processes that share the folder's runs may be at work.

    Raises:
        UserError: another process holds the lock or shares the runs, or the folder contains a
            symbolic link.
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
        if not sharing and (names := end_sharing(results)):
            raise UserError(
                f"{results} is in use by `make work`, {', '.join(names)}: wait for it, or end it"
            )
        owner.write_text(str(os.getpid()))
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()
