"""Running a study: what is done is skipped, what fails stops nothing, the page comes early."""

import contextlib
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from experiments.errors import UserError
from experiments.plan import PlannedRun, run_labels, unique_runs
from experiments.records.collect import is_measured
from experiments.records.run_folder import RunFolder
from experiments.running.job import Job
from experiments.running.local import Event, Executor, Finished, run_local
from experiments.running.progress import display
from experiments.running.trackers import Tracker, tracked
from experiments.spec import TUNING_SEED, RunSpec

_CHECKED = ("identities", "theory", "encodings")  # tables of `experiments.theory.checks`


@dataclass(frozen=True)
class StudyOutcome:
    """How a study ended: runs trained now, those that were done before, the seconds that the
    workers of the first took together, and the failed with reasons.
    """

    trained: int = 0
    done: int = 0
    wall_seconds: float = 0.0
    failed: dict[str, str] = field(default_factory=dict)

    def __add__(self, other: "StudyOutcome") -> "StudyOutcome":
        return StudyOutcome(
            self.trained + other.trained,
            self.done + other.done,
            self.wall_seconds + other.wall_seconds,
            self.failed | other.failed,
        )


def run_study(
    members: list[PlannedRun],
    job: Job,
    slots: list[str],
    executor: Executor,
    fail_fast: bool,
    tracker: Tracker | None = None,
) -> StudyOutcome:
    """Train what is not finished, and refresh the page after each round; with `fail_fast`, up to
    the first run that fails. A run with a damaged file is set aside, and trained again.

    A round is one seed of everything. Ctrl-C ends all workers at once.

    Raises:
        UserError: what needs no training, the identities and theory, could not be computed.
    """
    if not members:
        return StudyOutcome()
    specs = unique_runs(members)
    todo = [spec for spec in specs if not RunFolder(job.results, spec.run_id).finished(spec.probes)]
    labels = run_labels(members)
    over: set[str] = set()
    pages = PageRefresher(job.results)
    if todo or not all(is_measured(job.results, name) for name in _CHECKED):
        _run_program("theory.checks", job.results)
    if todo:
        left = Counter(spec.seed for spec in todo if spec.seed < TUNING_SEED)
        try:
            with (
                contextlib.closing(executor.run(todo, job, slots)) as trained,
                contextlib.closing(tracked(trained, tracker, members, job.results)) as events,
                display(todo, labels) as shown,
            ):
                shown.say(f"{len(todo)} runs to train, {len(specs) - len(todo)} already done")
                for spec in todo:  # it would write where ours do
                    RunFolder(job.results, spec.run_id).end_worker()
                for line in _set_aside(todo, job.results, labels):
                    shown.say(line)
                for event in events:
                    shown.show(event, describe_outcome(event, job.results))
                    if isinstance(event, Finished):
                        over.add(event.spec.run_id)
                    if fail_fast and _failed(event, job.results):
                        shown.say("stopping at the first run that failed: FAIL_FAST")
                        break
                    if isinstance(event, Finished) and event.spec.seed in left:
                        left[event.spec.seed] -= 1
                        if left[event.spec.seed] == 0 and left.total():
                            pages.refresh()
                            shown.say(f"seed {event.spec.seed} is complete: refreshing the page")
        finally:
            pages.stop()
    else:
        list(tracked((), tracker, members, job.results))  # what it was not told of
    summaries = {spec.run_id: RunFolder(job.results, spec.run_id).summary() or {} for spec in specs}
    failed = {
        labels[run_id]: summary["reason"]
        for run_id, summary in summaries.items()
        if summary.get("status") == "failed"
    }
    taken = sum(summaries[run_id].get("wall_seconds", 0.0) for run_id in over)
    return StudyOutcome(len(over), len(specs) - len(todo), taken, failed)


def train_apart(
    specs: Sequence[RunSpec], labels: Mapping[str, str], job: Job, slots: Sequence[str]
) -> None:
    """Train those of these runs that are not finished, on this machine, apart from any study."""
    todo = [spec for spec in specs if not RunFolder(job.results, spec.run_id).finished()]
    with display(todo, labels) as shown:
        for spec in todo:
            RunFolder(job.results, spec.run_id).end_worker()
        for line in _set_aside(todo, job.results, labels):
            shown.say(line)
        for event in run_local(todo, job, slots):
            shown.show(event, describe_outcome(event, job.results))


def _set_aside(specs: list[RunSpec], results: Path, labels: Mapping[str, str]) -> Iterator[str]:
    """Move what is damaged out of the way, saying so."""
    for spec in specs:
        folder = RunFolder(results, spec.run_id)
        if damage := folder.damage():
            place = folder.set_aside()
            yield f"damaged: {labels[spec.run_id]}: {damage}: set aside as {place}, trained again"


def _failed(event: Event, results: Path) -> bool:
    if not isinstance(event, Finished):
        return False
    return RunFolder(results, event.spec.run_id).status() == "failed"


def measure_costs(results: Path, profile: str, device: str) -> None:
    """Time attention, norms and generation; nothing else may be running.

    Raises:
        UserError: it failed; a log is named that says why.
    """
    _run_program("benchmarks.costs", results, profile, device)


def _run_program(name: str, results: Path, *arguments: str) -> None:
    """What needs no training, in a program of its own: it takes torch, which we never load."""
    command = [sys.executable, "-m", f"experiments.{name}", str(results), *arguments]
    file = results / f"{name.rpartition('.')[2]}.log"
    with file.open("wb") as log:
        done = subprocess.run(command, stdout=log, stderr=log, check=False)
    if done.returncode:
        raise UserError(f"`python -m experiments.{name}` failed: {file} says why")


def describe_outcome(event: Event, results: Path) -> str:
    """How a finished run ended, in a few words; nothing of other events."""
    if not isinstance(event, Finished):
        return ""
    summary = RunFolder(results, event.spec.run_id).summary() or {"status": "unfinished"}
    if summary["status"] == "done":
        return f"validation loss {summary['val_loss']:.4f} in {summary['wall_seconds']:.0f} s"
    return f"{summary['status']}: {summary.get('reason', '')}"


class PageRefresher:
    """Builds the page in a process of its own, one at a time; training goes on beside it."""

    def __init__(self, results: Path) -> None:
        self.results = results
        self.process: subprocess.Popen[bytes] | None = None

    def refresh(self) -> None:
        """Start building, unless the last build is still at it. What it says goes to a file."""
        if self.process is None or self.process.poll() is not None:
            with (self.results / "report.log").open("wb") as log:
                self.process = subprocess.Popen(self._command(), stdout=log, stderr=log)
            # Runs are timed: what is built beside them takes what they leave.
            with contextlib.suppress(psutil.Error):
                psutil.Process(self.process.pid).nice(19)

    def build(self, *, only_if_changed: bool) -> int:
        """Build the page now and wait for it. Returns its exit status; it says what broke."""
        options = ["--if-changed"] if only_if_changed else []
        self.process = subprocess.Popen(self._command(*options))
        try:
            return self.process.wait()
        finally:
            self.stop()

    def stop(self) -> None:
        """End a build that is still going, its notebooks' kernels included."""
        if self.process is None or self.process.poll() is not None:
            return
        with contextlib.suppress(psutil.NoSuchProcess):
            builder = psutil.Process(self.process.pid)
            for process in [*builder.children(recursive=True), builder]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
        self.process.wait()

    def _command(self, *options: str) -> list[str]:
        # A program, not an import: `report` builds on us.
        return [sys.executable, "-m", "report", str(self.results), *options]
