"""The study's runner: what fails, hangs, is crowded or stands in the way costs no other run."""

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

from experiments.data.corpus import Corpus
from experiments.errors import UserError
from experiments.plan import PlannedRun
from experiments.records.run_folder import RunFolder
from experiments.running.job import Job
from experiments.running.local import Finished, Local, run_local
from experiments.running.lock import results_lock
from experiments.running.runner import run_study
from experiments.spec import RunSpec


def labelled(spec: RunSpec) -> list[PlannedRun]:
    return [PlannedRun("planted", "base", spec)]


def test_the_first_failure_stops_a_study_that_asks_for_it(
    spec: RunSpec, corpus: Corpus, tmp_path: Path, capsys, monkeypatch
):
    monkeypatch.setattr("experiments.running.runner._run_program", lambda *_: None)
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
        "import sys, time; from pathlib import Path; from experiments.running.lock import owned\n"
        "with owned(Path(sys.argv[1])): print('mine', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "mine\n"
    in_use = f"in use by another call, process {holder.pid}"
    with pytest.raises(UserError, match=in_use), results_lock(tmp_path):
        pass
    holder.kill()
    holder.wait()
    with results_lock(tmp_path):
        assert (tmp_path / ".owner").read_text() == str(os.getpid())
    assert not (tmp_path / ".owner").exists()


def test_a_folder_that_leads_elsewhere_is_not_written_to(
    spec: RunSpec, corpus: Corpus, tmp_path: Path, monkeypatch, capsys
):
    """Links are refused at the top, and in a run's folder set aside with it."""
    monkeypatch.setattr("experiments.running.runner._run_program", lambda *_: None)
    results, elsewhere = tmp_path / "cpu", tmp_path / "elsewhere"
    folder = RunFolder(results, spec.run_id)
    for place in (folder.path, folder.metrics, folder.path / "probes", results / "runs"):
        elsewhere.mkdir(exist_ok=True)
        (elsewhere / "precious").write_text("mine")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(elsewhere / "precious" if place == folder.metrics else elsewhere)
        if place == results / "runs":
            with pytest.raises(UserError, match=f"{place} is a link"), results_lock(results):
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
    monkeypatch.setattr("experiments.running.runner._run_program", lambda *_: None)
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
