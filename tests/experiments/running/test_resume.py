"""Stopped at any moment, a run goes on to the numbers that it would have had."""

import dataclasses
from pathlib import Path

import pytest
from stopping import lengthened, numbers, stopped, whole

from experiments.data.corpus import Corpus
from experiments.records.run_folder import RunFolder
from experiments.running.job import Job
from experiments.running.local import Progress, run_local
from experiments.spec import RunSpec
from experiments.training.checkpoint import Checkpoint


@pytest.fixture
def spec(spec: RunSpec) -> RunSpec:
    return lengthened(spec)


@pytest.mark.parametrize("family", ["decoder", "lstm", "bigram"])
@pytest.mark.parametrize("optimizer", ["adamw", "adam"])
def test_a_run_killed_again_and_again_ends_as_if_it_had_not_been(
    spec: RunSpec, corpus: Corpus, tmp_path: Path, family: str, optimizer: str
):
    spec = dataclasses.replace(
        spec,
        model=dataclasses.replace(spec.model, family=family),
        recipe=dataclasses.replace(spec.recipe, optimizer=optimizer),
    )
    undisturbed = numbers(whole(spec, corpus, tmp_path / "one"))
    steps = []
    for at in (8, 25, 50):
        folder = stopped(spec, corpus, tmp_path / "other", at)
        assert folder.summary() is None
        assert folder.status() == "unfinished"
        found = folder.checkpoint()
        steps.append(found["step"] if found else 0)
    assert steps == sorted(steps)
    assert steps[-1] >= 48  # it went on, and did not begin anew
    folder = whole(spec, corpus, tmp_path / "other")
    assert numbers(folder) == undisturbed
    assert not list(folder.path.glob("checkpoint*"))
    assert not (folder.path / "worker.json").exists()


def test_a_failed_run_keeps_what_it_had_and_is_retried_from_there(
    spec: RunSpec, corpus: Corpus, tmp_path: Path
):
    job = Job(corpus, tmp_path, {}, checkpoint_seconds=0.0)
    for event in run_local([spec], job, ["cpu"]):
        if isinstance(event, Progress) and event.step >= 30:
            worker = RunFolder(tmp_path, spec.run_id).worker()
            if worker:
                worker.kill()
    folder = RunFolder(tmp_path, spec.run_id)
    assert folder.status() == "failed"
    assert len(folder.points()) > 20
    assert folder.checkpoint()["step"] >= 27
    assert folder.log.exists()
    assert (
        numbers(whole(spec, corpus, tmp_path))[1:]
        == numbers(whole(spec, corpus, tmp_path / "other"))[1:]
    )


@pytest.mark.parametrize(
    "other", [{"code": "b", "environment": "v"}, {"code": "a", "environment": "w"}]
)
def test_no_run_is_half_made_by_other_code_or_versions(
    spec: RunSpec, corpus: Corpus, tmp_path: Path, other: dict[str, str]
):
    """What a checkpoint holds is never mixed with what other code goes on with."""
    mine = {"code": "a", "environment": "v"}
    assert stopped(spec, corpus, tmp_path, 30, mine).checkpoint()["step"] >= 27
    events = run_local([spec], Job(corpus, tmp_path, mine), ["cpu"])
    steps = [event.step for event in events if isinstance(event, Progress)]
    assert min(steps) > 20
    assert stopped(spec, corpus, tmp_path / "other", 30, mine).checkpoint()["step"] >= 27
    events = run_local([spec], Job(corpus, tmp_path / "other", other), ["cpu"])
    steps = [event.step for event in events if isinstance(event, Progress)]
    assert min(steps) <= 3
    one, again = (RunFolder(place, spec.run_id) for place in (tmp_path, tmp_path / "other"))
    assert numbers(one)[1:] == numbers(again)[1:]
    assert not list(again.path.glob("checkpoint*"))


def test_checkpoints_keep_their_distance(spec: RunSpec, tmp_path: Path):
    checkpoint = Checkpoint(tmp_path, None, every=1000.0)
    checkpoint.save(3, 1.0, None, None)  # too soon to look at anything
    assert not list(tmp_path.iterdir())
