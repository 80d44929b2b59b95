"""The Ray executor, on a real cluster of two nodes: one is lost in mid-study, and nothing else."""

import dataclasses
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import psutil
import pytest

from experiments.collect import PROBE_TABLES, collect, read_table
from experiments.corpus import Corpus
from experiments.errors import UserError
from experiments.executor import Finished, Local, Progress, Started
from experiments.hardware import machine
from experiments.job import Job
from experiments.plan import runs_of
from experiments.profiles import PROFILES
from experiments.spec import Recipe, RunSpec
from experiments.study import Study
from model import ModelConfig

ray = pytest.importorskip("ray", reason="Ray is not installed: make setup EXTRAS=ray")
cluster_utils = pytest.importorskip("ray.cluster_utils")

from experiments.ray_executor import Ray  # noqa: E402

HERE = {"hardware": machine()}
TIMED = [
    *("started", "seconds", "train_seconds", "tokens_per_second", "wall_seconds"),
    *("probe_seconds", "peak_memory"),
]


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
    longer = dataclasses.replace(smoke.recipe, steps=400, eval_every=50)
    monkeypatch.setitem(PROFILES, "smoke", dataclasses.replace(smoke, recipe=longer))
    return Study.of(PROFILES["smoke"], corpus, seeds=1)


def specs_of(study: Study, results: Path) -> list[RunSpec]:
    results.mkdir()
    study.save(results)
    return runs_of(study.plan(results, ["heads"]).members)


def kill_a_task() -> bool:
    """End one of Ray's own processes that has a run in its hands."""
    processes = psutil.process_iter(["cmdline"])
    tasks = [found for found in processes if (found.info["cmdline"] or [""])[0] == "ray::_train"]
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
        elif isinstance(event, Progress) and other and len(begun) > 2:
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
            read_table(folder, table).drop(columns=TIMED, errors="ignore")
            for folder in (results, undisturbed)
        )
        pd.testing.assert_frame_equal(one, same, check_exact=True)


def test_what_the_cluster_has_not_is_refused(cluster):
    with pytest.raises(UserError, match="device 'cuda' is not in the cluster: it has cpu"):
        Ray().resolve_device("cuda")


@ray.remote
def seen(spec: RunSpec, job: Job, slot: str, inbox: object) -> None:
    """Leaves which cards the task may use, and waits until others have begun beside it."""
    (job.results / f"{spec.seed}").write_text(os.environ["CUDA_VISIBLE_DEVICES"])
    deadline = time.monotonic() + 30
    while len(list(job.results.iterdir())) < 6 and time.monotonic() < deadline:
        time.sleep(0.05)


def test_several_runs_share_a_card_and_each_sees_one(
    monkeypatch: pytest.MonkeyPatch, config: ModelConfig, recipe: Recipe, corpus: Corpus, tmp_path
):
    """On cards that Ray is told of; there need be none."""
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    head = {"num_cpus": 8, "num_gpus": 2}
    found = cluster_utils.Cluster(initialize_head=True, head_node_args=head)
    monkeypatch.setenv("RAY_ADDRESS", found.address)
    monkeypatch.setattr("experiments.ray_executor._train", seen)
    try:
        executor = Ray()
        assert executor.resolve_device("auto") == "cuda"
        slots = executor.slots("cuda", 3, None)
        assert slots == ["cuda:0"] * 6
        specs = [RunSpec(model=config, recipe=recipe, corpus="", seed=i) for i in range(6)]
        list(executor.run(specs, Job(corpus, tmp_path, {}, runs_per_card=3), slots))
    finally:
        ray.shutdown()
        found.shutdown()
    cards = [file.read_text() for file in tmp_path.iterdir()]
    assert sorted(cards) == ["0"] * 3 + ["1"] * 3
