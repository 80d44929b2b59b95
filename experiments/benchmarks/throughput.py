"""How fast this machine trains, beside baselines: `make bench`.

Nothing else may run at the same time. All measurements are repeated in turn, so that a slow minute
does not affect a single one. `measure` writes the table "bench" into the results of a profile.
"""

import dataclasses
import itertools
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, get_args

from experiments.benchmarks.calibration import NANOGPT, NANOGPT_RECIPE, spec_of
from experiments.benchmarks.whole_runs import SHAPES, TO_QUALITY, Row, through_runner
from experiments.data.corpus import Corpus, prepare_corpus
from experiments.errors import UserError
from experiments.planning.plan import unique_runs
from experiments.profiles import PROFILES
from experiments.recipe import Precision, Recipe
from experiments.records.collect import write_table
from experiments.records.study import Study
from experiments.running.devices import default_precision, slots
from experiments.running.lock import results_lock
from experiments.running.runner import unfinished
from experiments.spec import RunSpec

TRAININGS: tuple[tuple[Precision, bool], ...] = (("fp32", False), ("bf16", False), ("bf16", True))
PLAIN_LOOP, NANOGPT_ITSELF = "plain loop", "nanoGPT's train.py"
_REPEATS = 3
_BASE_STEPS = 600  # of whole runs of the base
_STEPS = 30  # of trainings that only measure the speed of a step
_USUAL = {"width": 128, "context": 64, "batch": 12}


def measure(
    results: Path,
    data: Path,
    device: str,
    corpus_name: str,
    finished_calls: Sequence[tuple[str, list[str]]],
    nanogpt: Path | None = None,
) -> None:
    """Measure everything, print each row and write the table "bench".

    An interrupted benchmark writes the repeats that are complete.

    Args:
        results: the results folder of a profile.
        data: the folder for corpora.
        device: "cuda", "mps" or "cpu".
        corpus_name: the corpus of the study in `results`.
        finished_calls: commands that have nothing to train in a finished study, each with its name
            in the table. They are timed if the study is finished.
        nanogpt: a checkout of nanoGPT, which is trained in place of the plain loop.
    """
    corpus = prepare_corpus("tinyshakespeare", data)
    devices = slots(device, slots_per_gpu=1, jobs=None)
    if not study_is_finished(results, data, corpus_name, device):
        print(f"{results} is not a finished study: calls that train nothing are not timed")
        finished_calls = ()
    # Not timed: the first calls may have to update the page.
    list(time_calls(finished_calls, repeat=0))
    rows: list[Row] = []
    try:
        for repeat in range(_REPEATS):
            rows += list(
                _measure_once(results, data, corpus, devices, finished_calls, repeat, nanogpt)
            )
    finally:
        if rows:  # written last: a new table makes the page out of date
            write_table(results, "bench", rows)


def _measure_once(
    results: Path,
    data: Path,
    corpus: Corpus,
    devices: Sequence[str],
    finished_calls: Sequence[tuple[str, list[str]]],
    repeat: int,
    nanogpt: Path | None,
) -> Iterator[Row]:
    with results_lock(results):  # no study may train at the same time
        measurements = (
            against_nanogpt(corpus, data, devices, repeat, nanogpt),
            of_the_base(corpus, devices, repeat),
            by_operation(devices[0], repeat),
            to_quality(data, devices[0], repeat),
            by_size(corpus, devices, repeat),
            between_runs(corpus, devices[0], repeat),
        )
        for row in itertools.chain(*measurements):
            yield _printed(row)
    for row in time_calls(finished_calls, repeat):  # the calls take the lock themselves
        yield _printed(row)


def against_nanogpt(
    corpus: Corpus, data: Path, devices: Sequence[str], repeat: int, nanogpt: Path | None
) -> Iterator[Row]:
    """Speed of nanoGPT's recipe in nanoGPT itself, or in a plain loop where it is not at hand, and
    of whole runs in the study's own runner.

    One run per device is trained at a time. The speed of whole runs includes their start and their
    evaluations.
    """
    kind = devices[0].partition(":")[0]
    spec = spec_of(corpus, NANOGPT, NANOGPT_RECIPE, seed=0)
    what = PLAIN_LOOP if nanogpt is None else NANOGPT_ITSELF
    words = ["plain", kind] if nanogpt is None else ["nanogpt", str(nanogpt), kind, str(data)]
    speed = _run_baseline(*words)["tokens_per_second"]
    yield _speed_row(what, spec, repeat, workers=1, tokens_per_second=speed)
    for precision, compiled in TRAININGS:
        recipe = dataclasses.replace(NANOGPT_RECIPE, precision=precision, compiled=compiled)
        specs = [spec_of(corpus, NANOGPT, recipe, seed) for seed in range(len(devices))]
        yield _whole_runs("whole runs", specs, corpus, devices, repeat)


def of_the_base(corpus: Corpus, devices: Sequence[str], repeat: int) -> Iterator[Row]:
    """Speed of whole runs of the base network of the profile `cpu`, one per device at a time."""
    profile = PROFILES["cpu"]
    base = profile.base_model(len(corpus.vocabulary))
    for precision, compiled in TRAININGS:
        recipe = dataclasses.replace(
            profile.recipe, steps=_BASE_STEPS, precision=precision, compiled=compiled
        )
        specs = [
            RunSpec(model=base, recipe=recipe, corpus=corpus.hash, seed=seed)
            for seed in range(len(devices))
        ]
        yield _whole_runs("whole runs of the base", specs, corpus, devices, repeat)


