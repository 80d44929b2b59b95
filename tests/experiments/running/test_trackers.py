"""Trackers show every point of every run once, under the names of its ablations."""

import dataclasses
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from experiments.data.corpus import Corpus
from experiments.errors import UserError
from experiments.planning.plan import PlannedRun
from experiments.records.run_folder import RunFolder
from experiments.running.executor import Progress, Started
from experiments.running.job import Job
from experiments.running.local import Local
from experiments.running.trackers import tracked, tracker_named
from experiments.spec import RunSpec


class Notebook:
    """A tracker that keeps what it is shown."""

    name = "notebook"

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.points: dict[str, list[tuple[int, dict[str, float]]]] = {}
        self.summaries: dict[str, Mapping[str, Any]] = {}

    def begin(self, member: PlannedRun, place: Path) -> "Page":
        assert list(place.iterdir()) == []
        self.begun.append(f"{member.ablation}/{member.variant}/{place.name}")
        return Page(self, self.begun[-1])


class Page:
    def __init__(self, book: Notebook, label: str) -> None:
        self.book, self.label = book, label
        book.points[label] = []

    def add(self, step: int, values: Mapping[str, float]) -> None:
        self.book.points[self.label].append((step, dict(values)))

    def close(self, summary: Mapping[str, Any]) -> None:
        self.book.summaries[self.label] = summary


@pytest.fixture
def members(spec: RunSpec) -> list[PlannedRun]:
    """Three members with two runs: one run is in two ablations, one is a learning-rate trial."""
    trial = dataclasses.replace(spec, seed=1000)
    return [
        PlannedRun("heads", "heads-4", spec),
        PlannedRun("depth", "base", spec),
        PlannedRun("ladder", "mlp", trial, rate=0.3),
    ]


def train(members: list[PlannedRun], book: Any, corpus: Corpus, results: Path) -> None:
    specs = list({member.spec.run_id: member.spec for member in members}.values())
    events = Local().run(specs, Job(corpus, results, {}), ["cpu"])
    list(tracked(events, book, members, results))


def shown(points: list[tuple[int, dict[str, float]]]) -> list[tuple[int, str, float]]:
    return [
        (step, name.partition("/")[0], value)
        for step, values in points
        for name, value in values.items()
        if name.endswith("/loss")
    ]


def recorded(results: Path, member: PlannedRun) -> list[tuple[int, str, float]]:
    points = RunFolder(results, member.spec.run_id).points()
    return [(point["step"], point["split"], point["loss"]) for point in points]


def test_every_point_is_shown_once_in_every_ablation_of_its_run(
    members: list[PlannedRun], corpus: Corpus, tmp_path: Path
):
    book = Notebook()
    train(members, book, corpus, tmp_path)
    labels = ["heads/heads-4/seed-0", "depth/base/seed-0", "ladder/mlp/seed-1000-rate-0.3x"]
    assert book.begun == labels
    for label, member in zip(labels, members, strict=True):
        assert shown(book.points[label]) == recorded(tmp_path, member)
        summary = RunFolder(tmp_path, member.spec.run_id).summary()
        assert summary
        assert book.summaries[label] == summary


def test_the_same_variant_seed_and_rate_at_another_budget_have_curves_of_their_own(
    spec: RunSpec, corpus: Corpus, tmp_path: Path
):
    longer = dataclasses.replace(spec, recipe=dataclasses.replace(spec.recipe, steps=12))
    members = [
        PlannedRun("heads", "heads-4", dataclasses.replace(each, seed=seed), budget, rate=rate)
        for budget, each in {1: spec, 2: longer}.items()
        for seed, rate in ((0, None), (1000, 0.5))
    ]
    book = Notebook()
    train(members, book, corpus, tmp_path)
    assert len(set(book.begun)) == 4
    for label, member in zip(book.begun, members, strict=True):
        assert shown(book.points[label]) == recorded(tmp_path, member)
    again = Notebook()
    list(tracked((), again, members, tmp_path))
    assert again.begun == []


