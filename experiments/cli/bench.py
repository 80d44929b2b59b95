"""`bench`, `gpu-check` and `calibrate`: the speed, the card and the losses of this machine."""

import os
import random
import sys
import tempfile
from pathlib import Path

from experiments.benchmarks import calibration
from experiments.benchmarks.throughput import measure
from experiments.cli.options import (
    VARIABLES,
    CorpusOptions,
    Data,
    Device,
    Jobs,
    NanoGPT,
    Results,
    Seeds,
    StudyOptions,
)
from experiments.data.corpus import prepare_corpus
from experiments.errors import UserError
from experiments.records.collect import write_table
from experiments.records.provenance import environment
from experiments.running.devices import devices_present, resolve_device, slots
from experiments.running.job import Job
from experiments.running.lock import results_lock
from experiments.running.runner import train_apart

_CALIBRATION_SEEDS = 5


def bench(
    *,
    study: StudyOptions = StudyOptions(),
    corpus: CorpusOptions = CorpusOptions(),
    nanogpt: NanoGPT = None,
) -> None:
    """Measure how fast this machine trains. Nothing else may be running."""
    if corpus.tokenizer != "characters":
        raise UserError(
            f"a benchmark is by character: TOKENIZER={corpus.tokenizer} is for training"
        )
    device, folder = study.local_device, study.folder
    corpus.prepare()
    prepare_corpus("tinyshakespeare", corpus.data)
    # The timed calls are of the study that is measured: a variable that chooses another one, as
    # PRECISION does, would make them train.
    for name in VARIABLES:
        os.environ.pop(name, None)
    program = [sys.executable, "-m", "experiments"]
    common = ["--profile", folder.name, "--device", device, "--results", str(study.results)]
    text = ["--corpus", corpus.corpus, "--data", str(corpus.data)]
    calls = [
        ("run, all done", [*program, "run", *common, *text]),
        ("report, all done", [*program, "report", *common]),
    ]
    measure(folder, corpus.data, device, corpus.corpus, calls, nanogpt)


def gpu_check(*, device: Device = "auto") -> int:
    """Check that the graphics card trains as promised: bits that repeat, resume, kernels, speed.

    On a processor the parts that need a card are skipped. The exit status is 1 if a check fails.
    """
    resolved = resolve_device(device)
    from experiments.benchmarks.gpu_check import Outcome, Place, run_checks

    print(f"checking {resolved}; this machine has {', '.join(devices_present())}")
    counts = dict.fromkeys(Outcome, 0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        text = folder / "words.txt"
        words = ("the ", "cat ", "sat\n", "on ", "a ", "mat. ")
        text.write_text("".join(random.Random(0).choices(words, k=20_000)))
        corpus = prepare_corpus(str(text), folder / "data")
        place = Place(resolved, slots(resolved, 1, 1)[0], corpus, folder)
        for check, result, seconds in run_checks(place):
            counts[result.outcome] += 1
            print(f"{result.outcome:8} {check.name} ({seconds:.0f} s): {result.detail}")
            if result.outcome == Outcome.FAILED:
                print(f"         what to do: {check.advice}")
    print(", ".join(f"{number} {outcome}" for outcome, number in counts.items()))
    return 1 if counts[Outcome.FAILED] else 0


def calibrate(
    *,
    device: Device = "auto",
    jobs: Jobs = None,
    seeds: Seeds = None,
    results: Results = Path("results"),
    data: Data = Path("data"),
) -> int:
    """Train nanoGPT's recipes for this machine, with five seeds each by default."""
    resolved = resolve_device(device)
    corpus, folder = prepare_corpus("tinyshakespeare", data), results / "calibration"
    specs = {
        (recipe.name, seed): calibration.spec_of(
            corpus, recipe.network, calibration.full_evaluation(recipe, corpus), seed
        )
        for recipe in calibration.PUBLISHED
        if recipe.device in (resolved, "cpu")  # a GPU can train a recipe for a processor
        for seed in range(seeds or _CALIBRATION_SEEDS)
    }
    labels = {spec.run_id: f"{name}, seed {seed}" for (name, seed), spec in specs.items()}
    with results_lock(folder):
        job = Job(corpus, folder, environment())
        train_apart(list(specs.values()), labels, job, slots(resolved, 1, jobs))
        rows = calibration.rows(specs, folder)
        write_table(folder, "calibration", rows)
    failed = [row for row in rows if row["status"] == "failed"]
    for row in failed:
        print(f"failed: {row['recipe']}, seed {row['seed']}: {row['reason']}")
    print(f"wrote {folder / 'calibration.parquet'}: `make report` shows it")
    return 1 if failed else 0
