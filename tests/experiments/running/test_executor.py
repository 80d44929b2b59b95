"""The local executor: a run that fails, or whose worker is killed, stops nothing else."""

import dataclasses
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from experiments.data.corpus import Corpus
from experiments.records.run_folder import RunFolder
from experiments.running.job import Job
from experiments.running.local import Finished, Progress, Started, run_local
from experiments.spec import RunSpec


def workers() -> list[psutil.Process]:
    """The processes that train: children of the fork server."""
    return [
        child
        for child in psutil.Process().children(recursive=True)
        if "forkserver" in " ".join(child.cmdline()) and child.parent().pid != os.getpid()
    ]


def test_runs_finish_and_tell_how_they_go(spec: RunSpec, corpus: Corpus, tmp_path: Path):
    specs = [dataclasses.replace(spec, seed=seed) for seed in range(3)]
    events = list(run_local(specs, Job(corpus, tmp_path, {}), ["cpu", "cpu"]))
    for each in specs:
        mine = [event for event in events if event.spec == each]
        assert isinstance(mine[0], Started)
        assert isinstance(mine[-1], Finished)
        assert [event.step for event in mine if isinstance(event, Progress)] == [2, 3, 4, 6]
        summary = RunFolder(tmp_path, each.run_id).summary()
        assert summary["status"] == "done"
        assert summary["threads"] == 1


def test_a_failed_run_has_its_reason_and_stops_no_other(
    spec: RunSpec, corpus: Corpus, tmp_path: Path
):
    # a vocabulary smaller than the corpus: the embedding is asked for a row that it has not
    model = dataclasses.replace(spec.model, vocab_size=2)
    broken = dataclasses.replace(spec, model=model)
    list(run_local([broken, spec], Job(corpus, tmp_path, {}), ["cpu"]))
    summary = RunFolder(tmp_path, broken.run_id).summary()
    assert summary["status"] == "failed"
    assert summary["reason"].startswith("IndexError")
    assert "Traceback" in RunFolder(tmp_path, broken.run_id).log.read_text()
    assert RunFolder(tmp_path, spec.run_id).summary()["status"] == "done"


def test_a_killed_worker_is_a_failed_run(spec: RunSpec, corpus: Corpus, tmp_path: Path):
    long = dataclasses.replace(spec, recipe=dataclasses.replace(spec.recipe, steps=100_000))
    killed = False
    for event in run_local([long, spec], Job(corpus, tmp_path, {}), ["cpu"]):
        if isinstance(event, Progress) and event.spec == long and not killed:
            for worker in workers():
                worker.send_signal(signal.SIGKILL)
            killed = True
    assert killed
    summary = RunFolder(tmp_path, long.run_id).summary()
    assert summary["status"] == "failed"
    assert summary["reason"] == "the worker was killed by SIGKILL (out of memory?)"
    assert RunFolder(tmp_path, spec.run_id).summary()["status"] == "done"


def test_closing_the_stream_ends_every_worker(spec: RunSpec, corpus: Corpus, tmp_path: Path):
    long = dataclasses.replace(spec, recipe=dataclasses.replace(spec.recipe, steps=100_000))
    events = run_local([long], Job(corpus, tmp_path, {}), ["cpu"])
    while not isinstance(next(events), Progress):
        pass
    assert workers()
    events.close()
    assert not workers()
    assert RunFolder(tmp_path, long.run_id).summary() is None


def test_a_worker_ends_with_what_it_works_for(spec: RunSpec, corpus: Corpus, tmp_path: Path):
    """At once, and not when it next has something to say: another may be at its run by then."""
    never = {"steps": 10**7, "log_every": 10**7, "eval_every": 10**7}
    silent = dataclasses.replace(spec, recipe=dataclasses.replace(spec.recipe, **never))
    with (tmp_path / "job").open("wb") as file:
        pickle.dump((silent, Job(corpus, tmp_path, {})), file)
    code = (
        "import pickle, sys; from experiments.running.local import run_local;"
        "spec, job = pickle.load(open(sys.argv[1], 'rb')); list(run_local([spec], job, ['cpu']))"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "job")])
    try:
        folder, until = RunFolder(tmp_path, silent.run_id), time.monotonic() + 60
        while not (worker := folder.worker()) and time.monotonic() < until:
            time.sleep(0.1)
        assert worker
    finally:
        parent.kill()
        parent.wait()
    worker.wait(timeout=20)
