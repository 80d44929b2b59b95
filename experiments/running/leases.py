"""Leases: several processes, on one machine or on several, share the runs of a results folder.

results/<profile>/workers/<name>.json   a process that shares runs: its machine, the leases that it
                                        holds, and a count that grows for as long as it lives
results/<profile>/leases/<run_id>.<n>   the name of the process that took the run after n others

A run belongs to the process of its last lease, while this process lives and lists the lease. The
file of a lease is created exclusively, so one of two processes gets the run, and no lease is
changed or deleted while any process shares runs. A process that was taken for dead finds a later
lease before it writes, and stops. (A write that a network file system delays for more than
`SILENCE` seconds can still reach the run of another process.)

A process on the same machine is dead when it is gone. A process on another machine is dead when its
count has not grown for `SILENCE` seconds of the clock of the process that looks: the clocks of two
machines are never compared.
"""

import contextlib
import functools
import json
import os
import secrets
import shutil
import socket
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.errors import UserError
from experiments.files import make_folder, write_atomically
from experiments.records.run_folder import process_start

SILENCE = 60.0  # seconds
_INTERVAL = 10.0  # seconds between two growths of the count


class Member:
    """A process that shares runs, as a context manager.

    results: the results folder.
    name: the name of its file.
    """

    def __init__(self, results: Path) -> None:
        self.results = results
        self.name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._file = results / "workers" / f"{self.name}.json"
        self._held: set[str] = set()
        self._count = 0
        self._watch = Watch(results)
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._live, daemon=True)

    def __enter__(self) -> "Member":
        make_folder(self.results / "leases")
        taken = list((self.results / "leases").iterdir())
        ended = [lease for lease in taken if not self._watch.holds(lease)]
        self._before = Counter(lease.stem for lease in ended)
        self._write()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._file.unlink(missing_ok=True)

    def take(self, run_id: str) -> bool:
        """Take a run, unless another process that lives holds its lease."""
        n = number_of_leases(self.results, run_id)
        if n and self._watch.holds(self.results / "leases" / f"{run_id}.{n - 1}"):
            return False
        lease = f"{run_id}.{n}"
        self._list(lease, held=True)  # before it exists: nobody may see it as given back
        try:
            with open(self.results / "leases" / lease, "xb") as file:
                file.write(self.name.encode())
                file.flush()
                os.fsync(file.fileno())
        except FileExistsError:
            self._list(lease, held=False)
            return False
        except FileNotFoundError:  # another call has deleted the folder of leases
            raise UserError(
                f"{self.results}: this process was silent, and taken for dead: call it again"
            ) from None
        return True

    def give_back(self, run_id: str) -> None:
        """Give a run back that this process has taken."""
        with self._lock:
            self._held = {lease for lease in self._held if Path(lease).stem != run_id}
        self._write()

    def ended_elsewhere(self, run_id: str) -> bool:
        """True if another process took the run after this process joined, and has given it back or
        died.
        """
        n = number_of_leases(self.results, run_id)
        if n and f"{run_id}.{n - 1}" in self._held:
            return n - 1 > self._before[run_id]
        lease = self.results / "leases" / f"{run_id}.{n - 1}"
        return n > self._before[run_id] and not self._watch.holds(lease)

    def others(self) -> list[str]:
        """Names of the other processes that share runs here. Takes up to `SILENCE` seconds if any
        may be on another machine.
        """
        return [name for name in self._watch.known_to_live() if name != self.name]

    def _list(self, lease: str, *, held: bool) -> None:
        with self._lock:
            self._held = self._held | {lease} if held else self._held - {lease}
        self._write()

    def _live(self) -> None:
        while not self._over.wait(_INTERVAL):
            with contextlib.suppress(OSError):  # a full disk may have room again
                self._write()

    def _write(self) -> None:
        with self._lock:
            self._count += 1
            facts = {
                "machine": this_machine(),
                "pid": os.getpid(),
                "began": process_start(os.getpid()),
                "count": self._count,
                "leases": sorted(self._held),
            }
            write_atomically(self._file, json.dumps(facts).encode())


@dataclass
class _Sighting:
    """The count of a process on another machine, as far as this process has seen it.

    since: monotonic time when the count was first seen.
    grew: whether it has ever been seen to grow.
    """

    count: int
    since: float
    grew: bool = False


