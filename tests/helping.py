"""What the tests of several rooms share, beside the fixtures. Loads no torch."""

import os
import random
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.cli.options import VARIABLES
from experiments.records.run_folder import RunFolder
from experiments.spec import RunSpec

ROOT = Path(__file__).parent.parent
# What differs between two trainings of the same run on the same machine, and nothing else does.
TIMED = {
    *("started", "seconds", "train_seconds", "tokens_per_second", "wall_seconds"),
    *("probe_seconds", "peak_memory"),
}
DAMAGES = ("cut", "flipped", "empty", "gone")


def words() -> str:
    """Words in random order: enough structure to learn, the same on every machine."""
    chosen = random.Random(0).choices(["the ", "cat ", "sat\n", "on ", "a ", "mat. "], k=5000)
    return "".join(chosen)


def clean_environment() -> dict[str, str]:
    """Ours, without what a user may have chosen in it."""
    return {name: value for name, value in os.environ.items() if name not in VARIABLES}


def arguments(folder: Path, *words: str) -> list[str]:
    """The program's own, whose results and data lie in that folder."""
    where = ["--results", str(folder / "results")]
    if words[0] == "new-ablation":  # it writes no results
        where = []
    if words[0] in ("run", "retry", "verify", "bench", "train", "sample", "evaluate"):
        where += ["--data", str(folder / "data")]
    return [sys.executable, "-m", "experiments", *words, *where]


def call(
    folder: Path, *words: str, before: Sequence[str] = (), **environment: str
) -> subprocess.CompletedProcess[str]:
    """The program, run to its end."""
    return subprocess.run(
        [*before, *arguments(folder, *words)],
        cwd=ROOT,
        env=clean_environment() | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def timeless(values: Mapping[str, Any]) -> dict[str, Any]:
    """All of a row or a summary that comes out the same again."""
    return {name: value for name, value in values.items() if name not in TIMED}


def flipped(content: bytes, place: int, bit: int = 1) -> bytes:
    """The same but for one bit."""
    changed = bytearray(content)
    changed[place] ^= bit
    return bytes(changed)


def damage(file: Path, how: str) -> None:
    """Leave a file as one of DAMAGES says."""
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
    """A run's folder as a worker leaves it, with no training: what its probes found is nothing."""
    folder = RunFolder(results, spec.run_id)
    folder.start(spec)
    folder.metrics.write_text(metrics)
    for name, found in (dict.fromkeys(spec.probes, "{}") if probes is None else probes).items():
        folder.probe(name).parent.mkdir(exist_ok=True)
        folder.probe(name).write_text(found)
    folder.finish({"status": "done", "val_loss": 1.0} | summary)
    return folder
