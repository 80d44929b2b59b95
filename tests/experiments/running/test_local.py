"""The local executor: events, failed runs, killed workers, and the end of the stream."""

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
from experiments.running.executor import Finished, Progress, Started
from experiments.running.job import Job
from experiments.running.local import Local
from experiments.spec import RunSpec


def workers() -> list[psutil.Process]:
    """The worker processes: children of the fork server."""
    return [
        child
        for child in psutil.Process().children(recursive=True)
        if "forkserver" in " ".join(child.cmdline()) and child.parent().pid != os.getpid()
    ]


def test_every_run_yields_started_progress_and_finished_and_leaves_a_summary(
    spec: RunSpec, corpus: Corpus, tmp_path: Path
):
    specs = [dataclasses.replace(spec, seed=seed) for seed in range(3)]
    events = list(Local().run(specs, Job(corpus, tmp_path, {}), ["cpu", "cpu"]))
    for spec in specs:
        run_events = [event for event in events if event.spec == spec]
        assert isinstance(run_events[0], Started)
        assert isinstance(run_events[-1], Finished)
        assert [e.step for e in run_events if isinstance(e, Progress)] == [2, 3, 4, 6]
        summary = RunFolder(tmp_path, spec.run_id).summary()
        assert summary["status"] == "done"
        assert summary["threads"] == 1


def test_a_failed_run_records_its_reason_and_the_next_run_is_trained(
    spec: RunSpec, corpus: Corpus, tmp_path: Path
):
    # The corpus has token ids beyond this vocabulary, so the embedding look-up fails.
    model = dataclasses.replace(spec.model, vocab_size=2)
    broken = dataclasses.replace(spec, model=model)
    list(Local().run([broken, spec], Job(corpus, tmp_path, {}), ["cpu"]))
    summary = RunFolder(tmp_path, broken.run_id).summary()
    assert summary["status"] == "failed"
    assert summary["reason"].startswith("IndexError")
    assert "Traceback" in RunFolder(tmp_path, broken.run_id).log.read_text()
    assert RunFolder(tmp_path, spec.run_id).summary()["status"] == "done"


def test_a_killed_worker_makes_a_failed_run_and_the_next_run_is_trained(
    spec: RunSpec, corpus: Corpus, tmp_path: Path
):
    long = dataclasses.replace(spec, recipe=dataclasses.replace(spec.recipe, steps=100_000))
    killed = False
    for event in Local().run([long, spec], Job(corpus, tmp_path, {}), ["cpu"]):
        if isinstance(event, Progress) and event.spec == long and not killed:
            for worker in workers():
                worker.send_signal(signal.SIGKILL)
            killed = True
    assert killed
    summary = RunFolder(tmp_path, long.run_id).summary()
    assert summary["status"] == "failed"
    assert summary["reason"] == "the worker was killed by SIGKILL (out of memory?)"
    assert RunFolder(tmp_path, spec.run_id).summary()["status"] == "done"


def test_closing_the_event_stream_kills_every_worker(spec: RunSpec, corpus: Corpus, tmp_path: Path):
    long = dataclasses.replace(spec, recipe=dataclasses.replace(spec.recipe, steps=100_000))
    events = Local().run([long], Job(corpus, tmp_path, {}), ["cpu"])
    while not isinstance(next(events), Progress):
        pass
    assert workers()
    events.close()
    assert not workers()
    assert RunFolder(tmp_path, long.run_id).summary() is None


def test_a_worker_exits_as_soon_as_its_parent_is_killed(
    spec: RunSpec, corpus: Corpus, tmp_path: Path
):
    """The worker must not wait for its next log step: another worker may have its run by then."""
    never = {"steps": 10**7, "log_every": 10**7, "eval_every": 10**7}
    silent = dataclasses.replace(spec, recipe=dataclasses.replace(spec.recipe, **never))
    with (tmp_path / "job").open("wb") as file:
        pickle.dump((silent, Job(corpus, tmp_path, {})), file)
    code = (
        "import pickle, sys; from experiments.running.local import Local;"
        "spec, job = pickle.load(open(sys.argv[1], 'rb')); list(Local().run([spec], job, ['cpu']))"
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
