"""Run folders: the files of each run, and the state that a run is in.

results/<profile>/runs/<run_id>/spec.json       the run as planned
                                worker.json     the process that trains the run, while it trains
                                checkpoint*     state to resume from, while the run is unfinished
                                metrics.jsonl   one line per point of the curves, as they arise
                                probes/*.json   the rows of each probe, by table
                                summary.json    written last: status, reason, final numbers, and
                                                checksums of the other files and of itself
                                log.txt         everything that the worker printed
                                model.safetensors  the weights, only of a single run
results/<profile>/workers/, leases/             the processes that share the runs: see `leases.py`
results/submitted/                              jobs of a batch system, and what they print
results/<profile>/by-hand/                      single runs, in folders like these
results/<profile>/tracking/                     what trackers were sent
results/<profile>/damaged/                      run folders and tables that cannot be read
results/<profile>/environments/<hash>.json      the package versions of an environment
results/<profile>/calls.jsonl                   one line per command that trained something
results/<profile>/seals.jsonl                   one line per claim, as it was before its first run
"""

import contextlib
import json
import os
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

import psutil

from experiments.errors import UserError
from experiments.files import (
    DamagedError,
    flush,
    make_folder,
    open_unlinked,
    read_sealed,
    sha256,
    unused_path,
    write_atomically,
    write_sealed,
)
from experiments.spec import RunSpec, own_probe

# Tables that are measured without the runs of the study.
MEASURED = ("identities", "theory", "encodings", "costs", "bench", "verified", "second")


class Status(StrEnum):
    """The state of a run."""

    DONE = "done"
    DIVERGED = "diverged"
    FAILED = "failed"
    DAMAGED = "damaged"  # the run is over, and a file is not as it was written
    IN_FLIGHT = "in flight"  # a process is training the run
    UNFINISHED = "unfinished"  # the run is not over, and no process is training it


# A diverged run has a result: the divergence. A failed run has none.
FINISHED = (Status.DONE, Status.DIVERGED)


