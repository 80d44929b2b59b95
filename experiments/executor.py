"""Executors: something that takes runs and tells how they go.

An executor is a function from runs to a stream of events; `EXECUTORS` names them.
"""

import multiprocessing
import signal
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from experiments.corpus import Corpus
from experiments.hardware import see_one_card
from experiments.spec import RunSpec
from experiments.store import RunFolder


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


@dataclass(frozen=True)
class Job:
    """What all runs of a study have in common."""

    corpus: Corpus
    results: Path
    environment: dict[str, Any]


# Closing the stream ends every run that is still going.
Executor = Callable[[Sequence[RunSpec], Job, Sequence[str]], Generator[Event]]


def run_local(specs: Sequence[RunSpec], job: Job, slots: Sequence[str]) -> Generator[Event]:
    """One process per run, one run per slot at a time; a slot is a torch device.

    Processes are forked from a server that has torch loaded and nothing started: quick, and safe
    where forking a process with threads or CUDA is not.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["experiments.worker"])
    process: BaseProcess
    waiting, free = list(reversed(specs)), list(reversed(slots))
    running: dict[Connection, tuple[BaseProcess, RunSpec, str]] = {}
    try:
        while waiting or running:
            while waiting and free:
                spec, slot = waiting.pop(), free.pop()
                receiver, sender = context.Pipe(duplex=False)
                process = context.Process(target=_work, args=(spec, job, slot, sender))
                process.start()
                sender.close()  # now the worker's end alone: when it dies, we read end-of-file
                running[receiver] = (process, spec, slot)
                yield Started(spec)
            for ready in wait(list(running)):
                assert isinstance(ready, Connection)
                process, spec, slot = running[ready]
                try:
                    yield Progress(spec, *ready.recv())
                except EOFError:
                    process.join()
                    ready.close()
                    del running[ready]
                    free.append(slot)
                    _note_sudden_death(spec, job, process.exitcode)
                    yield Finished(spec)
    finally:
        for process, _, _ in running.values():
            process.kill()
        for process, _, _ in running.values():
            process.join()


def _work(spec: RunSpec, job: Job, slot: str, progress: Connection) -> None:
    # Imported here: the parent never loads torch.
    from experiments.worker import work

    work(spec, job.corpus, job.results, see_one_card(slot), job.environment, progress)


def _note_sudden_death(spec: RunSpec, job: Job, exit_code: int | None) -> None:
    """A worker that was killed has left no summary: leave one for it."""
    folder = RunFolder(job.results, spec.run_id)
    if folder.summary() is None:
        reason = f"the worker ended with exit status {exit_code}, leaving no result"
        if exit_code and exit_code < 0:
            reason = f"the worker was killed by {signal.Signals(-exit_code).name}"
        if exit_code == -signal.SIGKILL:
            reason += " (out of memory?)"
        folder.finish({"status": "failed", "reason": reason} | job.environment)


EXECUTORS: dict[str, Executor] = {"local": run_local}