def by_operation(device: str, repeat: int) -> Iterator[Row]:
    """Seconds of a training step on one thread: of the whole step, and by kind of operation."""
    for shape, precision in itertools.product(SHAPES, get_args(Precision)):
        found = _run_baseline("step", shape, precision, device)
        common = {"what": f"step, {shape}", "precision": precision, "repeat": repeat}
        yield common | {"seconds": found["seconds"], "page_faults": found["page_faults"]}
        for kind, (seconds, calls) in found["kinds"].items():
            yield common | {"part": kind, "seconds": seconds, "calls": calls}


def by_size(corpus: Corpus, devices: Sequence[str], repeat: int) -> Iterator[Row]:
    """Speed of training steps, beside the machine's peak.

    Width, context, batch and workers are each made smaller and larger, one at a time.
    """
    changes: list[tuple[str, dict[str, int]]] = [("", {})]
    changes += [("width", {"width": n}) for n in (64, 256)]
    changes += [("context", {"context": n, "batch": 768 // n}) for n in (32, 128, 256)]
    changes += [("batch", {"batch": n}) for n in (4, 48)]
    changes += [("workers", {"workers": n}) for n in range(1, len(devices))]
    for precision in get_args(Precision):
        yield {
            "what": "matrix product",
            "precision": precision,
            "workers": 1,
            "repeat": repeat,
            **_run_baseline("peak", devices[0], precision),
        }
        for varied, change in changes:
            size = _USUAL | {"workers": len(devices)} | change
            workers = size["workers"]
            network = NANOGPT | {
                "d_model": size["width"],
                "d_ff": 4 * size["width"],
                "context_length": size["context"],
            }
            recipe = dataclasses.replace(
                _short_recipe(_STEPS), precision=precision, batch_size=size["batch"]
            )
            specs = [spec_of(corpus, network, recipe, seed) for seed in range(workers)]
            _, summaries = through_runner(specs, corpus, devices[:workers])
            speed = sum(summary["tokens_per_second"] for summary in summaries)
            yield _speed_row(
                "training", specs[0], repeat, workers, tokens_per_second=speed, varied=varied
            )


def between_runs(corpus: Corpus, device: str, repeat: int) -> Iterator[Row]:
    """Median seconds from the end of a run to the start of the next run on the same device."""
    specs = [spec_of(corpus, NANOGPT, _short_recipe(steps=1), seed) for seed in range(5)]
    _, summaries = through_runner(specs, corpus, [device])
    starts = [datetime.fromisoformat(summary["started"]).timestamp() for summary in summaries]
    gaps = [
        following - start - summary["wall_seconds"]
        for start, following, summary in zip(starts, starts[1:], summaries, strict=False)
    ]
    yield {"what": "between runs", "repeat": repeat, "seconds": statistics.median(gaps)}


def to_quality(data: Path, device: str, repeat: int) -> Iterator[Row]:
    """Seconds to the loss of nanoGPT's recipe on the whole validation split, from a cold start.

    nanoGPT's recipe is trained with all cores, the recipe of this project in a single run.
    """
    for what in TO_QUALITY:
        began = time.perf_counter()
        loss = _run_baseline("quality", what, device, data)["loss"]
        seconds = time.perf_counter() - began
        yield {"what": what, "repeat": repeat, "seconds": seconds, "loss": loss}


def time_calls(calls: Sequence[tuple[str, list[str]]], repeat: int) -> Iterator[Row]:
    """Seconds of each of the named commands."""
    for what, command in calls:
        began = time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        yield {"what": what, "repeat": repeat, "seconds": time.perf_counter() - began}


def study_is_finished(results: Path, data: Path, corpus_name: str, device: str) -> bool:
    """Whether all runs of a study are finished, at all budgets of the study."""
    profile = PROFILES[results.name].with_precision(default_precision(device))
    try:
        budgets = Study.load(results).budgets
    except UserError:
        budgets = None
    corpus = prepare_corpus(corpus_name, data)
    plan = Study.of(profile, corpus, seeds=None, budgets=budgets).plan(results)
    return not plan.untuned and not unfinished(unique_runs(plan.runs), results)


def _whole_runs(
    what: str, specs: Sequence[RunSpec], corpus: Corpus, devices: Sequence[str], repeat: int
) -> Row:
    seconds, _ = through_runner(specs, corpus, devices)
    speed = sum(spec.tokens for spec in specs) / seconds
    return _speed_row(
        what, specs[0], repeat, len(devices), tokens_per_second=speed, seconds=seconds
    )


def _short_recipe(steps: int) -> Recipe:
    """nanoGPT's recipe for a few steps, with as little evaluation as possible."""
    return dataclasses.replace(NANOGPT_RECIPE, steps=steps, warmup_steps=0, eval_windows=1)


def _run_baseline(*words: object) -> Row:
    """The result of a function of `baselines`, in a process of its own."""
    command = [sys.executable, "-m", "experiments.benchmarks.baselines", *map(str, words)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if done.returncode:
        raise UserError(f"a part of the benchmark failed: {' '.join(command[2:])}")
    return json.loads(done.stdout)


def _speed_row(
    what: str, spec: RunSpec, repeat: int, workers: int, *, tokens_per_second: float, **columns: Any
) -> Row:
    return {
        "what": what,
        "precision": spec.recipe.precision,
        "compiled": spec.recipe.compiled,
        "width": spec.model.d_model,
        "context": spec.model.context_length,
        "batch": spec.recipe.batch_size,
        "workers": workers,
        "repeat": repeat,
        "tokens_per_second": tokens_per_second,
        "flops_per_second": tokens_per_second * spec.flops / spec.tokens,
        **columns,
    }


def _printed(row: Row) -> Row:
    print("  ".join(f"{key} {value}" for key, value in row.items()), flush=True)
    return row
