"""Where a run's files lie, and what state a run is in.

results/<profile>/runs/<run_id>/spec.json       the run, as planned
                                worker.json     while it is going on: the process that trains it
                                checkpoint*     while it is unfinished: where it goes on from
                                metrics.jsonl   one line per point of its curves, as it goes
                                probes/*.json   what each probe found
                                summary.json    written last: status, reason, final numbers, and
                                                checksums of the files above and of itself
                                log.txt         whatever the worker printed
                                model.safetensors  the weights, of a run by hand
results/<profile>/by-hand/                      runs by hand, in folders like these
results/<profile>/tracking/                     what a tracker is told
results/<profile>/damaged/                      run folders with a file that is not as written
results/<profile>/environments/<hash>.json      the versions of all packages, as runs name them
results/<profile>/calls.jsonl                   one line per call that trained something
"""

import contextlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import psutil

from experiments.files import (
    DamagedError,
    read_sealed,
    seal,
    sha256,
    unseal,
    unused_path,
    write_atomically,
    write_sealed,
)
from experiments.records.provenance import environment, packages
from experiments.spec import RunSpec

# A run that is over is done, diverged or failed, or its files are not what was written. One that is
# not over is in flight where a process is at it, and unfinished where none is any more.
Status = Literal["done", "diverged", "failed", "damaged", "in flight", "unfinished"]
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
        self.weights = self.path / "model.safetensors"  # of a run by hand

    def start(self, spec: RunSpec, made_by: Mapping[str, Any] | None = None) -> None:
        """Make the folder ready for a run, from its checkpoint where the same code, versions and
        kind of device made it, and else from its beginning: no run is half one, half another.

        Raises:
            DamagedError: the checkpoint is not as it was written.
        """
        (self.path / "summary.json").unlink(missing_ok=True)
        write_atomically(self.path / "spec.json", spec.to_json().encode())
        me = psutil.Process()
        worker = {"pid": me.pid, "began": me.create_time()}
        write_atomically(self.path / "worker.json", json.dumps(worker).encode())
        checkpoint = self.checkpoint()
        if checkpoint and checkpoint["notes"]["made_by"] != made_by:
            (self.path / "checkpoint.json").unlink()
            checkpoint = None
        if not checkpoint:  # of the last step, which is not made again
            self.weights.unlink(missing_ok=True)
        # What was recorded after it is recorded again.
        with self.metrics.open("ab") as metrics:
            metrics.truncate(checkpoint["notes"]["length"] if checkpoint else 0)

    def finish(self, summary: dict[str, Any]) -> None:
        """Write the summary; the run is over."""
        files = {str(file.relative_to(self.path)): _checksum(file) for file in self._sealed()}
        write_sealed(self.path / "summary.json", summary | {"files": files})
        (self.path / "worker.json").unlink(missing_ok=True)

    def summary(self) -> dict[str, Any] | None:
        """What `finish` wrote, or None for a run that is not over. Where a file of it is not as it
        was left: status "damaged", and which one.
        """
        file = self.path / "summary.json"
        if not file.exists():
            return None
        try:
            found = read_sealed(file)
            for name, checksum in found.pop("files").items():
                if _checksum(self.path / name) != checksum:
                    raise DamagedError(self.path / name)
        except DamagedError as damage:
            return {"status": "damaged", "reason": f"{damage.file.name} is not as it was written"}
        return found

    def checkpoint(self) -> dict[str, Any] | None:
        """What `checkpoint.json` says, where the run has one.

        Raises:
            DamagedError: it, what it names, or the points up to it are not as they were written.
        """
        file = self.path / "checkpoint.json"
        if not file.exists():
            return None
        found = read_sealed(file)
        points = self.metrics.read_bytes() if self.metrics.exists() else b""
        if _checksum(self.path / found["file"]) != found["sha256"]:
            raise DamagedError(self.path / found["file"])
        if sha256(points[: found["notes"]["length"]]) != found["notes"]["points"]:
            raise DamagedError(self.metrics)
        return found

    def damage(self) -> str:
        """Which file of the run is not as it was written; empty where all are."""
        for place in (self.path, *self.path.rglob("*")):
            if place.is_symlink():  # we make none: what is written there would be written elsewhere
                return f"{place.name} is a link"
        try:
            self.checkpoint()
        except DamagedError as damage:
            return f"{damage.file.name} is not as it was written"
        summary = self.summary() or {"status": ""}
        return str(summary["reason"]) if summary["status"] == "damaged" else ""

    def status(self) -> Status:
        """How the run stands."""
        summary = self.summary()
        if summary is not None:
            status: Status = summary["status"]
            return status
        return "in flight" if self.worker() else "unfinished"

    def set_aside(self) -> Path:
        """Move the folder out of the way, where nothing is lost. Returns where it is now."""
        aside = self.path.parent.parent / "damaged"
        aside.mkdir(exist_ok=True)
        place = unused_path(aside, self.path.name)
        os.replace(self.path, place)
        return place

    def finished(self, probes: Sequence[str] = ()) -> bool:
        """Whether the run needs no training any more, and has been looked at by these probes."""
        summary = self.summary()
        if summary is None or summary["status"] not in FINISHED:
            return False
        return summary["status"] != "done" or all(self.probe(name).exists() for name in probes)

    def probe(self, name: str) -> Path:
        """Where a probe's findings lie, rows by table."""
        return self.path / "probes" / f"{name}.json"

    def _sealed(self) -> list[Path]:
        """The files that are as they are to stay once the run is over."""
        probes = sorted(self.path.glob("probes/*.json"))
        files = [self.path / "spec.json", self.metrics, self.weights, *probes]
        return [file for file in files if file.exists()]

    def worker(self) -> psutil.Process | None:
        """The process that is at the run, if one is."""
        try:
            noted = json.loads((self.path / "worker.json").read_text())
            process = psutil.Process(noted["pid"])
            same = process.create_time() == noted["began"]  # and no later one of that number
        except (OSError, ValueError, KeyError, TypeError, psutil.Error):
            return None
        return process if same else None

    def end_worker(self) -> None:
        """End the process that is at the run, if one is: its study was killed before it."""
        if orphan := self.worker():
            with contextlib.suppress(psutil.NoSuchProcess):
                orphan.kill()
                orphan.wait()

    def found(self) -> list[dict[str, list[dict[str, Any]]]]:
        """What the probes found, rows by table; nothing yet of a run that is not over."""
        if not (self.path / "summary.json").exists():
            return []
        return [json.loads(file.read_text()) for file in sorted(self.path.glob("probes/*.json"))]

    def spec(self) -> RunSpec:
        """The run that this folder holds.

        Raises:
            ValueError, KeyError, TypeError: what it holds is no run of this version.
        """
        return RunSpec.from_json((self.path / "spec.json").read_text())

    def points(self) -> list[dict[str, Any]]:
        """The points of the curves for which a checksum stands: all of a run that is over, and of
        one that is not those up to its checkpoint.
        """
        content = self.metrics.read_bytes() if self.metrics.exists() else b""
        if not (self.path / "summary.json").exists():
            content = self._up_to_checkpoint(content)
        lines = content.splitlines(keepends=True)
        # A worker that was killed may have left its last line half written.
        return [json.loads(line) for line in lines if line.endswith(b"\n")]

    def _up_to_checkpoint(self, points: bytes) -> bytes:
        try:
            notes = read_sealed(self.path / "checkpoint.json")["notes"]
        except (DamagedError, FileNotFoundError):  # none yet
            return b""
        known = points[: notes["length"]]
        return known if sha256(known) == notes["points"] else b""


def record_environment(results: Path) -> None:
    """Leave the versions of all packages with the results, under the hash that runs have."""
    found = environment()
    content = {"packages": packages(), "python": found["python_version"]}
    file = results / "environments" / f"{found['environment']}.json"
    write_atomically(file, json.dumps(content, indent=2).encode())


def record_call(results: Path, **call: Any) -> None:
    """Note how a call that trained something spent its time."""
    with (results / "calls.jsonl").open("a") as file:
        file.write(json.dumps(seal(call)) + "\n")


def read_calls(results: Path) -> list[dict[str, Any]]:
    """What `note_call` noted, without lines that are not as it wrote them."""
    file = results / "calls.jsonl"
    lines = file.read_bytes().splitlines() if file.exists() else []
    return [call for call in map(unseal, lines) if call]


def _checksum(file: Path) -> str:
    return sha256(file.read_bytes()) if file.exists() else ""
