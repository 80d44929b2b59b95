"""The Ray executor, on a real cluster of two nodes: one is lost in mid-study, and nothing else."""

import dataclasses
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import psutil
import pytest
from helping import TIMED

from experiments.data.corpus import Corpus
from experiments.errors import UserError
from experiments.plan import unique_runs
from experiments.profiles import PROFILES
from experiments.records.collect import PROBE_TABLES, collect, read_table
from experiments.records.provenance import machine
from experiments.records.run_folder import RunFolder
from experiments.records.study import Study
from experiments.running.job import Job
from experiments.running.local import Finished, Local, Progress, Started
from experiments.spec import Recipe, RunSpec
from model import ModelConfig

ray = pytest.importorskip("ray", reason="Ray is not installed: make setup EXTRAS=ray")
cluster_utils = pytest.importorskip("ray.cluster_utils")

from experiments.running.ray import Ray  # noqa: E402

HERE = {"hardware": machine()}


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator:
    """A head and another node, with a core each."""
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    found = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    monkeypatch.setenv("RAY_ADDRESS", found.address)
    yield found
    ray.shutdown()
    found.shutdown()


@pytest.fixture
def study(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> Study:
    """Of runs that take seconds, so that one can be lost in its midst."""
    smoke = PROFILES["smoke"]
    longer = dataclasses.replace(smoke.recipe, steps=800, eval_every=50)
    monkeypatch.setitem(PROFILES, "smoke", dataclasses.replace(smoke, recipe=longer))
    return Study.of(PROFILES["smoke"], corpus, seeds=1)


def specs_of(study: Study, results: Path) -> list[RunSpec]:
    results.mkdir()
    study.save(results)
    return unique_runs(study.plan(results, ["heads"]).members)


def kill_a_task() -> bool:
    """End one of Ray's own processes that has a run in its hands."""
    ours = psutil.Process().children(recursive=True)
    tasks = [process for process in ours if (process.cmdline() or [""])[0] == "ray::_train"]
    if tasks:
        tasks[0].kill()
    return bool(tasks)


def test_a_killed_worker_and_a_lost_node_cost_no_run_and_change_no_row_of_a_table(
    cluster, study: Study, corpus: Corpus, tmp_path: Path
):
    other = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    executor = Ray()
    assert executor.resolve_device("auto") == "cpu"
    slots = executor.slots("cpu", 1, None)
    assert slots == ["cpu", "cpu"]
    results, begun, over, killed = tmp_path / "ray", [], [], False
    specs = specs_of(study, results)
    for event in executor.run(specs, Job(corpus, results, HERE, checkpoint_seconds=0.0), slots):
        if isinstance(event, Started):
            begun.append(event.spec.run_id)
        if isinstance(event, Progress) and not killed:
            killed = kill_a_task()
        elif other and len(set(begun)) < len(begun) and len(set(begun) - set(over)) == 2:
            # what was killed has begun again, and both nodes are at a run
            cluster.remove_node(other, allow_graceful=False)
            other = None
        if isinstance(event, Finished):
            over.append(event.spec.run_id)
    assert other is None
    assert sorted(over) == sorted(spec.run_id for spec in specs)
    assert len(begun) >= len(specs) + 2  # what was killed, and what was on the lost node
    undisturbed = tmp_path / "local"
    list(Local().run(specs_of(study, undisturbed), Job(corpus, undisturbed, HERE), ["cpu", "cpu"]))
    for folder in (results, undisturbed):
        collect(folder)
    assert list(read_table(results, "runs")["status"]) == ["done"] * len(specs)
    for table in ("runs", "curves", "membership", "tuning", *PROBE_TABLES):
        one, same = (
            read_table(folder, table).drop(columns=list(TIMED), errors="ignore")
            for folder in (results, undisturbed)
        )
        pd.testing.assert_frame_equal(one, same, check_exact=True)


def test_what_the_cluster_has_not_is_refused(cluster):
    with pytest.raises(UserError, match=r"the cluster has no GPU now; .* say how far: JOBS"):
        Ray().slots("cuda", 1, None)
    assert Ray().slots("cuda", 1, 3) == ["cuda:0"] * 3  # which it may grow to
    with pytest.raises(UserError, match="device 'mps' is not for a cluster"):
        Ray().resolve_device("mps")


def test_a_cluster_that_is_not_there_is_told_in_a_line(monkeypatch: pytest.MonkeyPatch):
    def refuse(**_: object) -> None:
        raise ConnectionError("nobody answers")

    monkeypatch.setattr(ray, "init", refuse)
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    with pytest.raises(UserError, match=r"cannot be reached at RAY_ADDRESS=10.0.0.1:6379: nobody"):
        Ray()


def test_a_run_that_leaves_nothing_here_has_failed(
    cluster, study: Study, corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # as on a node whose folders are its own
    monkeypatch.setattr("experiments.running.ray._train", lambda *_: None)
    monkeypatch.setattr("experiments.running.ray._ARRIVAL", 0.1)
    results = tmp_path / "ray"
    specs = specs_of(study, results)[:1]
    assert list(Ray().run(specs, Job(corpus, results, {}), ["cpu"])) == [Finished(specs[0])]
    summary = RunFolder(results, specs[0].run_id).summary()
    assert summary
    assert summary["status"] == "failed"
    assert "do all nodes share this folder?" in summary["reason"]


def test_several_runs_share_a_card_and_each_sees_one(
    monkeypatch: pytest.MonkeyPatch, config: ModelConfig, recipe: Recipe, corpus: Corpus, tmp_path
):
    """On cards that Ray is told of; there need be none."""

    def seen(spec: RunSpec, job: Job, *_: object) -> None:
        """Leaves which card it may use, and in which process; waits for six to be at it."""
        noted = {"card": os.environ["CUDA_VISIBLE_DEVICES"], "process": os.getpid()}
        RunFolder(job.results, spec.run_id).finish({"status": "failed", "reason": "", **noted})
        deadline = time.monotonic() + 30
        while len(list(job.results.glob("runs/*"))) < 6 and time.monotonic() < deadline:
            time.sleep(0.05)

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    head = {"num_cpus": 8, "num_gpus": 2}
    found = cluster_utils.Cluster(initialize_head=True, head_node_args=head)
    monkeypatch.setenv("RAY_ADDRESS", found.address)
    monkeypatch.setattr("experiments.running.ray._train", seen)
    try:
        executor = Ray()
        assert executor.resolve_device("auto") == "cuda"
        slots = executor.slots("cuda", 3, None)
        assert slots == ["cuda:0"] * 6
        specs = [RunSpec(model=config, recipe=recipe, corpus="", seed=i) for i in range(12)]
        list(executor.run(specs, Job(corpus, tmp_path, {}, slots_per_gpu=3), slots))
    finally:
        ray.shutdown()
        found.shutdown()
    left = [RunFolder(tmp_path, spec.run_id).summary() or {} for spec in specs]
    first = [summary["card"] for summary in left[:6]]
    assert sorted(first) == ["0"] * 3 + ["1"] * 3
    # a process that had two runs one after the other would show the second the first one's card
    assert len({summary["process"] for summary in left}) == 12
