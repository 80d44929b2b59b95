"""Helpers that tests of several rooms share. Imports no torch."""

import math
import os
import random
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

from experiments.ablation import Ablation, Claim, Trains, Variant
from experiments.cli.options import VARIABLES
from experiments.planning.plan import Plan
from experiments.records.run_folder import RunFolder
from experiments.records.study import Study
from experiments.spec import RunSpec

ROOT = Path(__file__).parent.parent
# Everything that differs between two trainings of a run on one machine.
TIMED = {
    "started",
    "seconds",
    "train_seconds",
    "tokens_per_second",
    "wall_seconds",
    "compile_seconds",
    "evaluation_seconds",
    "probe_seconds",
    "checkpoint_seconds",
    "peak_memory",
}
DAMAGES = ("cut", "flipped", "empty", "gone")


def words() -> str:
    """A text of words in random order, the same on every machine. A network can learn from it."""
    vocabulary = ["the ", "cat ", "sat\n", "on ", "a ", "mat. "]
    return "".join(random.Random(0).choices(vocabulary, k=5000))


def clean_environment() -> dict[str, str]:
    """The environment of this process, without variables that set options."""
    return {name: value for name, value in os.environ.items() if name not in VARIABLES}


def arguments(folder: Path, *words: str) -> list[str]:
    """The command line of a call with results and data in the folder."""
    where = ["--results", str(folder / "results")]
    if words[0] == "new-ablation":  # takes no folders
        where = []
    if words[0] in (
        "run",
        "work",
        "submit",
        "deeper",
        "decide",
        "retry",
        "verify",
        "bench",
        "train",
        "sample",
        "evaluate",
    ):
        where += ["--data", str(folder / "data")]
    return [sys.executable, "-m", "experiments", *words, *where]


def call(
    folder: Path, *words: str, before: Sequence[str] = (), **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the program to its end, in a process of its own."""
    return subprocess.run(
        [*before, *arguments(folder, *words)],
        cwd=ROOT,
        env=clean_environment() | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def timeless(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a row or a summary that are the same in every training."""
    return {name: value for name, value in values.items() if name not in TIMED}


def flipped(content: bytes, place: int, bit: int = 1) -> bytes:
    """The content with one bit flipped."""
    changed = bytearray(content)
    changed[place] ^= bit
    return bytes(changed)


def damage(file: Path, how: str) -> None:
    """Damage a file in one of the ways in DAMAGES."""
    content = file.read_bytes()
    middle = len(content) // 2
    if how == "gone":
        file.unlink()
    else:
        left = {"cut": content[:middle], "flipped": flipped(content, middle), "empty": b""}
        file.write_bytes(left[how])


def leave_finished(
    results: Path,
    spec: RunSpec,
    *,
    metrics: str = "",
    probes: Mapping[str, str] | None = None,
    **summary: Any,
) -> RunFolder:
    """Write a run folder as a worker leaves it, without training. By default no probe has rows."""
    folder = RunFolder(results, spec.run_id)
    folder.start(spec)
    folder.metrics.write_text(metrics)
    for name, rows in (dict.fromkeys(spec.probes, "{}") if probes is None else probes).items():
        folder.probe(name).parent.mkdir(exist_ok=True)
        folder.probe(name).write_text(rows)
    folder.finish({"status": "done", "val_loss": 1.0} | summary)
    return folder


def leave_tuned(results: Path, study: Study, only: list[str] | None = None) -> Plan:
    """Leave all trials of a study finished, as if the rates in the files were the best. Returns the
    plan that follows.
    """
    while True:
        plan = study.plan(results, only)
        left = [each for each in plan.trials if not RunFolder(results, each.spec.run_id).finished()]
        if not left:
            return plan
        with patch("os.fsync"):  # these files need not survive a crash
            for trial in left:
                loss = 0.5 + 0.1 * abs(math.log2(trial.rate or 1))
                leave_finished(results, trial.spec, val_loss=loss, hardware="planted")


def planted(
    *variants: Variant, arms: Sequence[str] = (), margin: float = 0.1, **fields: Any
) -> Ablation:
    """An ablation whose baseline is the first variant, with a claim that weighs the arms."""
    claim = Claim(
        id="planted",
        sentence="It is so.",
        said_by="somebody",
        effect=dict.fromkeys(arms or ["none"], 1.0),
        margin=margin,
        why_margin="a test",
        requires=[Trains(arm) for arm in arms or ["none"]],
    )
    values: dict[str, Any] = {"title": "", "question": "", "baseline": variants[0].name}
    values |= {"variants": variants, "claims": [claim] if arms else []}
    return Ablation(**values | fields)
