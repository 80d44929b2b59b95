"""Nothing lost: killed, damaged, hung or crowded, a study goes on to the same numbers."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from experiments.checkpoint import Checkpoint
from experiments.collect import is_measured, read_table, set_aside, write_missing, write_table
from experiments.corpus import Corpus
from experiments.errors import UserError
from experiments.executor import Finished, Local, Progress, run_local
from experiments.files import DamagedError, read_sealed, write_sealed
from experiments.job import Job
from experiments.lock import owned
from experiments.plan import Member
from experiments.runner import run_study
from experiments.spec import Recipe, RunSpec
from experiments.store import RunFolder
from model import ModelConfig

TIMES = ("started", "train_seconds", "tokens_per_second", "wall_seconds", "probe_seconds")
PROBES = ("heads", "layers", "positions", "samples")


@pytest.fixture
def spec(config: ModelConfig, recipe: Recipe, corpus: Corpus) -> RunSpec:
    """A run with dropout, which draws random numbers, and with probes, which must not."""
    model = dataclasses.replace(config, vocab_size=len(corpus.vocabulary), dropout=0.2)
    longer = dataclasses.replace(recipe, steps=60, warmup_steps=5, eval_every=3, log_every=2)
    return RunSpec(model=model, recipe=longer, corpus=corpus.hash, seed=0, probes=PROBES)


def numbers(folder: RunFolder) -> tuple[dict, list[dict], list]:
    """All that a run leaves but its times."""
    summary = {k: v for k, v in (folder.summary() or {}).items() if k not in TIMES}
    summary.pop("peak_memory")
    points = [{k: v for k, v in point.items() if k != "seconds"} for point in folder.points()]
    return summary, points, folder.found()


def whole(spec: RunSpec, corpus: Corpus, results: Path) -> RunFolder:
    list(run_local([spec], Job(corpus, results, {}), ["cpu"]))
    return RunFolder(results, spec.run_id)


def stopped(
    spec: RunSpec, corpus: Corpus, results: Path, at: int, environment: dict[str, str] | None = None
) -> RunFolder:
    """A run that is killed once it tells of step `at`, checkpoints after every evaluation."""
    job = Job(corpus, results, environment or {}, checkpoint_seconds=0.0)
    events = run_local([spec], job, ["cpu"])
    for event in events:
        if isinstance(event, Progress) and event.step >= at:
            break
    events.close()
    return RunFolder(results, spec.run_id)


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


@pytest.mark.parametrize(
    "name", ["summary.json", "metrics.jsonl", "probes/heads.json", "spec.json"]
)
@pytest.mark.parametrize("how", ["cut", "flipped", "empty", "gone"])
def test_any_damage_to_a_finished_run_is_noticed(
    spec: RunSpec, corpus: Corpus, tmp_path: Path, name: str, how: str
):
    folder = RunFolder(tmp_path, spec.run_id)
    folder.start(spec)
    folder.metrics.write_text('{"step": 0, "split": "val", "loss": 2.0}\n')
    folder.probe("heads").parent.mkdir()
    folder.probe("heads").write_text('{"heads": []}')
    folder.finish({"status": "done", "val_loss": 1.25})
    assert folder.finished(["heads"])
    assert folder.damage() == ""
    damage(folder.path / name, how)
    if (name, how) == ("summary.json", "gone"):  # then it never finished
        assert folder.summary() is None
        return
    assert folder.status() == "damaged"
    assert not folder.finished()
    assert folder.damage() == f"{Path(name).name} is not as it was written"


def damage(file: Path, how: str) -> None:
    content = file.read_bytes()
    middle = len(content) // 2
    flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    if how == "gone":
        file.unlink()
    else:
        file.write_bytes({"cut": content[:middle], "flipped": flipped, "empty": b""}[how])


def labelled(spec: RunSpec) -> list[Member]:
    return [Member("planted", "base", spec)]


@pytest.mark.parametrize("how", ["cut", "flipped"])
@pytest.mark.parametrize("name", ["metrics.jsonl", "checkpoint.json", "checkpoint-*.safetensors"])
def test_a_damaged_run_is_set_aside_and_named_and_trained_again(
    spec: RunSpec, corpus: Corpus, tmp_path: Path, capsys, monkeypatch, how: str, name: str
):
    monkeypatch.setattr("experiments.runner.is_measured", lambda *_: True)
    undisturbed = numbers(whole(spec, corpus, tmp_path / "one"))
    folder = stopped(spec, corpus, tmp_path / "cpu", at=20)
    (file,) = folder.path.glob(name)
    damage(file, how)
    job = Job(corpus, tmp_path / "cpu", {})
    monkeypatch.setattr("experiments.runner._run_program", lambda *_: None)
    outcome = run_study(labelled(spec), job, ["cpu"], Local(), fail_fast=False)
    assert (outcome.trained, outcome.failed) == (1, {})
    told = capsys.readouterr().out
    assert "damaged: seed 0 planted/base: " in told
    assert f"{file.name} is not as it was written: set aside as" in told
    assert len(list((tmp_path / "cpu" / "damaged").iterdir())) == 1
    assert numbers(folder) == undisturbed


def test_the_first_failure_stops_a_study_that_asks_for_it(
    spec: RunSpec, corpus: Corpus, tmp_path: Path, capsys, monkeypatch
):
    monkeypatch.setattr("experiments.runner._run_program", lambda *_: None)
    broken = dataclasses.replace(spec, model=dataclasses.replace(spec.model, vocab_size=2))
    members = [*labelled(broken), *labelled(spec)]
    job = Job(corpus, tmp_path, {})
    stopped_early = run_study(members, job, ["cpu"], Local(), fail_fast=True)
    assert (stopped_early.trained, len(stopped_early.failed)) == (1, 1)
    assert "stopping at the first run that failed" in capsys.readouterr().out
    assert RunFolder(tmp_path, spec.run_id).summary() is None
    kept_going = run_study(members, job, ["cpu"], Local(), fail_fast=False)
    assert (kept_going.trained, len(kept_going.failed)) == (2, 1)
    assert RunFolder(tmp_path, spec.run_id).status() == "done"


def test_a_run_beyond_all_memory_says_what_helps(spec: RunSpec, corpus: Corpus, tmp_path: Path):
    giant = dataclasses.replace(spec, model=dataclasses.replace(spec.model, d_ff=10**13))
    list(run_local([giant, spec], Job(corpus, tmp_path, {}), ["cpu"]))
    failed = RunFolder(tmp_path, giant.run_id).summary()
    assert failed["status"] == "failed"
    assert failed["reason"].startswith(
        "out of memory: fewer runs at once (JOBS) leave more to each"
    )
    assert RunFolder(tmp_path, spec.run_id).status() == "done"


def test_a_run_that_hangs_is_ended(spec: RunSpec, corpus: Corpus, tmp_path: Path):
    endless = dataclasses.replace(
        spec, recipe=dataclasses.replace(spec.recipe, steps=1_000_000), probes=()
    )
    job = Job(corpus, tmp_path, {}, run_timeout=1.5)
    events = list(run_local([endless, spec], job, ["cpu"]))
    assert sum(isinstance(event, Finished) for event in events) == 2
    summary = RunFolder(tmp_path, endless.run_id).summary()
    assert summary["status"] == "failed"
    assert summary["reason"] == "it was not over after RUN_TIMEOUT=1.5 seconds"


def test_one_study_at_a_time(tmp_path: Path):
    """The lock of a process that was killed is free at once."""
    code = (
        "import sys, time; from pathlib import Path; from experiments.lock import owned\n"
        "with owned(Path(sys.argv[1])): print('mine', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "mine\n"
    in_use = f"in use by another call, process {holder.pid}"
    with pytest.raises(UserError, match=in_use), owned(tmp_path):
        pass
    holder.kill()
    holder.wait()
    with owned(tmp_path):
        assert (tmp_path / ".owner").read_text() == str(os.getpid())
    assert not (tmp_path / ".owner").exists()


def test_a_folder_that_leads_elsewhere_is_not_written_to(
    spec: RunSpec, corpus: Corpus, tmp_path: Path, monkeypatch, capsys
):
    """Links are refused at the top, and in a run's folder set aside with it."""
    monkeypatch.setattr("experiments.runner._run_program", lambda *_: None)
    results, elsewhere = tmp_path / "cpu", tmp_path / "elsewhere"
    folder = RunFolder(results, spec.run_id)
    for place in (folder.path, folder.metrics, folder.path / "probes", results / "runs"):
        elsewhere.mkdir(exist_ok=True)
        (elsewhere / "precious").write_text("mine")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(elsewhere / "precious" if place == folder.metrics else elsewhere)
        if place == results / "runs":
            with pytest.raises(UserError, match=f"{place} is a link"), owned(results):
                pass
            break
        run_study(labelled(spec), Job(corpus, results, {}), ["cpu"], Local(), fail_fast=False)
        assert f"{place.name} is a link: set aside as" in capsys.readouterr().out
        assert folder.status() == "done"
        assert [file.name for file in elsewhere.iterdir()] == ["precious"]
        assert (elsewhere / "precious").read_text() == "mine"
        shutil.rmtree(results)
    assert (elsewhere / "precious").read_text() == "mine"


