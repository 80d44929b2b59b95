"""Executors: what takes runs and tells how they go, as a stream of events."""

import math
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Protocol

from experiments.records import provenance as hardware
from experiments.records.provenance import isolate_gpu
from experiments.records.run_folder import RunFolder
from experiments.running.job import Job
from experiments.spec import RunSpec


@dataclass(frozen=True)
class Started:
    """A worker has taken the run."""

    spec: RunSpec


@dataclass(frozen=True)
class Progress:
    """The run is at `step`, with this training loss and this many tokens a second."""

    spec: RunSpec
    step: int
    loss: float
    tokens_per_second: float


@dataclass(frozen=True)
class Finished:
    """The run is over; its folder says how it ended."""

    spec: RunSpec


Event = Started | Progress | Finished


class Executor(Protocol):
    """Where runs are carried out, and how many at a time."""

    def resolve_device(self, wanted: str) -> str:
        """ "cuda", "mps" or "cpu": what `wanted` comes to there; "auto" is the best there is.

        Raises:
            UserError: there is no such device.
        """

    def slots(self, device: str, slots_per_gpu: int, jobs: int | None) -> list[str]:
        """The torch device of each run that may go on at the same time, `jobs` if given."""

    def run(self, specs: Sequence[RunSpec], job: Job, slots: Sequence[str]) -> Generator[Event]:
        """Train all, and leave their folders finished. Closing the stream ends what still goes."""


class Local:
    """The executor "local": processes of this machine."""

    def resolve_device(self, wanted: str) -> str:
        """What this machine has."""
        return hardware.resolve_device(wanted)

    def slots(self, device: str, slots_per_gpu: int, jobs: int | None) -> list[str]:
        """As many as there are cores, or cards times `slots_per_gpu`."""
        return hardware.slots(device, slots_per_gpu, jobs)

    def run(self, specs: Sequence[RunSpec], job: Job, slots: Sequence[str]) -> Generator[Event]:
        """One process per run."""
        return run_local(specs, job, slots)


@dataclass
class _Running:
    """A process at its run."""

    process: BaseProcess
    spec: RunSpec
    slot: str
    until: float  # by the monotonic clock: then it is taken to hang
    hung: bool = False


def run_local(specs: Sequence[RunSpec], job: Job, slots: Sequence[str]) -> Generator[Event]:
    """One process per run, one run per slot at a time; a slot is a torch device.

    Processes are forked from a server that has torch loaded and nothing started: quick, and safe
    where forking a process with threads or CUDA is not.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["experiments.running.worker"])
    # Ctrl-C is ours to hear: it would answer with a traceback while it loads torch.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    forkserver.ensure_running()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    waiting, free = list(reversed(specs)), list(reversed(slots))
    running: dict[Connection, _Running] = {}
    try:
        while waiting or running:
            while waiting and free:
                spec, slot = waiting.pop(), free.pop()
                receiver, sender = context.Pipe(duplex=False)
                process = context.Process(target=_work, args=(spec, job, slot, sender))
                process.start()
                sender.close()  # now the worker's end alone: when it dies, we read end-of-file
                until = time.monotonic() + (job.run_timeout or math.inf)
                running[receiver] = _Running(process, spec, slot, until)
                yield Started(spec)
            for ready in wait(list(running), _patience(running.values())):
                assert isinstance(ready, Connection)
                run = running[ready]
                try:
                    yield Progress(run.spec, *ready.recv())
                except EOFError:
                    run.process.join()
                    ready.close()
                    del running[ready]
                    free.append(run.slot)
                    _note_sudden_death(run, job)
                    yield Finished(run.spec)
            for run in running.values():
                if time.monotonic() > run.until:
                    run.hung = True
                    run.process.kill()
    finally:
        for run in running.values():
            run.process.kill()
        for run in running.values():
            run.process.join()


def _patience(running: Iterable[_Running]) -> float | None:
    """Seconds until the first of them is taken to hang; None for ever."""
    left = min(run.until for run in running) - time.monotonic()
    return None if left == math.inf else max(0.01, left)


def _work(spec: RunSpec, job: Job, slot: str, progress: Connection) -> None:
    # Imported here: the parent never loads torch.
    from experiments.running.worker import work

    threading.Thread(target=_end_with_parent, daemon=True).start()
    device = isolate_gpu(slot)
    work(spec, job, device, progress)


def _end_with_parent() -> None:
    """A worker whose study was killed would write where the next one's does."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _note_sudden_death(run: _Running, job: Job) -> None:
    """A worker that was killed has left no summary: leave one for it."""
    folder, exit_code = RunFolder(job.results, run.spec.run_id), run.process.exitcode
    if folder.summary() is None:
        reason = f"the worker ended with exit status {exit_code}, leaving no result"
        if exit_code and exit_code < 0:
            reason = f"the worker was killed by {signal.Signals(-exit_code).name}"
        if exit_code == -signal.SIGKILL:
            reason += " (out of memory?)"
        if run.hung:
            reason = f"it was not over after RUN_TIMEOUT={job.run_timeout:g} seconds"
        folder.finish({"status": "failed", "reason": reason} | job.environment)
