"""A run that is stopped and resumed ends with the numbers of an undisturbed run."""

import dataclasses
from pathlib import Path

import pytest
from stopping import lengthened, numbers, stopped, whole

from experiments.data.corpus import Corpus
from experiments.records.run_folder import RunFolder
from experiments.running.executor import Progress
from experiments.running.job import Job
from experiments.running.local import Local
from experiments.spec import RunSpec
from experiments.training.checkpoint import Checkpoint


@pytest.fixture
def spec(spec: RunSpec) -> RunSpec:
    return lengthened(spec)


@pytest.mark.parametrize("family", ["decoder", "lstm", "bigram"])
@pytest.mark.parametrize("optimizer", ["adamw", "adam", "muon"])
def test_a_run_that_is_killed_three_times_ends_with_the_numbers_of_an_undisturbed_run(
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
        checkpoint = folder.checkpoint()
        steps.append(checkpoint["step"] if checkpoint else 0)
    assert steps == sorted(steps)
    assert steps[-1] >= 48  # resumed, and not started again
    folder = whole(spec, corpus, tmp_path / "other")
    assert numbers(folder) == undisturbed
    assert not list(folder.path.glob("checkpoint*"))
    assert not (folder.path / "worker.json").exists()


def test_a_failed_run_keeps_its_points_and_is_resumed_from_its_checkpoint(
    spec: RunSpec, corpus: Corpus, tmp_path: Path
):
    job = Job(corpus, tmp_path, {}, checkpoint_seconds=0.0)
    for event in Local().run([spec], job, ["cpu"]):
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
def test_a_checkpoint_made_by_other_code_or_versions_is_not_resumed(
    spec: RunSpec, corpus: Corpus, tmp_path: Path, other: dict[str, str]
):
    same = {"code": "a", "environment": "v"}
    assert stopped(spec, corpus, tmp_path, 30, same).checkpoint()["step"] >= 27
    events = Local().run([spec], Job(corpus, tmp_path, same), ["cpu"])
    steps = [event.step for event in events if isinstance(event, Progress)]
    assert min(steps) > 20
    assert stopped(spec, corpus, tmp_path / "other", 30, same).checkpoint()["step"] >= 27
    events = Local().run([spec], Job(corpus, tmp_path / "other", other), ["cpu"])
    steps = [event.step for event in events if isinstance(event, Progress)]
    assert min(steps) <= 3
    resumed = RunFolder(tmp_path, spec.run_id)
    restarted = RunFolder(tmp_path / "other", spec.run_id)
    assert numbers(resumed)[1:] == numbers(restarted)[1:]
    assert not list(restarted.path.glob("checkpoint*"))


def test_checkpoint_is_due_only_after_its_interval(tmp_path: Path):
    assert not Checkpoint(tmp_path, every=1000.0).due
    assert Checkpoint(tmp_path, every=0.0).due