def test_runs_that_finished_before_are_shown_and_no_run_is_shown_twice(
    members: list[PlannedRun], corpus: Corpus, tmp_path: Path
):
    list(Local().run([members[0].spec], Job(corpus, tmp_path, {}), ["cpu"]))
    first, second = Notebook(), Notebook()
    list(tracked((), first, members, tmp_path))
    assert first.begun == ["heads/heads-4/seed-0", "depth/base/seed-0"]
    assert shown(first.points[first.begun[0]]) == recorded(tmp_path, members[0])
    list(tracked((), second, members, tmp_path))
    assert second.begun == []
    # Another recipe is another run, even under the same name.
    changed = dataclasses.replace(members[0].spec, seed=3)
    list(Local().run([changed], Job(corpus, tmp_path, {}), ["cpu"]))
    renamed = dataclasses.replace(members[0], spec=changed)
    list(tracked((), second, [renamed], tmp_path))
    assert second.begun == ["heads/heads-4/seed-3"]
    marker = tmp_path / "tracking" / "notebook" / "heads" / "heads-4" / "seed-3.run"
    marker.write_text("another")
    list(tracked((), second, [renamed], tmp_path))
    assert second.begun == ["heads/heads-4/seed-3"] * 2


def test_a_run_that_starts_again_is_shown_again_from_its_first_step(
    members: list[PlannedRun], tmp_path: Path
):
    spec, book = members[0].spec, Notebook()
    file = RunFolder(tmp_path, spec.run_id).metrics
    file.parent.mkdir(parents=True)
    point = '{"step": %d, "tokens": 1, "split": "train", "loss": 3.0}\n'

    def events():
        yield Started(spec)
        file.write_text(point % 1 + point % 2 + '{"step": 3, "tok')
        yield Progress(spec, 2, 3.0, 1.0)
        yield Started(spec)  # its node was lost: resumed from the checkpoint at step 1
        file.write_text(point % 1)
        yield Progress(spec, 1, 3.0, 1.0)
        file.write_text(point % 1 + point % 2 + point % 3)
        yield Progress(spec, 3, 3.0, 1.0)

    list(tracked(events(), book, members[:1], tmp_path))
    assert book.begun == ["heads/heads-4/seed-0"] * 2
    assert [step for step, _ in book.points["heads/heads-4/seed-0"]] == [1, 2, 3]


def test_tensorboard_shows_every_variant_under_its_ablation(
    members: list[PlannedRun], corpus: Corpus, tmp_path: Path
):
    pytest.importorskip("tensorboard", reason="not installed: make setup EXTRAS=tensorboard")
    from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer

    train(members, tracker_named("tensorboard"), corpus, tmp_path)
    board = EventMultiplexer().AddRunsFromDirectory(str(tmp_path / "tracking" / "tensorboard"))
    board.Reload()
    assert set(board.Runs()) == {
        *("heads/heads-4/seed-0", "depth/base/seed-0", "ladder/mlp/seed-1000-rate-0.3x")
    }
    for split in ("train", "val"):
        curve = board.Tensors("heads/heads-4/seed-0", f"{split}/loss")
        points = [(e.step, split, e.tensor_proto.float_val[0]) for e in curve]
        expected = [point for point in recorded(tmp_path, members[0]) if point[1] == split]
        assert points == [(step, name, pytest.approx(loss)) for step, name, loss in expected]


def test_weights_and_biases_files_are_written_offline_by_default(
    members: list[PlannedRun], corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    pytest.importorskip("wandb", reason="not installed: make setup EXTRAS=wandb")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    train(members, tracker_named("wandb"), corpus, tmp_path)
    place = tmp_path / "tracking" / "wandb" / "heads" / "heads-4" / "seed-0"
    (file,) = place.glob("wandb/offline-run-*/run-*.wandb")
    written = file.read_bytes()
    for word in (b"heads/heads-4/seed-0", b"train/loss", b"val/loss", b"context_length"):
        assert word in written


def test_a_tracker_that_is_not_installed_is_refused_with_the_install_command(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(UserError, match=r"TRACKER=wandb needs wandb: `make setup EXTRAS=wandb`"):
        tracker_named("wandb")
    assert tracker_named("none") is None