class Watch:
    """Observes which of the processes that share a results folder are alive."""

    def __init__(self, results: Path) -> None:
        self.results = results
        self._seen: dict[str, _Sighting] = {}

    def alive(self) -> list[str]:
        """Names of the processes that are alive, or not known to be dead yet."""
        files = (self.results / "workers").glob("*.json")
        return sorted(file.stem for file in files if self._lives(file.stem, _read(file)))

    def known_to_live(self) -> list[str]:
        """Names of the processes that are alive. A process on another machine is watched until its
        count grows, or for `SILENCE` seconds.
        """
        self.alive()
        while not self.all_known:
            time.sleep(min(1.0, SILENCE / 10))
            self.alive()
        return self.alive()

    @property
    def all_known(self) -> bool:
        """True if each observed process is known to be alive or known to be dead."""
        now = time.monotonic()
        return all(each.grew or now - each.since >= SILENCE for each in self._seen.values())

    def holds(self, lease: Path) -> bool:
        """True if the process that took the lease is alive and still lists the lease."""
        name = lease.read_text()
        if not name:  # its process is writing it, or died before it did
            return self._silence(lease.name, 0) < SILENCE
        facts = _read(self.results / "workers" / f"{name}.json")
        return lease.name in facts.get("leases", [lease.name]) and self._lives(name, facts)

    def _lives(self, name: str, facts: dict[str, Any]) -> bool:
        if not facts:
            return False
        if facts["machine"] != this_machine():
            return self._silence(name, facts["count"]) < SILENCE
        return process_start(facts["pid"]) == facts["began"]

    def _silence(self, name: str, count: int) -> float:
        """Seconds since a count was first seen here."""
        now, last = time.monotonic(), self._seen.get(name)
        if last is None or last.count != count:
            last = self._seen[name] = _Sighting(count, now, grew=last is not None)
        return now - last.since


def number_of_leases(results: Path, run_id: str) -> int:
    """Number of leases of a run in a results folder."""
    see_anew(results / "leases")
    n = 0
    while (results / "leases" / f"{run_id}.{n}").exists():
        n += 1
    return n


def holder(results: Path, run_id: str) -> str:
    """Name of the process that took a run last; empty if none has."""
    n = number_of_leases(results, run_id)
    return (results / "leases" / f"{run_id}.{n - 1}").read_text() if n else ""


def end_sharing(results: Path) -> list[str]:
    """Delete what dead processes left, and return the names of those that share runs now."""
    shared = [results / name for name in ("leases", "workers") if (results / name).exists()]
    if not shared:
        return []
    watch = Watch(results)
    if watch.alive() and not watch.all_known:
        print(f"{results} was shared by other machines: waiting {SILENCE:g} s for a sign of life")
    if names := watch.known_to_live():
        return names
    for folder in shared:  # renamed first: a part of the leases would be worse than all of them
        ended = folder.with_name(f".ended-{folder.name}")
        shutil.rmtree(ended, ignore_errors=True)
        folder.rename(ended)
        shutil.rmtree(ended, ignore_errors=True)
    return []


def see_anew(folder: Path) -> None:
    """Let the next look at a folder's files see what other machines have created there.

    A network file system remembers for a minute which files were missing, until the folder is
    opened.
    """
    with contextlib.suppress(FileNotFoundError):
        os.close(os.open(folder, os.O_RDONLY))


@functools.cache
def this_machine() -> str:
    """Identifier of this machine: host name, boot and process namespace. Two containers on one host
    have different identifiers, since their process numbers are independent.
    """
    facts = [socket.gethostname()]
    with contextlib.suppress(OSError):  # Linux alone has these
        facts += [Path("/proc/sys/kernel/random/boot_id").read_text().strip()]
        facts += [os.readlink("/proc/self/ns/pid")]
    return " ".join(facts)


def _read(file: Path) -> dict[str, Any]:
    """The content of a process's file; empty if there is none.

    A file that cannot be read is that of a process on another machine that is silent.
    """
    try:
        facts: dict[str, Any] = json.loads(file.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):  # a network file system may be replacing it
        return {"machine": "", "count": -1}
    return facts
