"""Whole runs of published recipes through the study's runner, for the benchmark."""

import dataclasses
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.benchmarks.calibration import NANOGPT, NANOGPT_RECIPE
from experiments.data.corpus import Corpus
from experiments.profiles import PROFILES
from experiments.recipe import Recipe
from experiments.records.provenance import environment
from experiments.records.run_folder import RunFolder
from experiments.running.job import Job
from experiments.running.local import Local
from experiments.spec import RunSpec
from model import ModelConfig

Row = dict[str, Any]

_VOCABULARY = 65  # of Tiny Shakespeare
# Networks and recipes whose training step is measured.
SHAPES: dict[str, tuple[ModelConfig, Recipe]] = {
    "base of the study": (PROFILES["cpu"].base_model(_VOCABULARY), PROFILES["cpu"].recipe),
    "nanoGPT's recipe": (ModelConfig(vocab_size=_VOCABULARY, **NANOGPT), NANOGPT_RECIPE),
}

_ALL_WINDOWS = 10**6  # more than any split has
# nanoGPT's recipe, which ends at a loss of 1.88 by its README, and a recipe that is as good.
TO_QUALITY: dict[str, tuple[dict[str, Any], Recipe]] = {
    "nanoGPT's recipe": (
        NANOGPT,
        dataclasses.replace(NANOGPT_RECIPE, eval_every=2000, eval_windows=_ALL_WINDOWS),
    ),
    "LSTM of two layers, at ten times its learning rate": (
        NANOGPT | {"family": "lstm", "n_layers": 2},
        dataclasses.replace(
            NANOGPT_RECIPE,
            steps=650,
            learning_rate=1e-2,
            warmup_steps=65,
            eval_every=650,
            eval_windows=_ALL_WINDOWS,
        ),
    ),
}


def through_runner(
    specs: Sequence[RunSpec], corpus: Corpus, devices: Sequence[str]
) -> tuple[float, list[dict[str, Any]]]:
    """Train whole runs in worker processes, one per device at a time.

    Returns the seconds from the start of the first run to the end of the last run, and the
    summaries. The seconds of the first call include loading the modules that workers share.

    Raises:
        RuntimeError: a run failed or diverged.
    """
    with tempfile.TemporaryDirectory() as folder:
        job = Job(corpus, Path(folder), environment())
        began = time.perf_counter()
        for _ in Local().run(specs, job, devices):
            pass
        seconds = time.perf_counter() - began
        summaries = [RunFolder(job.results, spec.run_id).summary() or {} for spec in specs]
    for summary in summaries:
        if summary.get("status") != "done":
            raise RuntimeError(f"a run of the benchmark did not finish: {summary}")
    return seconds, summaries
