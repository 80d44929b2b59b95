"""The executor "local": one worker process per run, on this machine."""

import math
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, replace
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from experiments.records.run_folder import RunFolder
from experiments.running import devices
from experiments.running.executor import Event, Finished, Progress, Started
from experiments.running.job import Job
from experiments.spec import RunSpec


@dataclass
class RunningProcess:
    """A worker process and its run.

    deadline: monotonic time after which the process counts as hung and is killed.
    """

    process: BaseProcess
    spec: RunSpec
    slot: str
    deadline: float
    hung: bool = False


class Local:
    """The executor "local": one process per run, one run per slot at a time.

    poll_interval: seconds after which runs that wait are looked at again.
    """

    poll_interval = math.inf

    def resolve_device(self, wanted: str) -> str:
        """As in `Executor`, from the devices of this machine."""
        return devices.resolve_device(wanted)

    def slots(self, device: str, slots_per_gpu: int, jobs: int | None) -> list[str]:
        """As in `Executor`: by default one slot per core, or `slots_per_gpu` per GPU."""
        return devices.slots(device, slots_per_gpu, jobs)

    def run(self, specs: Sequence[RunSpec], job: Job, slots: Sequence[str]) -> Generator[Event]:
        """As in `Executor`.

        Workers are forked from a server process that has torch loaded and no threads: this is
        fast, and safe where forking a process with threads or CUDA is not.
        """
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["experiments.running.worker"])
        # The server must not get Ctrl-C: it would print a traceback while it loads torch.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        forkserver.ensure_running()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        # JOBS can put more runs on a card than SLOTS_PER_GPU says.
        job = replace(job, slots_per_gpu=max(job.slots_per_gpu, devices.runs_per_slot(slots)))
        waiting, free_slots = list(specs), list(reversed(slots))
        running: dict[Connection, RunningProcess] = {}
        try:
            while waiting or running:
                yield from self.over_elsewhere(waiting, job)
                if not waiting and not running:
                    break
                while free_slots and (spec := self.next_run(waiting, job)):
                    slot = free_slots.pop()
                    receiver, sender = context.Pipe(duplex=False)
                    process = context.Process(target=_work, args=(spec, job, slot, sender))
                    process.start()
                    sender.close()  # only the worker holds it now: its death is an end-of-file here
                    deadline = time.monotonic() + (job.run_timeout or math.inf)
                    running[receiver] = RunningProcess(process, spec, slot, deadline)
                    yield Started(spec)
                poll = self.poll_interval if waiting else math.inf
                for ready in wait(list(running), _time_to_wait(running.values(), poll)):
                    assert isinstance(ready, Connection)
                    run = running[ready]
                    try:
                        yield Progress(run.spec, *ready.recv())
                    except EOFError:
                        run.process.join()
                        ready.close()
                        del running[ready]
                        free_slots.append(run.slot)
                        if self.is_lost(run.spec, job):
                            waiting.append(run.spec)
                            continue
                        _record_death(run, job)
                        self.give_back(run.spec)
                        yield Finished(run.spec)
                for run in running.values():
                    if time.monotonic() > run.deadline:
                        run.hung = True
                        run.process.kill()
        finally:
            for run in running.values():
                run.process.kill()
            for run in running.values():
                run.process.join()

    def next_run(self, waiting: list[RunSpec], job: Job) -> RunSpec | None:
        """Remove the run to train next from `waiting`; None if there is none now."""
        return waiting.pop(0) if waiting else None

    def over_elsewhere(self, waiting: list[RunSpec], job: Job) -> Iterable[Finished]:
        """Remove the runs that other processes have finished from `waiting`."""
        return ()

    def is_lost(self, spec: RunSpec, job: Job) -> bool:
        """True if another process has taken over the run, which this process was training."""
        return False

    def give_back(self, spec: RunSpec) -> None:
        """Note that this process has finished a run."""


def _time_to_wait(running: Iterable[RunningProcess], poll: float) -> float | None:
    """Seconds until the first deadline, at most `poll`; None if there is no end."""
    deadlines = [run.deadline - time.monotonic() for run in running]
    seconds = min([*deadlines, poll])
    return None if seconds == math.inf else max(0.01, seconds)


def _work(spec: RunSpec, job: Job, slot: str, progress: Connection) -> None:
    # Imported in the worker only: the parent process never loads torch.
    from experiments.running.worker import work

    threading.Thread(target=_exit_with_parent, daemon=True).start()
    work(spec, job, devices.isolate_gpu(slot), progress)


def _exit_with_parent() -> None:
    """Exit when the parent dies, or two workers could write to the same run folder."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _record_death(run: RunningProcess, job: Job) -> None:
    """Write a summary with status "failed" for a worker that ended without a summary."""
    folder, exit_code = RunFolder(job.results, run.spec.run_id), run.process.exitcode
    if folder.summary() is not None:
        return
    reason = f"the worker ended with exit status {exit_code}, leaving no result"
    if exit_code and exit_code < 0:
        reason = f"the worker was killed by {signal.Signals(-exit_code).name}"
    if exit_code == -signal.SIGKILL:
        reason += " (out of memory?)"
    if run.hung:
        reason = f"it was not over after RUN_TIMEOUT={job.run_timeout:g} seconds"
    folder.finish({"status": "failed", "reason": reason} | job.environment)
