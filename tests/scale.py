"""The cost of planning, scheduling and collecting studies of up to 100,000 runs: `make scale`.

Studies have all ablations and as many seeds as needed. Runs are scheduled on a Ray of this machine,
with tasks that report their start and their progress and train nothing. Tables are collected from
run folders like those of the profile `smoke`. The cost is linear in the number of runs where the
milliseconds per run agree from line to line.
"""

import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

from ray.util.queue import Queue
from rich.console import Console
from rich.table import Table

from experiments.ablation import Ablation, vary
from experiments.catalogue import load_ablations
from experiments.data.corpus import Corpus
from experiments.planning.plan import unique_runs
from experiments.profiles import PROFILES
from experiments.recipe import SPLITS
from experiments.records import study as study_module
from experiments.records.collect import collect
from experiments.records.run_folder import RunFolder
from experiments.records.study import Study
from experiments.running import ray as ray_module
from experiments.running.executor import Executor, Finished, Progress, Started
from experiments.running.job import Job
from experiments.running.ray import Ray
from experiments.spec import RunSpec

SIZES = (1_000, 10_000, 100_000)
IN_FLIGHT = 1_000  # runs at the same time, as on a cluster with as many GPUs
SUMMARY = {
    "status": "done",
    "reason": "",
    "steps": 30,
    "parameters": 30_000,
    "val_loss": 3.0,
    "wall_seconds": 1.0,
    "train_seconds": 0.5,
    "tokens_per_second": 8e3,
}
COLUMNS = [
    "runs",
    "planned, s",
    "scheduled, s",
    "collected, s",
    "planned, ms a run",
    "scheduled, ms a run",
    "collected, ms a run",
    "files",
    "tables, MB",
    "memory, MB",
]


def study_with(seeds: int) -> Study:
    counts = dict.fromkeys(SPLITS, 1)
    return Study(
        profile_name="smoke",
        corpus_name="none",
        corpus_hash="",
        vocab_size=84,
        tokenizer="characters",
        corpus_lengths=counts,
        corpus_characters=counts,
        corpus_bytes=counts,
        unigram_loss=3.3,
        seeds=seeds,
        fewer_seeds=seeds,
        budgets=list(PROFILES["smoke"].default_budgets),
        precision="fp32",
        compiled=False,
        has_genres=True,
    )


def study_of_size(runs: int, results: Path) -> Study:
    """The study whose number of seeds comes nearest to a number of runs."""
    one_seed, two_seeds = (len(plan_runs(study_with(seeds), results)) for seeds in (1, 2))
    return study_with(1 + round((runs - one_seed) / (two_seeds - one_seed)))


def plan_runs(study: Study, results: Path) -> list[RunSpec]:
    """All runs of a study, planned as if all trials of learning rates had the same loss."""
    with patch.object(study_module, "_validation_loss", lambda *_: SUMMARY["val_loss"]):
        return unique_runs(study.plan(results).runs)


def ablations_with_sweep() -> dict[str, Ablation]:
    """All ablations and a sweep of 20 variants. A study has at most a thousand seeds."""
    variants = vary("dropout", [i / 100 for i in range(20)])
    sweep = Ablation(title="", question="", baseline=variants[0].name, variants=variants, core=True)
    return load_ablations() | {"sweep": sweep}


def report_progress(spec: RunSpec, job: Job, slot: str, inbox: Queue) -> None:
    """A task that reports its start and its progress, and trains nothing."""
    inbox.put(Started(spec))
    inbox.put(Progress(spec, 10, 3.0, 1.0))


def schedule(specs: Sequence[RunSpec], executor: Executor, results: Path) -> int:
    """Schedule tasks that train nothing and return how many of them finished."""
    corpus = Corpus("none", "", (), "", {}, {}, {}, 0.0, (), results)
    events = executor.run(specs, Job(corpus, results, {}), ["cpu"] * IN_FLIGHT)
    return sum(isinstance(event, Finished) for event in events)


def write_run_folders(specs: Sequence[RunSpec], results: Path) -> None:
    """Write run folders as workers leave them."""
    points = [
        {"step": step, "tokens": step * 128, "seconds": 0.1, "split": split, "loss": 3.0}
        for step in (10, 20, 30)
        for split in ("train", "val")
    ]
    curve = "".join(json.dumps(point) + "\n" for point in points)
    with patch("os.fsync"):  # these files need not survive a crash
        for spec in specs:
            folder = RunFolder(results, spec.run_id)
            folder.start(spec, {})
            folder.metrics.write_text(curve)
            folder.finish(SUMMARY)


def timed(function: Callable[..., Any], *arguments: Any) -> tuple[Any, float]:
    began = time.perf_counter()
    return function(*arguments), time.perf_counter() - began


def measure(size: int, executor: Executor) -> list[str]:
    """A row of the table, for a study of about `size` runs."""
    with tempfile.TemporaryDirectory() as temporary:
        results = Path(temporary)
        study = study_of_size(size, results)
        specs, planning = timed(plan_runs, study, results)
        finished, scheduling = timed(schedule, specs, executor, results)
        assert finished == len(specs)
        study.save(results)
        write_run_folders(specs, results)
        _, collecting = timed(collect, results)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        files = sum(len(names) for _, _, names in os.walk(results))
        megabytes = sum(file.stat().st_size for file in results.glob("*.parquet")) / 1e6
    seconds = (planning, scheduling, collecting)
    return [
        f"{len(specs):,}",
        *(f"{value:.1f}" for value in seconds),
        *(f"{1000 * value / len(specs):.2f}" for value in seconds),
        f"{files:,}",
        f"{megabytes:.1f}",
        f"{memory:.0f}",
    ]


def main(sizes: Sequence[int]) -> None:
    console, table = Console(width=130), Table(*COLUMNS)
    executor = Ray()
    with (
        patch.object(study_module, "load_ablations", ablations_with_sweep),
        patch.object(ray_module, "_train", report_progress),
        patch.object(ray_module, "_FILE_DELAY", 0.0),  # no other node writes files
    ):
        for size in sizes:
            table.add_row(*measure(size, executor))
            console.print(table)


if __name__ == "__main__":
    main([int(size) for size in sys.argv[1:]] or SIZES)
