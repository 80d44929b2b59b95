"""Trackers: show every run's curves in TensorBoard or Weights & Biases while it trains.

A tracker shows one curve per variant and seed of an ablation, so a run that two ablations share
appears in both. All values come from the run's metrics file, which the tables are made of too.
Everything a tracker writes is in `results/<profile>/tracking/`.
"""

import json
import os
import shutil
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from experiments.errors import UserError
from experiments.planning.plan import PlannedRun
from experiments.records.run_folder import RunFolder
from experiments.running.executor import Event, Finished, Started


class Curves(Protocol):
    """The curves of one run in a tracker."""

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Add the values of a step, by name."""

    def close(self, summary: Mapping[str, Any]) -> None:
        """Finish the curves. `summary` is the run's summary, empty if the run was interrupted."""


@dataclass(frozen=True)
class Tracker:
    """A tool that shows curves.

    begin: starts the curves of a run, in an empty folder.
    """

    name: str
    begin: Callable[[PlannedRun, Path], Curves]


class TensorBoardCurves:
    """An event file. `tensorboard --logdir` groups event files by their folders."""

    def __init__(self, member: PlannedRun, folder: Path) -> None:
        from tensorboard.summary import Writer

        self.writer, self.step = Writer(str(folder)), 0

    def add(self, step: int, values: Mapping[str, float]) -> None:
        self.step = step
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)
        self.writer.flush()

    def close(self, summary: Mapping[str, Any]) -> None:
        """As in `Curves`; the summary's numbers become scalars at the last step."""
        for name, value in _numbers(summary).items():
            self.writer.add_scalar(f"final/{name}", value, self.step)
        self.writer.close()


class WandbCurves:
    """A run in Weights & Biases, grouped by ablation and then by variant."""

    def __init__(self, member: PlannedRun, folder: Path) -> None:
        import wandb

        self.run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "transformer-ablations"),
            group=member.ablation,
            job_type=member.variant,
            name=f"{member.ablation}/{member.variant}/{folder.name}",
            config=member.spec.identity(),
            dir=folder,
            reinit="create_new",  # several runs are open at the same time
        )

    def add(self, step: int, values: Mapping[str, float]) -> None:
        self.run.log(dict(values), step=step)

    def close(self, summary: Mapping[str, Any]) -> None:
        """As in `Curves`; a failed run gets exit code 1."""
        self.run.summary.update(_numbers(summary))
        self.run.finish(exit_code=int(summary.get("status") == "failed"))


def _tensorboard() -> Tracker:
    import tensorboard.summary  # noqa: F401  # the ImportError belongs here, not in the first run

    return Tracker("tensorboard", TensorBoardCurves)


def _wandb() -> Tracker:
    """Weights & Biases, offline unless the environment variable WANDB_MODE says otherwise."""
    os.environ.setdefault("WANDB_MODE", "offline")
    os.environ.setdefault("WANDB_SILENT", "true")
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # error reports use the network
    import wandb

    if os.environ["WANDB_MODE"] == "online" and not wandb.login(prompt=False):
        raise UserError("TRACKER=wandb with WANDB_MODE=online: `wandb login` first")
    return Tracker("wandb", WandbCurves)


_TRACKERS = {"tensorboard": _tensorboard, "wandb": _wandb}


def tracker_named(name: str) -> Tracker | None:
    """The tracker of that name, "tensorboard" or "wandb"; None for "none".

    Raises:
        UserError: a package that the tracker needs is not installed, or its login is missing.
    """
    try:
        return None if name == "none" else _TRACKERS[name]()
    except ImportError:
        raise UserError(f"TRACKER={name} needs {name}: `make setup EXTRAS={name}`") from None


def tracked(
    events: Iterable[Event], tracker: Tracker | None, members: Iterable[PlannedRun], results: Path
) -> Generator[Event]:
    """Yield the events unchanged, and show the curves of their runs in the tracker.

    Runs of `members` that finished before and are not in the tracker yet are shown first.
    """
    if tracker is None:
        yield from events
        return
    members_of = defaultdict[str, list[PlannedRun]](list)
    for member in members:
        members_of[member.spec.run_id].append(member)
    for run_id, all_members in members_of.items():
        missing = [member for member in all_members if not _is_shown(tracker, member, results)]
        if missing and RunFolder(results, run_id).finished():
            TrackedRun(tracker, missing, results).finish()
    running: dict[str, TrackedRun] = {}
    try:
        for event in events:
            run_id = event.spec.run_id
            if isinstance(event, Started):
                if run_id in running:  # its node was lost: the curves start again from step 0
                    running.pop(run_id).close({})
            else:
                # Opened at the first event after Started: by then the worker has cut the metrics
                # file back to the checkpoint.
                if run_id not in running:
                    running[run_id] = TrackedRun(tracker, members_of[run_id], results)
                if isinstance(event, Finished):
                    running.pop(run_id).finish()
                else:
                    running[run_id].update()
            yield event
    finally:
        for run in running.values():
            run.close({})


class TrackedRun:
    """A run's curves, read from its metrics file as the file grows.

    members: the variants and seeds that the run stands for; each has curves of its own.
    """

    def __init__(self, tracker: Tracker, members: list[PlannedRun], results: Path) -> None:
        self.folder = RunFolder(results, members[0].spec.run_id)
        self.bytes_read = 0
        self.curves: list[Curves] = []
        for member in members:
            place = _place(tracker, member, results)
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir(parents=True)
            _marker(place).write_text(member.spec.run_id)
            self.curves.append(tracker.begin(member, place))

    def update(self) -> None:
        """Show the points that were added to the metrics file since the last call."""
        metrics = self.folder.metrics
        content = metrics.read_bytes()[self.bytes_read :] if metrics.exists() else b""
        for line in content.splitlines(keepends=True):
            if line.endswith(b"\n"):  # the last line may be half written
                self.bytes_read += len(line)
                point = json.loads(line)
                values = {
                    f"{point['split']}/{name}": float(point[name])
                    for name in ("loss", "learning_rate", "gradient_norm")
                    if point.get(name) is not None  # null stands for NaN and infinity
                }
                for curves in self.curves:
                    curves.add(point["step"], values | {"tokens": point["tokens"]})

    def finish(self) -> None:
        """Show the remaining points and the summary."""
        self.update()
        self.close(self.folder.summary() or {})

    def close(self, summary: Mapping[str, Any]) -> None:
        """Close the curves."""
        for curves in self.curves:
            curves.close(summary)


def _numbers(summary: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in summary.items() if type(value) in (int, float)}


def _place(tracker: Tracker, member: PlannedRun, results: Path) -> Path:
    """The folder that the tracker writes a member's curves to."""
    rate = "" if member.rate is None else f"-rate-{member.rate:g}x"
    folder = results / "tracking" / tracker.name / member.ablation / member.variant
    budget = f"-budget-{member.budget}" if member.budget > 1 else ""
    return folder / f"seed-{member.spec.seed}{rate}{budget}"


def _marker(place: Path) -> Path:
    """The file beside a member's folder that holds the id of the run shown there."""
    return place.with_name(f"{place.name}.run")


def _is_shown(tracker: Tracker, member: PlannedRun, results: Path) -> bool:
    """Whether the tracker shows this run, and not one of another corpus or recipe."""
    marker = _marker(_place(tracker, member, results))
    return marker.exists() and marker.read_text() == member.spec.run_id
