"""How fast this machine trains, beside what that is to be compared with: `make bench`.

A benchmark and no test: nothing else may be at work. What is compared is measured in turn, several
times over, so that a slow minute does not hit one side alone, and in processes of its own.

`python -m experiments.benchmarks.throughput RESULTS DATA DEVICE CORPUS` writes the table "bench" into a profile's
folder.
"""

import dataclasses
import datetime
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

from experiments.benchmarks.calibration import NANOGPT, NANOGPT_RECIPE, spec_of
from experiments.cli.options import VARIABLES
from experiments.data.corpus import Corpus, prepare_corpus
from experiments.plan import unique_runs
from experiments.profiles import PROFILES
from experiments.records.collect import write_table
from experiments.records.provenance import default_precision, environment, slots
from experiments.records.run_folder import RunFolder
from experiments.records.study import Study
from experiments.running.job import Job
from experiments.running.local import run_local
from experiments.running.lock import results_lock
from experiments.spec import TUNING_SEED, Precision, Recipe, RunSpec

WAYS: tuple[tuple[Precision, bool], ...] = (("fp32", False), ("bf16", False), ("bf16", True))
_REPEATS = 3
_STEPS = 30  # that are timed where no whole run is needed
_ALL = 10**6  # windows: as many as the split has
# Where nanoGPT's recipe ends (1.88 by its README), and a training of ours that gets there.
TO_QUALITY: dict[str, tuple[dict[str, Any], Recipe]] = {
    "nanoGPT's recipe": (NANOGPT, dataclasses.replace(NANOGPT_RECIPE, final_eval_windows=_ALL)),
    "LSTM of two layers, at ten times its learning rate": (
        NANOGPT | {"family": "lstm", "n_layers": 2},
        dataclasses.replace(
            NANOGPT_RECIPE,
            steps=650,
            learning_rate=1e-2,
            warmup_steps=65,
            final_eval_windows=_ALL,
        ),
    ),
}

Row = dict[str, Any]


def against_plain(corpus: Corpus, places: Sequence[str], repeat: int) -> Iterator[Row]:
    """nanoGPT's recipe in the plainest loop, and whole runs of it in the study's own runner, one in
    every slot, their start and evaluations counted in.
    """
    kind = places[0].partition(":")[0]
    spec = spec_of(corpus, NANOGPT, NANOGPT_RECIPE, TUNING_SEED)
    speed = _elsewhere("plain", kind)["tokens_per_second"]
    yield _row("plain loop", spec, repeat, workers=1, tokens_per_second=speed)
    for precision, compiled in WAYS:
        recipe = dataclasses.replace(NANOGPT_RECIPE, precision=precision, compiled=compiled)
        specs = [spec_of(corpus, NANOGPT, recipe, TUNING_SEED + i) for i in range(len(places))]
        seconds, _ = through_runner(specs, corpus, places)
        speed = sum(each.tokens for each in specs) / seconds
        found = {"seconds": seconds, "tokens_per_second": speed}
        yield _row("whole runs", specs[0], repeat, workers=len(places), **found)


