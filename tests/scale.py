"""What a study of a hundred thousand runs asks of the program that drives it: `make scale`.

Plans of 1,000, 10,000 and 100,000 runs, of all ablations with ever more seeds: each is planned,
scheduled on a Ray of this machine with tasks that do nothing but tell that they began and go on,
and collected from folders as runs of the profile `smoke` leave them. Growth is linear where the
last three columns of times agree from line to line.
"""

import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

from ray.util.queue import Queue
from rich.console import Console
from rich.table import Table

from experiments.ablation import Ablation, vary
from experiments.catalogue import load_ablations
from experiments.cli.options import executor_named
from experiments.data.corpus import Corpus
from experiments.plan import unique_runs
from experiments.records import study as study_file
from experiments.records.collect import collect
from experiments.records.run_folder import RunFolder
from experiments.records.study import Study
from experiments.running import ray as ray_executor
from experiments.running.job import Job
from experiments.running.local import Executor, Finished, Progress, Started
from experiments.spec import RunSpec

SIZES = (1_000, 10_000, 100_000)
IN_FLIGHT = 1_000  # as many as there would be graphics cards
SUMMARY = {
    **{"status": "done", "reason": "", "steps": 30, "parameters": 30_000, "val_loss": 3.0},
    **{"wall_seconds": 1.0, "train_seconds": 0.5, "tokens_per_second": 8e3},
}


def study_of(runs: int, results: Path) -> Study:
    """As many seeds as come nearest to so many runs."""
    facts: dict[str, Any] = {
        **{"profile_name": "smoke", "corpus_name": "none", "corpus_hash": "", "vocab_size": 84},
        **{key: {"val": 1} for key in ("corpus_lengths", "corpus_characters", "corpus_bytes")},
        **{"tokenizer": "characters", "unigram_loss": 3.3},
        **{"precision": "fp32", "compiled": False, "has_genres": True},
    }

    def study(seeds: int) -> Study:
        return Study(**facts, seeds=seeds, fewer_seeds=seeds)

    one, two = (len(planned(study(seeds), results)) for seeds in (1, 2))
    return study(1 + round((runs - one) / (two - one)))


def planned(study: Study, results: Path) -> list[RunSpec]:
    """Every run, as if the learning rates had been tried, with the results that ours leave."""
    with patch("experiments.records.study._validation_loss", lambda *_: SUMMARY["val_loss"]):
        plan = study.plan(results)
    return unique_runs([*plan.trials, *plan.members])


def more_ablations() -> dict[str, Ablation]:
    """Ours, and a sweep: seeds alone end at a thousand."""
    sweep = vary("dropout", [i / 100 for i in range(20)])
    more = Ablation(title="", question="", baseline=sweep[0].name, variants=sweep, core=True)
    return load_ablations() | {"sweep": more}


def nothing(spec: RunSpec, job: Job, slot: str, inbox: Queue) -> None:
    """What a task does here: it tells that it began and how it goes, and nothing else."""
    inbox.put(Started(spec))
    inbox.put(Progress(spec, 10, 3.0, 1.0))


def scheduled(specs: Sequence[RunSpec], executor: Executor, results: Path) -> int:
    """How many tasks that do nothing have come to their end."""
    corpus = Corpus("none", "", (), "", {}, {}, {}, 0.0, (), results)
    events = executor.run(specs, Job(corpus, results, {}), ["cpu"] * IN_FLIGHT)
    return sum(isinstance(event, Finished) for event in events)


def leave_finished(specs: Sequence[RunSpec], results: Path) -> None:
    """Folders as their workers would leave them."""
    os.fsync = lambda _: None  # nothing here is to outlast us
    for spec in specs:
        folder = RunFolder(results, spec.run_id)
        folder.start(spec, {})
        points = [
            {"step": step, "tokens": step * 128, "seconds": 0.1, "split": split, "loss": 3.0}
            for step in (10, 20, 30)
            for split in ("train", "val")
        ]
        folder.metrics.write_text("".join(json.dumps(point) + "\n" for point in points))
        folder.finish(SUMMARY)


def timed(work: Any, *arguments: Any) -> tuple[Any, float]:
    began = time.perf_counter()
    return work(*arguments), time.perf_counter() - began


def main(sizes: Sequence[int]) -> None:
    console = Console(width=130)
    executor = executor_named("ray")
    study_file.load_ablations = more_ablations
    ray_executor._train = nothing
    ray_executor._ARRIVAL = 0.0  # nothing will
    table = Table(
        *("runs", "planned, s", "scheduled, s", "collected, s"),
        *("planned, ms a run", "scheduled, ms a run", "collected, ms a run"),
        *("files", "tables, MB", "memory, MB"),
    )
    for size in sizes:
        with tempfile.TemporaryDirectory() as temporary:
            results = Path(temporary)
            study = study_of(size, results)
            specs, planning = timed(planned, study, results)
            over, scheduling = timed(scheduled, specs, executor, results)
            assert over == len(specs)
            study.save(results)
            leave_finished(specs, results)
            _, collecting = timed(collect, results)
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            files = sum(len(names) for _, _, names in os.walk(results))
            tables = sum(file.stat().st_size for file in results.glob("*.parquet")) / 1e6
        times = (planning, scheduling, collecting)
        table.add_row(
            f"{len(specs):,}",
            *(f"{seconds:.1f}" for seconds in times),
            *(f"{1000 * seconds / len(specs):.2f}" for seconds in times),
            *(f"{files:,}", f"{tables:.1f}", f"{memory:.0f}"),
        )
        console.print(table)


if __name__ == "__main__":
    main([int(size) for size in sys.argv[1:]] or SIZES)