class RunFolder:
    """The files of one run."""

    def __init__(self, results: Path, run_id: str) -> None:
        self.path = results / "runs" / run_id
        self.metrics = self.path / "metrics.jsonl"
        self.log = self.path / "log.txt"
        self.weights = self.path / "model.safetensors"

    def start(self, spec: RunSpec, made_by: Mapping[str, Any] | None = None) -> None:
        """Prepare the folder for a run.

        The run resumes from its checkpoint if the same code, versions and kind of device made the
        checkpoint. Otherwise the run starts from the beginning, so that no run mixes two versions.

        Args:
            spec: the run.
            made_by: code, versions and kind of device that are about to train.

        Raises:
            DamagedError: the checkpoint is not as it was written.
        """
        (self.path / "summary.json").unlink(missing_ok=True)
        write_atomically(self.path / "spec.json", spec.to_json().encode())
        worker = {"pid": os.getpid(), "began": process_start(os.getpid())}
        write_atomically(self.path / "worker.json", json.dumps(worker).encode())
        checkpoint = self.checkpoint()
        if checkpoint and checkpoint["notes"]["made_by"] != made_by:
            (self.path / "checkpoint.json").unlink()
            checkpoint = None
        if not checkpoint:  # weights are written at the last step, which is then trained again
            self.weights.unlink(missing_ok=True)
        measured = {own_probe(name) for name in spec.probes}
        for file in self.path.glob("probes/*@*.json"):
            name = file.name.removesuffix(".json")
            if name not in spec.probes and own_probe(name) in measured:  # edited since
                file.unlink()
        # Points after the checkpoint are recorded again.
        with open_unlinked(self.metrics, "ab") as metrics:
            metrics.truncate(checkpoint["notes"]["length"] if checkpoint else 0)

    def finish(self, summary: dict[str, Any]) -> None:
        """Write the summary. The run is over."""
        if self.metrics.exists():  # the other files are flushed as they are written
            flush(self.metrics)
        files = {str(file.relative_to(self.path)): _checksum(file) for file in self._sealed()}
        write_sealed(self.path / "summary.json", summary | {"files": files})
        (self.path / "worker.json").unlink(missing_ok=True)

    def summary(self) -> dict[str, Any] | None:
        """The summary that `finish` wrote, or None if the run is not over.

        If a file of the run is not as it was written, the status is "damaged" and the reason names
        the file.
        """
        try:
            summary = read_sealed(self.path / "summary.json")
        except FileNotFoundError:  # or another process that shares the runs trains it again
            return None
        except DamagedError as damage:
            return {"status": Status.DAMAGED, "reason": _describe(damage)}
        try:
            for name, checksum in summary.pop("files").items():
                if _checksum(self.path / name) != checksum:
                    raise DamagedError(self.path / name)
        except DamagedError as damage:
            return {"status": Status.DAMAGED, "reason": _describe(damage)}
        return summary

    def checkpoint(self) -> dict[str, Any] | None:
        """The content of `checkpoint.json`, or None if the run has no checkpoint.

        Raises:
            DamagedError: `checkpoint.json`, the file that it names, or the points of the curves up
                to the checkpoint are not as they were written.
        """
        file = self.path / "checkpoint.json"
        if not file.exists():
            return None
        checkpoint = read_sealed(file)
        if _checksum(self.path / checkpoint["file"]) != checkpoint["sha256"]:
            raise DamagedError(self.path / checkpoint["file"])
        points = self.metrics.read_bytes() if self.metrics.exists() else b""
        if sha256(points[: checkpoint["notes"]["length"]]) != checkpoint["notes"]["points"]:
            raise DamagedError(self.metrics)
        return checkpoint

    def damage(self) -> str:
        """A sentence about a file that is not as it was written; empty if there is none."""
        for path in (self.path, *self.path.rglob("*")):
            if path.is_symlink():  # writing through a link would change a file elsewhere
                return f"{path.name} is a link"
        try:
            self.checkpoint()
        except DamagedError as damage:
            return _describe(damage)
        summary = self.summary() or {"status": ""}
        return str(summary["reason"]) if summary["status"] == Status.DAMAGED else ""

    def status(self) -> Status:
        """The state of the run."""
        if (summary := self.summary()) is not None:
            return Status(summary["status"])
        return Status.IN_FLIGHT if self.worker() else Status.UNFINISHED

    def set_aside(self) -> Path:
        """Move the folder to the folder `damaged`, and return the path there."""
        damaged = self.path.parent.parent / "damaged"
        make_folder(damaged)
        path = unused_path(damaged, self.path.name)
        os.replace(self.path, path)
        return path

    def finished(self, probes: Sequence[str] = ()) -> bool:
        """Whether the run has a result, and rows of all these probes unless it diverged."""
        summary = self.summary()
        if summary is None or summary["status"] not in FINISHED:
            return False
        probed = all(self.probe(name).exists() for name in probes)
        return probed or summary["status"] == Status.DIVERGED

    def forget_failure(self) -> None:
        """Delete the summary of a failed run, which is about to be trained again."""
        if self.status() == Status.FAILED:
            (self.path / "summary.json").unlink()

    def probe(self, name: str) -> Path:
        """The file with the rows of a probe, by table.

        Raises:
            UserError: the name is none of a file, such as one in another folder.
        """
        if Path(name).name != name:
            raise UserError(f"'{name}' is no name of a probe")
        return self.path / "probes" / f"{name}.json"

    def worker(self) -> psutil.Process | None:
        """The process that is training the run, or None."""
        try:
            worker = json.loads((self.path / "worker.json").read_text())
            # A later process may have been given the same number.
            same = process_start(worker["pid"]) == worker["began"]
            return psutil.Process(worker["pid"]) if same else None
        except (OSError, ValueError, KeyError, TypeError, psutil.Error):
            return None

    def end_worker(self) -> None:
        """Kill the process that is training the run, if there is one.

        A worker is left over when its study is killed first.
        """
        if worker := self.worker():
            with contextlib.suppress(psutil.NoSuchProcess):
                worker.kill()
                worker.wait(timeout=60)

    def probe_tables(self) -> dict[str, dict[str, list[dict[str, Any]]]]:
        """The rows by probe and table; empty while the run is not over."""
        if not (self.path / "summary.json").exists():
            return {}
        files = sorted(self.path.glob("probes/*.json"))
        return {file.name.removesuffix(".json"): json.loads(file.read_text()) for file in files}

    def spec(self) -> RunSpec:
        """The run that the folder holds.

        Raises:
            ValueError, KeyError, TypeError: the folder holds no run of this version.
        """
        return RunSpec.from_json((self.path / "spec.json").read_text())

    def points(self) -> list[dict[str, Any]]:
        """The points of the curves that a checksum covers.

        These are all points of a run that is over, and the points up to the checkpoint otherwise.
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
        except (DamagedError, FileNotFoundError):
            return b""
        covered = points[: notes["length"]]
        return covered if sha256(covered) == notes["points"] else b""

    def _sealed(self) -> list[Path]:
        """The files that must not change once the run is over."""
        probes = sorted(self.path.glob("probes/*.json"))
        files = [self.path / "spec.json", self.metrics, self.weights, *probes]
        return [file for file in files if file.exists()]


def process_start(pid: int) -> float | None:
    """When a process started, in units that differ between systems; None if it has ended.

    On Linux the units are ticks since the boot. Seconds since 1970 would change with the clock.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] == "Z" else float(fields[19])
    except FileNotFoundError:
        pass
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.Error:
        return None


def _describe(damage: DamagedError) -> str:
    return f"{damage.file.name} is not as it was written"


def _checksum(file: Path) -> str:
    try:
        return sha256(file.read_bytes())
    except FileNotFoundError:
        return ""
