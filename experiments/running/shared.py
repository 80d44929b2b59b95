"""The executor of `work`: runs of a results folder that other processes train from, too."""

import time
from collections.abc import Generator, Iterable, Sequence
from dataclasses import replace

from experiments.records.run_folder import RunFolder, Status
from experiments.running.executor import Event, Finished
from experiments.running.job import Job
from experiments.running.leases import Member, holder, see_anew
from experiments.running.local import Local
from experiments.spec import RunSpec


class Shared(Local):
    """Takes one run after the other that no other process has, and trains it on this machine.

    Runs that others train are waited for, and taken over if their process dies.
    """

    poll_interval = 1.0

    def __init__(self, member: Member) -> None:
        self.member = member
        self._next_look = self._next_choice = 0.0  # monotonic times

    def run(self, specs: Sequence[RunSpec], job: Job, slots: Sequence[str]) -> Generator[Event]:
        """As in `Executor`. Runs that other processes finish have a `Finished` event, too."""
        yield from super().run(specs, replace(job, member=self.member.name), slots)

    def over_elsewhere(self, waiting: list[RunSpec], job: Job) -> Iterable[Finished]:
        """Remove the runs that others have finished from `waiting`."""
        if time.monotonic() < self._next_look:
            return
        for spec in [spec for spec in waiting if self._is_over(spec, job)]:
            waiting.remove(spec)
            yield Finished(spec, here=False)
        self._next_look = time.monotonic() + self.poll_interval

    def next_run(self, waiting: list[RunSpec], job: Job) -> RunSpec | None:
        """Remove the first run that nobody trains from `waiting`, and take it."""
        if time.monotonic() < self._next_choice:
            return None
        for spec in waiting:
            if self._is_over(spec, job) or not self.member.take(spec.run_id):
                continue
            folder = RunFolder(job.results, spec.run_id)
            folder.end_worker()  # of a killed process on this machine
            if self._is_over(spec, job):  # finished since the look before
                self.member.give_back(spec.run_id)
                continue
            waiting.remove(spec)
            if damage := folder.damage():
                print(f"damaged: {spec.run_id}: {damage}: set aside as {folder.set_aside()}")
            folder.forget_failure()
            return spec
        self._next_choice = time.monotonic() + self.poll_interval
        return None

    def is_lost(self, spec: RunSpec, job: Job) -> bool:
        """True if another process has taken over the run, because this process seemed dead."""
        return holder(job.results, spec.run_id) != self.member.name

    def give_back(self, spec: RunSpec) -> None:
        """Give back a run that this process trained."""
        self.member.give_back(spec.run_id)

    def _is_over(self, spec: RunSpec, job: Job) -> bool:
        """Whether a run has a result, or failed in another process since this one began."""
        folder = RunFolder(job.results, spec.run_id)
        see_anew(folder.path)
        if folder.finished(spec.probes):
            return True
        return folder.status() == Status.FAILED and self.member.ended_elsewhere(spec.run_id)