def test_a_worker_that_outlived_its_study_is_ended_before_another_begins(
    spec: RunSpec, corpus: Corpus, tmp_path: Path, monkeypatch
):
    monkeypatch.setattr("experiments.runner._run_program", lambda *_: None)
    folder = RunFolder(tmp_path, spec.run_id)
    folder.start(spec)
    orphan = psutil.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    noted = {"pid": orphan.pid, "began": orphan.create_time()}
    (folder.path / "worker.json").write_text(json.dumps(noted))
    assert folder.status() == "in flight"
    run_study(labelled(spec), Job(corpus, tmp_path, {}), ["cpu"], Local(), fail_fast=False)
    assert orphan.wait(5) != 0
    assert folder.status() == "done"


def test_a_worker_file_of_an_earlier_process_of_that_number_is_no_worker(
    spec: RunSpec, tmp_path: Path
):
    folder = RunFolder(tmp_path, spec.run_id)
    folder.start(spec)
    assert folder.worker().pid == os.getpid()
    noted = {"pid": os.getpid(), "began": time.time() - 1e6}
    for content in (json.dumps(noted), "", "[]", '{"pid": "x"}'):
        (folder.path / "worker.json").write_text(content)
        assert folder.worker() is None


def test_no_flipped_bit_of_a_table_changes_what_is_read(tmp_path: Path):
    rows = [{"check": "permutation", "holds": True, "why": "because"}]
    write_table(tmp_path, "identities", rows)
    file = tmp_path / "identities.parquet"
    content, before = file.read_bytes(), read_table(tmp_path, "identities")
    noticed = 0
    for place in range(len(content)):
        file.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
        try:
            assert read_table(tmp_path, "identities").equals(before)
        except UserError:
            noticed += 1
    assert noticed > 100


