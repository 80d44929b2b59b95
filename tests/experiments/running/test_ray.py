"""The Ray executor on a cluster of two nodes, one of which is lost during the study."""

import dataclasses
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import psutil
import pytest
from helping import TIMED, leave_tuned

from experiments.data.corpus import Corpus
from experiments.errors import UserError
from experiments.planning.plan import unique_runs
from experiments.profiles import PROFILES
from experiments.recipe import Recipe
from experiments.records.collect import PROBE_TABLES, collect, read_table
from experiments.records.provenance import machine
from experiments.records.run_folder import RunFolder
from experiments.records.study import Study
from experiments.running.executor import Finished, Progress, Started
from experiments.running.job import Job
from experiments.running.local import Local
from experiments.spec import RunSpec
from model import ModelConfig

ray = pytest.importorskip("ray", reason="Ray is not installed: make setup EXTRAS=ray")
cluster_utils = pytest.importorskip("ray.cluster_utils")

from experiments.running.ray import Ray  # noqa: E402

pytestmark = pytest.mark.slow

HERE = {"hardware": machine()}


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator:
    """A cluster with a head node of one core."""
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    started = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    monkeypatch.setenv("RAY_ADDRESS", started.address)
    yield started
    ray.shutdown()
    started.shutdown()


@pytest.fixture
def study(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> Study:
    """A study whose runs take seconds, so that one can be lost while it trains."""
    smoke = PROFILES["smoke"]
    longer = dataclasses.replace(smoke.recipe, steps=800, eval_every=50)
    monkeypatch.setitem(PROFILES, "smoke", dataclasses.replace(smoke, recipe=longer))
    return Study.of(PROFILES["smoke"], corpus, seeds=1, budgets=[1])


def specs_of(study: Study, results: Path) -> list[RunSpec]:
    results.mkdir()
    study.save(results)
    plan = leave_tuned(results, study, ["heads"])
    return unique_runs(run for run in plan.comparison_runs if run.ablation == "heads")


def kill_a_task() -> bool:
    """Kill one of Ray's processes that carry out a run. Returns whether there was one."""
    children = psutil.Process().children(recursive=True)
    tasks = [process for process in children if (process.cmdline() or [""])[0] == "ray::_train"]
    if tasks:
        tasks[0].kill()
    return bool(tasks)


def test_a_killed_worker_and_a_lost_node_lose_no_run_and_change_no_table_row(
    cluster, study: Study, corpus: Corpus, tmp_path: Path
):
    other = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    executor = Ray()
    assert executor.resolve_device("auto") == "cpu"
    slots = executor.slots("cpu", 1, None)
    assert slots == ["cpu", "cpu"]
    results, started, finished, killed = tmp_path / "ray", [], [], False
    specs = specs_of(study, results)
    for event in executor.run(specs, Job(corpus, results, HERE, checkpoint_seconds=0.0), slots):
        if isinstance(event, Started):
            started.append(event.spec.run_id)
        if isinstance(event, Progress) and not killed:
            killed = kill_a_task()
        elif (
            other and len(set(started)) < len(started) and len(set(started) - set(finished)) == 2
        ):  # the killed run has started again, and both nodes have a run
            cluster.remove_node(other, allow_graceful=False)
            other = None
        if isinstance(event, Finished):
            finished.append(event.spec.run_id)
    assert other is None
    assert sorted(finished) == sorted(spec.run_id for spec in specs)
    assert len(started) >= len(specs) + 2  # again: the killed run, and the run on the lost node
    undisturbed = tmp_path / "local"
    list(Local().run(specs_of(study, undisturbed), Job(corpus, undisturbed, HERE), ["cpu", "cpu"]))
    for folder in (results, undisturbed):
        collect(folder)
    runs = read_table(results, "runs")
    assert list(runs.loc[~runs["tuning"], "status"]) == ["done"] * len(specs)
    for table in ("runs", "curves", "membership", "tuning", *PROBE_TABLES):
        ray_rows, local_rows = (
            read_table(folder, table).drop(columns=list(TIMED), errors="ignore")
            for folder in (results, undisturbed)
        )
        pd.testing.assert_frame_equal(ray_rows, local_rows, check_exact=True)


def test_a_device_or_resource_that_the_cluster_lacks_is_refused(cluster):
    with pytest.raises(UserError, match=r"the cluster has no GPU now; .* say how far: JOBS"):
        Ray().slots("cuda", 1, None)
    assert Ray().slots("cuda", 1, 3) == ["cuda:0"] * 3  # the cluster may grow to three
    with pytest.raises(UserError, match="device 'mps' is not for a cluster"):
        Ray().resolve_device("mps")


def test_an_unreachable_cluster_is_reported_with_its_address(monkeypatch: pytest.MonkeyPatch):
    def refuse(**_: object) -> None:
        raise ConnectionError("nobody answers")

    monkeypatch.setattr(ray, "init", refuse)
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    with pytest.raises(UserError, match=r"cannot be reached at RAY_ADDRESS=10.0.0.1:6379: nobody"):
        Ray()


def test_a_run_that_leaves_no_summary_in_the_results_folder_has_failed(
    cluster, study: Study, corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # As on a node that does not share the results folder.
    monkeypatch.setattr("experiments.running.ray._train", lambda *_: None)
    monkeypatch.setattr("experiments.running.ray._FILE_DELAY", 0.1)
    results = tmp_path / "ray"
    specs = specs_of(study, results)[:1]
    assert list(Ray().run(specs, Job(corpus, results, {}), ["cpu"])) == [Finished(specs[0])]
    summary = RunFolder(results, specs[0].run_id).summary()
    assert summary
    assert summary["status"] == "failed"
    assert "do all nodes share this folder?" in summary["reason"]


def test_three_runs_share_a_gpu_and_each_run_sees_one_gpu_only(
    monkeypatch: pytest.MonkeyPatch, config: ModelConfig, recipe: Recipe, corpus: Corpus, tmp_path
):
    """The GPUs are declared to Ray; the machine needs none."""

    def record_gpu(spec: RunSpec, job: Job, *_: object) -> None:
        """Record the visible GPU and the process, then wait until six runs have done so."""
        facts = {"gpu": os.environ["CUDA_VISIBLE_DEVICES"], "process": os.getpid()}
        RunFolder(job.results, spec.run_id).finish({"status": "failed", "reason": "", **facts})
        deadline = time.monotonic() + 30
        while len(list(job.results.glob("runs/*"))) < 6 and time.monotonic() < deadline:
            time.sleep(0.05)

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    head = {"num_cpus": 8, "num_gpus": 2}
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args=head)
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    monkeypatch.setattr("experiments.running.ray._train", record_gpu)
    try:
        executor = Ray()
        assert executor.resolve_device("auto") == "cuda"
        slots = executor.slots("cuda", 3, None)
        assert slots == ["cuda:0"] * 6
        specs = [RunSpec(model=config, recipe=recipe, corpus="", seed=i) for i in range(12)]
        list(executor.run(specs, Job(corpus, tmp_path, {}, slots_per_gpu=3), slots))
    finally:
        ray.shutdown()
        cluster.shutdown()
    summaries = [RunFolder(tmp_path, spec.run_id).summary() or {} for spec in specs]
    first = [summary["gpu"] for summary in summaries[:6]]
    assert sorted(first) == ["0"] * 3 + ["1"] * 3
    # A process that is used for two runs would show the second run the GPU of the first.
    assert len({summary["process"] for summary in summaries}) == 12
