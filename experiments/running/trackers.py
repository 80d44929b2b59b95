"""Trackers: every run's curves in TensorBoard or Weights & Biases while it trains. Off by default.

What is tracked is a variant of an ablation with a seed: a run that two ablations share is shown in
both. All of it is read from the run's own file of metrics, the one that the tables are made of, so
that a tracker can say nothing else; it lies in `results/<profile>/tracking/`.
"""

import json
import os
import shutil
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from experiments.errors import UserError
from experiments.plan import PlannedRun
from experiments.records.run_folder import RunFolder
from experiments.running.local import Event, Finished, Started


class Curves(Protocol):
    """What a tracker shows of one run."""

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Values after a step, by name."""

    def close(self, summary: Mapping[str, Any]) -> None:
        """No more will come; the run's summary, empty where it is not over."""


class Tracker(Protocol):
    """A tool that shows curves."""

    name: str

    def begin(self, member: PlannedRun, place: Path) -> Curves:
        """Show a run, from its first step on. `place` is an empty folder for it."""


class TensorBoard:
    """Event files; `tensorboard --logdir` shows a folder of them, grouped by the folders' names."""

    name = "tensorboard"

    def __init__(self) -> None:
        from tensorboard.summary import Writer

        self.writer = Writer

    def begin(self, member: PlannedRun, place: Path) -> "_EventFile":
        """A folder is a run."""
        return _EventFile(self.writer(str(place)))


class _EventFile:
    def __init__(self, writer: Any) -> None:
        self.writer, self.step = writer, 0

    def add(self, step: int, values: Mapping[str, float]) -> None:
        self.step = step
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)
        self.writer.flush()

    def close(self, summary: Mapping[str, Any]) -> None:
        for name, value in _numbers(summary).items():
            self.writer.add_scalar(f"final/{name}", value, self.step)
        self.writer.close()


class WeightsAndBiases:
    """Offline, for `wandb sync` to upload, unless the variable WANDB_MODE says something else."""

    name = "wandb"

    def __init__(self) -> None:
        os.environ.setdefault("WANDB_MODE", "offline")
        os.environ.setdefault("WANDB_SILENT", "true")
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # it would use the network
        import wandb

        if os.environ["WANDB_MODE"] == "online" and not wandb.login(prompt=False):
            raise UserError("TRACKER=wandb with WANDB_MODE=online: `wandb login` first")
        self.wandb = wandb

    def begin(self, member: PlannedRun, place: Path) -> "_WandbRun":
        """Grouped by ablation, and within it by variant."""
        run = self.wandb.init(
            project=os.environ.get("WANDB_PROJECT", "transformer-ablations"),
            group=member.ablation,
            job_type=member.variant,
            name=f"{member.ablation}/{member.variant}/{place.name}",
            config=member.spec.identity(),
            dir=place,
            reinit="create_new",  # many at the same time
        )
        return _WandbRun(run)


class _WandbRun:
    def __init__(self, run: Any) -> None:
        self.run = run

    def add(self, step: int, values: Mapping[str, float]) -> None:
        self.run.log(dict(values), step=step)

    def close(self, summary: Mapping[str, Any]) -> None:
        self.run.summary.update(_numbers(summary))
        self.run.finish(exit_code=int(summary.get("status") == "failed"))


_CLASSES: dict[str, Callable[[], Tracker]] = {
    TensorBoard.name: TensorBoard,
    WeightsAndBiases.name: WeightsAndBiases,
}
TRACKERS: tuple[str, ...] = ("none", *_CLASSES)


def tracker_named(name: str) -> Tracker | None:
    """One of TRACKERS; None for "none".

    Raises:
        UserError: what it needs is not installed.
    """
    try:
        return None if name == "none" else _CLASSES[name]()
    except ImportError:
        raise UserError(f"TRACKER={name} needs {name}: `make setup EXTRAS={name}`") from None


def tracked(
    events: Iterable[Event], tracker: Tracker | None, members: Iterable[PlannedRun], results: Path
) -> Generator[Event]:
    """The events, unchanged. On the way the tracker is told of every run, and first of those that
    were over before there was a tracker.
    """
    if tracker is None:
        yield from events
        return
    shown_as = defaultdict[str, list[PlannedRun]](list)
    for member in members:
        shown_as[member.spec.run_id].append(member)
    for its in shown_as.values():
        untold = [member for member in its if not _is_told(tracker, member, results)]
        if untold and RunFolder(results, untold[0].spec.run_id).finished():
            _Followed(tracker, untold, results).read(over=True)
    followed: dict[str, _Followed] = {}
    try:
        for event in events:
            run_id = event.spec.run_id
            if isinstance(event, Started):
                if run_id in followed:  # begun again elsewhere: all is told again
                    followed.pop(run_id).close()
                followed[run_id] = _Followed(tracker, shown_as[run_id], results)
            elif isinstance(event, Finished):
                if run_id in followed:  # and not lost before its first word
                    followed.pop(run_id).read(over=True)
            elif run_id in followed:
                followed[run_id].read(over=False)
            yield event
    finally:
        for run in followed.values():
            run.close()


class _Followed:
    """A run whose file of metrics is read as it grows."""

    def __init__(self, tracker: Tracker, members: list[PlannedRun], results: Path) -> None:
        self.tracker, self.members, self.results = tracker, members, results
        self.folder = RunFolder(results, members[0].spec.run_id)
        self.curves: list[Curves] = []
        self.told = 0  # bytes of the file

    def read(self, *, over: bool) -> None:
        """Tell what is new. Not before the run's first word: by then its file has been cut to what
        its checkpoint stands for.
        """
        if not self.curves:
            self.curves = [self._begin(member) for member in self.members]
        content = self.folder.metrics.read_bytes() if self.folder.metrics.exists() else b""
        for line in content[self.told :].splitlines(keepends=True):
            if line.endswith(b"\n"):  # and is not half written
                self.told += len(line)
                self._tell(json.loads(line))
        if over:
            self.close(self.folder.summary() or {})

    def close(self, summary: Mapping[str, Any] = MappingProxyType({})) -> None:
        """Tell no more."""
        for curves in self.curves:
            curves.close(summary)

    def _begin(self, member: PlannedRun) -> Curves:
        place = _place(self.tracker, member, self.results)
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        _note(self.tracker, member, self.results).write_text(member.spec.run_id)
        return self.tracker.begin(member, place)

    def _tell(self, point: Mapping[str, Any]) -> None:
        values = {
            f"{point['split']}/{name}": float(point[name])
            for name in ("loss", "learning_rate", "gradient_norm")
            if point.get(name) is not None  # as a loss that is no number
        }
        for curves in self.curves:
            curves.add(point["step"], values | {"tokens": point["tokens"]})


def _numbers(summary: Mapping[str, Any]) -> dict[str, float]:
    return {
        name: float(value)
        for name, value in summary.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def _is_told(tracker: Tracker, member: PlannedRun, results: Path) -> bool:
    """Whether this very run is shown: what stands there may be of another corpus or recipe."""
    note = _note(tracker, member, results)
    return note.exists() and note.read_text() == member.spec.run_id


def _note(tracker: Tracker, member: PlannedRun, results: Path) -> Path:
    place = _place(tracker, member, results)
    return place.with_name(f"{place.name}.run")


def _place(tracker: Tracker, member: PlannedRun, results: Path) -> Path:
    rate = "" if member.rate is None else f"-rate-{member.rate:g}x"
    seed = f"seed-{member.spec.seed}{rate}"
    return results / "tracking" / tracker.name / member.ablation / member.variant / seed