@pytest.mark.parametrize("how", ["cut", "empty"])
def test_a_damaged_table_is_named_and_set_aside(tmp_path: Path, how: str):
    rows = [{"check": "permutation", "holds": True, "why": "x" * 1000}]
    write_table(tmp_path, "identities", rows)
    assert is_measured(tmp_path, "identities")
    set_aside(tmp_path, "identities")
    assert is_measured(tmp_path, "identities")  # nothing was wrong with it
    damage(tmp_path / "identities.parquet", how)
    with pytest.raises(UserError, match=r"identities\.parquet is damaged"):
        read_table(tmp_path, "identities")
    assert not is_measured(tmp_path, "identities")
    write_missing(tmp_path)
    assert len(read_table(tmp_path, "identities")) == 0
    assert len(list((tmp_path / "damaged").iterdir())) == 1


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"3", b'{"seal": 1}', b'{"a": 1}', b"\xff\xfe", b'"seal"'],
)
def test_what_has_no_seal_is_damaged(tmp_path: Path, content: bytes):
    write_sealed(tmp_path / "a", {"x": [1.5, None], "y": "ü"})
    assert read_sealed(tmp_path / "a") == {"x": [1.5, None], "y": "ü"}
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(DamagedError):
        read_sealed(tmp_path / "a")
