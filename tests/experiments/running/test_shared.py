"""The executor of `work`: runs that other processes train are waited for, and taken over."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
from helping import leave_finished

from experiments.data.corpus import Corpus
from experiments.records.run_folder import RunFolder
from experiments.running.executor import Event, Finished, Progress, Started
from experiments.running.job import Job
from experiments.running.leases import Member, holder, number_of_leases
from experiments.running.shared import Shared
from experiments.spec import RunSpec

Train = Callable[..., list[Event]]


@pytest.fixture
def other(tmp_path: Path):
    """Another process that shares the runs."""
    with Member(tmp_path) as member:
        yield member


@pytest.fixture
def train(corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Train:
    """A function that trains runs as a process that shares them, and returns the events.

    `meanwhile` is called with each event, and with None each time that the process looks for runs
    that are over.
    """
    monkeypatch.setattr(Shared, "poll_interval", 0.05)
    look = Shared.over_elsewhere

    def train(*specs: RunSpec, meanwhile: Callable[[Event | None], None] = print) -> list[Event]:
        def look_later(shared: Shared, *given: object):
            meanwhile(None)
            return look(shared, *given)

        monkeypatch.setattr(Shared, "over_elsewhere", look_later)
        events = []
        with Member(tmp_path) as member:
            for event in Shared(member).run(specs, Job(corpus, tmp_path, {}), ["cpu"]):
                meanwhile(event)
                events.append(event)
        return events

    return train


def test_a_run_that_another_process_trains_is_waited_for_and_not_trained(
    spec: RunSpec, tmp_path: Path, other: Member, train: Train
):
    assert other.take(spec.run_id)
    looks = 0

    def meanwhile(event: Event | None) -> None:
        nonlocal looks
        looks += event is None
        if looks == 3:
            leave_finished(tmp_path, spec)

    assert train(spec, meanwhile=meanwhile) == [Finished(spec, here=False)]
    assert number_of_leases(tmp_path, spec.run_id) == 1


def test_a_run_whose_process_ended_is_taken_over(spec: RunSpec, tmp_path: Path, train: Train):
    with Member(tmp_path) as ended:
        assert ended.take(spec.run_id)
    events = train(spec)
    assert (events[0], events[-1]) == (Started(spec), Finished(spec))
    assert number_of_leases(tmp_path, spec.run_id) == 2


def test_a_run_that_failed_elsewhere_is_over_and_one_that_failed_before_is_trained_again(
    spec: RunSpec, tmp_path: Path, other: Member, train: Train
):
    before, since = spec, dataclasses.replace(spec, seed=1)
    failed = {"status": "failed", "reason": "planted", "val_loss": None}
    assert other.take(before.run_id)
    leave_finished(tmp_path, before, **failed)
    other.give_back(before.run_id)

    def meanwhile(event: Event | None) -> None:
        if event == Started(before):
            assert other.take(since.run_id)
            leave_finished(tmp_path, since, **failed)
            other.give_back(since.run_id)

    events = train(before, since, meanwhile=meanwhile)
    assert Finished(before) in events
    assert Finished(since, here=False) in events
    assert Started(since) not in events
    assert RunFolder(tmp_path, since.run_id).summary()["reason"] == "planted"


def test_a_run_that_was_taken_over_from_this_process_is_left_to_the_other(
    spec: RunSpec, tmp_path: Path, other: Member, train: Train
):
    """As happens to a process that was stopped for so long that it was taken for dead."""
    long = dataclasses.replace(spec, recipe=dataclasses.replace(spec.recipe, steps=10**6))
    folder, over = RunFolder(tmp_path, long.run_id), False

    def meanwhile(event: Event | None) -> None:
        nonlocal over
        if isinstance(event, Progress) and number_of_leases(tmp_path, long.run_id) == 1:
            other._list(f"{long.run_id}.1", held=True)
            (tmp_path / "leases" / f"{long.run_id}.1").write_text(other.name)
        taken = number_of_leases(tmp_path, long.run_id) == 2
        if event is None and taken and not folder.worker() and not over:
            assert folder.summary() is None  # no failure was recorded
            over = True
            leave_finished(tmp_path, long)

    events = train(long, meanwhile=meanwhile)
    assert over
    assert events[-1] == Finished(long, here=False)
    assert holder(tmp_path, long.run_id) == other.name


def test_a_damaged_run_is_set_aside_as_it_is_taken(
    spec: RunSpec, tmp_path: Path, train: Train, capsys: pytest.CaptureFixture[str]
):
    leave_finished(tmp_path, spec)
    RunFolder(tmp_path, spec.run_id).metrics.write_text("changed")
    assert train(spec)[-1] == Finished(spec)
    assert f"damaged: {spec.run_id}: metrics.jsonl is not as it was written" in (
        capsys.readouterr().out
    )
    assert RunFolder(tmp_path, spec.run_id).finished()