def by_size(corpus: Corpus, places: Sequence[str], repeat: int) -> Iterator[Row]:
    """Training alone, one thing at a time made smaller and larger: width, context, batch, workers;
    beside the machine's peak.
    """
    many = len(places)
    usual: dict[str, int] = {"width": 128, "context": 64, "batch": 12, "workers": many}
    for precision in get_args(Precision):
        flops = _elsewhere("peak", places[0], precision)["flops_per_second"]
        yield {
            "what": "matrix product", "precision": precision, "workers": 1, "repeat": repeat,
            "flops_per_second": flops,
        }  # fmt: skip
        for varied, changes in [
            ("", {}),
            *(("width", {"width": n}) for n in (64, 256)),
            *(("context", {"context": n, "batch": 768 // n}) for n in (32, 128, 256)),
            *(("batch", {"batch": n}) for n in (4, 48)),
            *(("workers", {"workers": n}) for n in range(1, many)),
        ]:
            size = usual | changes
            network = NANOGPT | {
                "d_model": size["width"], "d_ff": 4 * size["width"],
                "context_length": size["context"],
            }  # fmt: skip
            recipe = dataclasses.replace(
                NANOGPT_RECIPE, precision=precision, batch_size=size["batch"], steps=_STEPS,
                warmup_steps=0, eval_windows=1, final_eval_windows=1,
            )  # fmt: skip
            specs = [spec_of(corpus, network, recipe, seed) for seed in range(size["workers"])]
            _, found = through_runner(specs, corpus, places[: len(specs)])
            speed = sum(summary["tokens_per_second"] for summary in found)
            yield _row(
                "training", specs[0], repeat, varied=varied, workers=len(specs),
                tokens_per_second=speed,
            )  # fmt: skip


def between_runs(corpus: Corpus, places: Sequence[str], repeat: int) -> Iterator[Row]:
    """Seconds that a slot is empty, from one run's end to the next one's beginning."""
    recipe = dataclasses.replace(
        NANOGPT_RECIPE, steps=1, warmup_steps=0, eval_windows=1, final_eval_windows=1
    )
    specs = [spec_of(corpus, NANOGPT, recipe, seed) for seed in range(5)]
    _, found = through_runner(specs, corpus, places[:1])
    began = [datetime.datetime.fromisoformat(one["started"]).timestamp() for one in found]
    ended = [start + one["wall_seconds"] for start, one in zip(began, found, strict=True)]
    gaps = [start - end for start, end in zip(began[1:], ended, strict=False)]
    yield {"what": "between runs", "repeat": repeat, "seconds": statistics.median(gaps)}


def to_quality(data: Path, device: str, repeat: int) -> Iterator[Row]:
    """Seconds from nothing started to the loss that nanoGPT's recipe ends at, on all of what is
    validated on: in its own way, with all cores, and in one run of ours.
    """
    for what in TO_QUALITY:
        began = time.perf_counter()
        loss = _elsewhere("quality", what, device, data)["loss"]
        seconds = time.perf_counter() - began
        yield {"what": what, "repeat": repeat, "seconds": seconds, "loss": loss}


def around(results: Path, data: Path, device: str, corpus: str, repeat: int) -> Iterator[Row]:
    """Seconds of `make all` when all is done, and of a new page, for the study that `finished` has
    looked at: what the environment chooses besides would make it another, and train it.
    """
    common = ["--profile", results.name, "--device", device, "--results", str(results.parent)]
    bare = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    words = {"run": [*common, "--data", str(data), "--corpus", corpus], "report": common}
    for command in ("run", "report"):
        began = time.perf_counter()
        program = [sys.executable, "-m", "experiments", command]
        subprocess.run([*program, *words[command]], env=bare, stdout=subprocess.DEVNULL, check=True)
        yield {
            "what": f"{command}, all done",
            "repeat": repeat,
            "seconds": time.perf_counter() - began,
        }


def finished(results: Path, data: Path, corpus: str, device: str) -> bool:
    """Whether `make all` would find nothing to train."""
    profile = PROFILES[results.name].with_precision(default_precision(device))
    planned = Study.of(profile, prepare_corpus(corpus, data), seeds=None).plan(results)
    runs = unique_runs([*planned.trials, *planned.members])
    return not planned.waiting and all(
        RunFolder(results, run.run_id).finished(run.probes) for run in runs
    )


def through_runner(
    specs: Sequence[RunSpec], corpus: Corpus, places: Sequence[str]
) -> tuple[float, list[dict[str, Any]]]:
    """Seconds that whole runs take, from the first one's start to the last one's end, and their
    summaries. What all workers are forked from is loaded once: the first call's seconds have it.
    """
    with tempfile.TemporaryDirectory() as folder:
        job = Job(corpus, Path(folder), environment())
        began = time.perf_counter()
        for _ in run_local(specs, job, places):
            pass
        seconds = time.perf_counter() - began
        found = [RunFolder(job.results, spec.run_id).summary() or {} for spec in specs]
    for summary in found:
        if summary.get("status") != "done":
            raise RuntimeError(f"a run of the benchmark ended so: {summary}")
    return seconds, found


def _elsewhere(*words: object) -> Row:
    """What one of the yardsticks finds, in a process that nothing else has touched."""
    command = [sys.executable, "-m", "experiments.benchmarks.baselines", *map(str, words)]
    printed = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    found: Row = json.loads(printed)
    return found


def _row(what: str, spec: RunSpec, repeat: int, **found: Any) -> Row:
    found["flops_per_second"] = found["tokens_per_second"] * spec.flops / spec.tokens
    return {
        "what": what,
        "precision": spec.recipe.precision,
        "compiled": spec.recipe.compiled,
        "width": spec.model.d_model,
        "context": spec.model.context_length,
        "batch": spec.recipe.batch_size,
        "repeat": repeat,
        **found,
    }


def _told(row: Row) -> Row:
    print("  ".join(f"{key} {value}" for key, value in row.items()), flush=True)
    return row


def main(results: Path, data: Path, device: str, studied: str) -> None:
    """Measure all, saying what was found, and write the table: of whole repeats, if it is ended."""
    corpus = prepare_corpus("tinyshakespeare", data)
    places = slots(device, PROFILES[results.name].slots_per_gpu, None)
    whole = finished(results, data, studied, device)
    if whole:  # untimed: a page that is not up to date would be made in a call that is timed
        list(around(results, data, device, studied, 0))
    else:
        print(f"{results} is not a whole study yet: calls when all is done are not timed")
    rows: list[Row] = []
    try:
        for repeat in range(_REPEATS):
            found: list[Row] = []
            with results_lock(results):  # a study beside it would be measured as well
                for measured in (
                    against_plain(corpus, places, repeat),
                    to_quality(data, places[0], repeat),
                    by_size(corpus, places, repeat),
                    between_runs(corpus, places, repeat),
                ):
                    found += map(_told, measured)
            if whole:  # these calls take the folder themselves
                found += map(_told, around(results, data, device, studied, repeat))
            rows += found
    finally:
        if rows:  # not sooner: with another table the page is no longer up to date
            write_table(results, "bench", rows)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
