"""The study's runner: trains unfinished runs through an executor, and reports how each one ends."""

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from experiments.planning.plan import Plan, PlannedRun, run_labels, unique_runs
from experiments.records.run_folder import RunFolder, Status
from experiments.running.executor import Event, Executor, Finished
from experiments.running.job import Job
from experiments.running.local import Local
from experiments.running.progress import Lines, display
from experiments.running.shared import Shared
from experiments.running.trackers import Tracker, tracked
from experiments.spec import RunSpec


@dataclass(frozen=True)
class StudyOutcome:
    """Result of training a study.

    trained: runs trained in this call.
    done: runs that were finished before the call.
    wall_seconds: sum of the wall-clock seconds of the trained runs.
    failed: reason of failure by the run's label.
    elsewhere: runs that other processes trained meanwhile.
    """

    trained: int = 0
    done: int = 0
    wall_seconds: float = 0.0
    failed: dict[str, str] = field(default_factory=dict)
    elsewhere: int = 0

    def __add__(self, other: "StudyOutcome") -> "StudyOutcome":
        return StudyOutcome(
            self.trained + other.trained,
            self.done + other.done,
            self.wall_seconds + other.wall_seconds,
            self.failed | other.failed,
            self.elsewhere + other.elsewhere,
        )


def unfinished(specs: Iterable[RunSpec], results: Path) -> list[RunSpec]:
    """The runs that still need training or a probe."""
    return [spec for spec in specs if not RunFolder(results, spec.run_id).finished(spec.probes)]


def next_turn(
    plan: Plan, folder: Path, asked: set[tuple[str, tuple[str, ...]]], *, failed_only: bool
) -> list[PlannedRun]:
    """The runs of the first turn that has any left to train. No run with the same probes is asked
    for twice.
    """
    specs = unfinished(unique_runs(plan.runs), folder)
    todo = {spec.run_id for spec in specs if (spec.run_id, spec.probes) not in asked}
    left = [member for member in plan.runs if member.spec.run_id in todo]
    if failed_only:
        left = [
            member
            for member in left
            if RunFolder(folder, member.spec.run_id).status() == Status.FAILED
        ]
    first = min((member.turn for member in left), default=None)
    # Equal runs of other ablations are included, for their probes.
    ids = {member.spec.run_id for member in left if member.turn == first}
    members = [member for member in left if member.spec.run_id in ids]
    return sorted(members, key=lambda member: member.turn != first)


def run_study(
    members: list[PlannedRun],
    job: Job,
    slots: list[str],
    executor: Executor,
    *,
    fail_fast: bool = False,
    tracker: Tracker | None = None,
    title: str = "runs",
) -> StudyOutcome:
    """Train the unfinished runs. A failed run stops no other run, and a run with a damaged file is
    set aside and trained again. Ctrl-C ends all workers at once.

    Args:
        members: planned runs; equal runs are trained once.
        job: corpus, results folder and settings of all runs.
        slots: torch device of each run that trains at the same time.
        executor: starts the workers.
        fail_fast: whether to stop at the first run that fails.
        tracker: experiment tracker that shows every run.
        title: what the runs are, for the message at the start.
    """
    specs, labels = unique_runs(members), run_labels(members)
    todo = unfinished(specs, job.results)
    finished, elsewhere = set[str](), set[str]()
    if todo:
        with (
            contextlib.closing(executor.run(todo, job, slots)) as training,
            contextlib.closing(tracked(training, tracker, members, job.results)) as events,
            display(todo, labels) as shown,
        ):
            shown.say(f"{title}: {len(todo)} to train, {len(specs) - len(todo)} already done")
            if not isinstance(executor, Shared):  # which clears a run as it takes it
                _clear(todo, job.results, labels, shown)
            for event in events:
                shown.show(event, describe_outcome(event, job.results))
                if not isinstance(event, Finished):
                    continue
                spec = event.spec
                (finished if event.here else elsewhere).add(spec.run_id)
                if fail_fast and RunFolder(job.results, spec.run_id).status() == "failed":
                    shown.say("stopping at the first run that failed: FAIL_FAST")
                    break
    else:
        list(tracked((), tracker, members, job.results))  # runs finished without the tracker
    summaries = {spec.run_id: RunFolder(job.results, spec.run_id).summary() or {} for spec in specs}
    return StudyOutcome(
        trained=len(finished),
        done=len(specs) - len(todo),
        wall_seconds=sum(summaries[run_id].get("wall_seconds", 0.0) for run_id in finished),
        failed={
            labels[run_id]: summary["reason"]
            for run_id, summary in summaries.items()
            if summary.get("status") == "failed"
        },
        elsewhere=len(elsewhere),
    )


def train_apart(
    specs: Sequence[RunSpec], labels: Mapping[str, str], job: Job, slots: Sequence[str]
) -> None:
    """Train the unfinished runs on this machine, outside any study."""
    todo = [spec for spec in specs if not RunFolder(job.results, spec.run_id).finished()]
    with display(todo, labels) as shown:
        _clear(todo, job.results, labels, shown)
        for event in Local().run(todo, job, slots):
            shown.show(event, describe_outcome(event, job.results))


def describe_outcome(event: Event, results: Path) -> str:
    """How a finished run ended, in a few words. Empty for other events."""
    if not isinstance(event, Finished):
        return ""
    summary = RunFolder(results, event.spec.run_id).summary() or {"status": "unfinished"}
    where = "" if event.here else " in another process"
    if summary["status"] == "done":
        loss, seconds = summary["val_loss"], summary["wall_seconds"]
        return f"validation loss {loss:.4f} in {seconds:.0f} s{where}"
    return f"{summary['status']}{where}: {summary.get('reason', '')}"


def _clear(
    specs: Sequence[RunSpec], results: Path, labels: Mapping[str, str], shown: Lines
) -> None:
    """End workers left over from a killed study, and set damaged run folders aside."""
    for spec in specs:
        folder = RunFolder(results, spec.run_id)
        folder.end_worker()  # the worker would write into the same files
        if damage := folder.damage():
            place = folder.set_aside()
            shown.say(
                f"damaged: {labels[spec.run_id]}: {damage}: set aside as {place}, trained again"
            )
