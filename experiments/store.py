"""Where a run's files lie, and what state a run is in.

results/<profile>/runs/<run_id>/spec.json       the run, as planned
                                metrics.jsonl   one line per point of its curves, as it goes
                                probes/*.json   what each probe found
                                summary.json    written last: status, reason, final numbers
                                log.txt         whatever the worker printed
results/<profile>/calls.jsonl                   one line per call that trained something
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from experiments.files import write_atomically
from experiments.spec import RunSpec

Status = Literal["done", "diverged", "failed"]
MEASURED = (
    "identities",
    "theory",
    "encodings",
    "costs",
    "bench",
)  # tables of what is apart from any run
FINISHED = ("done", "diverged")  # a run that diverged has its answer; one that failed has none


class RunFolder:
    """The files of one run."""

    def __init__(self, results: Path, run_id: str) -> None:
        self.path = results / "runs" / run_id
        self.metrics = self.path / "metrics.jsonl"
        self.log = self.path / "log.txt"

    def start(self, spec: RunSpec) -> None:
        """Make the folder ready for a run from its beginning."""
        (self.path / "summary.json").unlink(missing_ok=True)
        write_atomically(self.path / "spec.json", spec.to_json().encode())
        self.metrics.write_bytes(b"")

    def finish(self, summary: dict[str, Any]) -> None:
        """Write the summary; the run is over."""
        content = json.dumps(summary, indent=2, sort_keys=True, allow_nan=False)
        write_atomically(self.path / "summary.json", content.encode())

    def summary(self) -> dict[str, Any] | None:
        """What `finish` wrote, or None for a run that is not over."""
        file = self.path / "summary.json"
        found: dict[str, Any] | None = json.loads(file.read_text()) if file.exists() else None
        return found

    def finished(self, probes: Sequence[str] = ()) -> bool:
        """Whether the run needs no training any more, and has been looked at by these probes."""
        summary = self.summary()
        if summary is None or summary["status"] not in FINISHED:
            return False
        return summary["status"] != "done" or all(self.probe(name).exists() for name in probes)

    def probe(self, name: str) -> Path:
        """Where a probe's findings lie, rows by table."""
        return self.path / "probes" / f"{name}.json"

    def found(self) -> list[dict[str, list[dict[str, Any]]]]:
        """What the probes found, rows by table."""
        return [json.loads(file.read_text()) for file in sorted(self.path.glob("probes/*.json"))]

    def spec(self) -> RunSpec:
        """The run that this folder holds."""
        return RunSpec.from_json((self.path / "spec.json").read_text())

    def points(self) -> list[dict[str, Any]]:
        """The points of the curves."""
        return _lines(self.metrics)


def note_call(results: Path, **call: Any) -> None:
    """Note how a call that trained something spent its time."""
    with (results / "calls.jsonl").open("a") as file:
        file.write(json.dumps(call) + "\n")


def calls(results: Path) -> list[dict[str, Any]]:
    """What `note_call` noted."""
    return _lines(results / "calls.jsonl")


def _lines(file: Path) -> list[dict[str, Any]]:
    """A file's lines, but for the last where it was cut short."""
    lines = file.read_text().splitlines(keepends=True) if file.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]
