"""The study's runner: a run that fails, hangs or is damaged costs no other run."""

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
from experiments.planning.plan import PlannedRun
from experiments.records.run_folder import RunFolder, process_start
from experiments.running.executor import Finished
from experiments.running.job import Job
from experiments.running.local import Local
from experiments.running.lock import results_lock
from experiments.running.runner import run_study
from experiments.spec import RunSpec


def planned(spec: RunSpec) -> list[PlannedRun]:
    return [PlannedRun("planted", "base", spec)]


def test_fail_fast_stops_a_study_at_the_first_failed_run(
    spec: RunSpec, corpus: Corpus, tmp_path: Path, capsys
):
    broken = dataclasses.replace(spec, model=dataclasses.replace(spec.model, vocab_size=2))
    members = [*planned(broken), *planned(spec)]
    job = Job(corpus, tmp_path, {})
    stopped_early = run_study(members, job, ["cpu"], Local(), fail_fast=True)
    assert (stopped_early.trained, len(stopped_early.failed)) == (1, 1)
    assert "stopping at the first run that failed" in capsys.readouterr().out
    assert RunFolder(tmp_path, spec.run_id).summary() is None
    kept_going = run_study(members, job, ["cpu"], Local())
    assert (kept_going.trained, len(kept_going.failed)) == (2, 1)
    assert RunFolder(tmp_path, spec.run_id).status() == "done"


def test_the_message_at_the_start_names_the_turn_and_counts_its_runs(
    spec: RunSpec, corpus: Corpus, tmp_path: Path, capsys
):
    members = [run for seed in (0, 1) for run in planned(dataclasses.replace(spec, seed=seed))]
    job = Job(corpus, tmp_path, {})
    run_study(members[:1], job, ["cpu"], Local())
    assert "runs: 1 to train, 0 already done\n" in capsys.readouterr().out
    outcome = run_study(members, job, ["cpu"], Local(), title="core, seed 0 at budget 2")
    assert "core, seed 0 at budget 2: 1 to train, 1 already done\n" in capsys.readouterr().out
    assert (outcome.trained, outcome.done) == (1, 1)


def test_a_run_out_of_memory_fails_with_advice(spec: RunSpec, corpus: Corpus, tmp_path: Path):
    giant = dataclasses.replace(spec, model=dataclasses.replace(spec.model, d_ff=10**13))
    list(Local().run([giant, spec], Job(corpus, tmp_path, {}), ["cpu"]))
    failed = RunFolder(tmp_path, giant.run_id).summary()
    assert failed["status"] == "failed"
    assert failed["reason"].startswith(
        "out of memory: fewer runs at once (JOBS) leave more to each"
    )
    assert RunFolder(tmp_path, spec.run_id).status() == "done"


def test_a_hanging_run_is_ended_after_the_timeout(spec: RunSpec, corpus: Corpus, tmp_path: Path):
    endless = dataclasses.replace(
        spec, recipe=dataclasses.replace(spec.recipe, steps=1_000_000), probes=()
    )
    job = Job(corpus, tmp_path, {}, run_timeout=1.5)
    events = list(Local().run([endless, spec], job, ["cpu"]))
    assert sum(isinstance(event, Finished) for event in events) == 2
    summary = RunFolder(tmp_path, endless.run_id).summary()
    assert summary["status"] == "failed"
    assert summary["reason"] == "it was not over after RUN_TIMEOUT=1.5 seconds"


def test_a_results_folder_is_locked_until_the_process_that_uses_it_ends(tmp_path: Path):
    """The lock of a killed process is free at once."""
    code = (
        "import sys, time; from pathlib import Path\n"
        "from experiments.running.lock import results_lock\n"
        "with results_lock(Path(sys.argv[1])): print('locked', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "locked\n"
    in_use = f"in use by another call, process {holder.pid}"
    with pytest.raises(UserError, match=in_use), results_lock(tmp_path):
        pass
    holder.kill()
    holder.wait()
    with results_lock(tmp_path):
        assert (tmp_path / ".owner").read_text() == str(os.getpid())
    assert not (tmp_path / ".owner").exists()


def test_nothing_is_written_through_a_symbolic_link(
    spec: RunSpec, corpus: Corpus, tmp_path: Path, capsys
):
    """A link in the results folder is refused. A run folder with a link is set aside."""
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
        run_study(planned(spec), Job(corpus, results, {}), ["cpu"], Local())
        assert f"{place.name} is a link: set aside as" in capsys.readouterr().out
        assert folder.status() == "done"
        assert [file.name for file in elsewhere.iterdir()] == ["precious"]
        assert (elsewhere / "precious").read_text() == "mine"
        shutil.rmtree(results)
    assert (elsewhere / "precious").read_text() == "mine"


def test_an_orphaned_worker_is_ended_before_its_run_is_trained_again(
    spec: RunSpec, corpus: Corpus, tmp_path: Path
):
    folder = RunFolder(tmp_path, spec.run_id)
    folder.start(spec)
    orphan = psutil.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    recorded = {"pid": orphan.pid, "began": process_start(orphan.pid)}
    (folder.path / "worker.json").write_text(json.dumps(recorded))
    assert folder.status() == "in flight"
    run_study(planned(spec), Job(corpus, tmp_path, {}), ["cpu"], Local())
    assert orphan.wait(5) != 0
    assert folder.status() == "done"


def test_a_worker_file_of_a_reused_process_id_names_no_worker(spec: RunSpec, tmp_path: Path):
    folder = RunFolder(tmp_path, spec.run_id)
    folder.start(spec)
    assert folder.worker().pid == os.getpid()
    recorded = {"pid": os.getpid(), "began": time.time() - 1e6}
    for content in (json.dumps(recorded), "", "[]", '{"pid": "x"}'):
        (folder.path / "worker.json").write_text(content)
        assert folder.worker() is None
