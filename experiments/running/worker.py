"""What a worker process does: one run, from its spec to its summary."""

import datetime
import json
import math
import os
import resource
import signal
import sys
import time
import traceback
from multiprocessing.connection import Connection
from typing import Any

import torch
import torch._dynamo  # optimisers import it at first use: two seconds, once here, not once a run
from torch import nn

from experiments.files import sha256, write_atomically
from experiments.probes.registry import PROBES, layers, of_layers
from experiments.probes.trained_model import ProbeTables, TrainedModel
from experiments.records.provenance import device_name
from experiments.records.run_folder import RunFolder
from experiments.running.job import Job
from experiments.spec import RunSpec
from experiments.training.checkpoint import Checkpoint, save_weights
from experiments.training.loop import train
from experiments.training.tasks import LanguageModelling, Task
from experiments.training.torch_setup import configure_torch


def work(spec: RunSpec, job: Job, device: str, progress: Connection) -> None:
    """Train `spec` on `device` ("cpu", "cuda:0", …) and leave its folder finished.

    Where an earlier process left a checkpoint, it goes on from there. Sends (step, loss, tokens per
    second) for every training point. Whatever goes wrong in the run is written into its summary as
    "failed"; where not even that can be written, the process ends.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    configure_torch()
    folder, environment = RunFolder(job.results, spec.run_id), job.environment
    kind = device.partition(":")[0]
    made_by = {"device": kind} | {name: environment.get(name) for name in ("code", "environment")}
    try:
        folder.start(spec, made_by)
    except OSError:
        sys.exit(1)  # a disk that takes nothing: the parent meets it as well, and says so once
    started = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
    began = time.perf_counter()
    observer = Observer(spec, folder, job.keep_weights)
    with folder.log.open("a") as log, folder.metrics.open("a") as metrics:
        os.dup2(log.fileno(), sys.stdout.fileno())
        os.dup2(log.fileno(), sys.stderr.fileno())

        def record(**point: float | str) -> None:
            metrics.write(json.dumps({name: finite(value) for name, value in point.items()}) + "\n")
            metrics.flush()
            if point["split"] == "train":
                speed = float(point["tokens"]) / max(float(point["seconds"]), 1e-9)
                progress.send((point["step"], point["loss"], speed))

        def noted() -> dict[str, Any]:
            os.fsync(metrics.fileno())
            points = folder.metrics.read_bytes()
            return {
                "made_by": made_by,
                "points": sha256(points),
                "length": len(points),
                "layers": observer.layers,
                "probe_seconds": observer.seconds,
                "wall_seconds": time.perf_counter() - began,
            }

        try:
            found = folder.checkpoint()
            if found:
                before = found["notes"]
                observer.layers, observer.seconds = before["layers"], before["probe_seconds"]
                began -= before["wall_seconds"]
            checkpoint = Checkpoint(folder.path, found, job.checkpoint_seconds, noted)
            summary = train(spec, job.corpus, torch.device(device), record, observer, checkpoint)
            checkpoint.remove()
        except BrokenPipeError:
            sys.exit(1)  # the parent is gone
        except Exception as error:
            traceback.print_exc()
            summary = {"status": "failed", "reason": reason(error)}
    folder.finish(
        summary
        | environment
        | {
            "device": kind,
            "device_name": device_name(device),
            "threads": torch.get_num_threads(),
            "peak_memory": peak_memory(torch.device(device)),
            "started": started,
            "probe_seconds": observer.seconds,
            "wall_seconds": time.perf_counter() - began,
        }
    )


class Observer:
    """Runs a run's probes, and leaves what they find in its folder; and the weights, if asked."""

    def __init__(self, spec: RunSpec, folder: RunFolder, keep_weights: bool = False) -> None:
        self.spec, self.folder, self.keep_weights = spec, folder, keep_weights
        self.layers: list[dict[str, Any]] = []
        self.seconds = 0.0

    def __call__(self, step: int, model: nn.Module, task: Task) -> None:
        """At every evaluation: follow the layers; at the last one, all else."""
        began = time.perf_counter()
        self._look(step, model, task)
        self.seconds += time.perf_counter() - began

    def _look(self, step: int, model: nn.Module, task: Task) -> None:
        last = step == self.spec.recipe.steps
        if last and self.keep_weights:
            save_weights(model, self.folder.weights)
        if not isinstance(task, LanguageModelling):
            return
        for name in self.spec.probes:
            if name == "layers":
                self.layers += layers(model, step, task.training(0))
                if last:
                    self._leave(name, of_layers(self.layers))
            elif last:
                self._leave(name, PROBES[name](TrainedModel(model, self.spec, task)))

    def _leave(self, name: str, found: ProbeTables) -> None:
        rows = {
            table: [{key: finite(value) for key, value in row.items()} for row in rows]
            for table, rows in found.items()
        }
        write_atomically(self.folder.probe(name), json.dumps(rows, allow_nan=False).encode())


def finite(value: Any) -> Any:
    """The value, or None for a number that JSON has no word for."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def reason(error: BaseException) -> str:
    """Why a run failed, on one line: an error's type and message."""
    said = " ".join(f"{type(error).__name__}: {error}".split())
    if isinstance(error, torch.OutOfMemoryError):
        return f"out of memory: fewer runs at once (SLOTS_PER_GPU) leave more to each. {said}"
    if isinstance(error, MemoryError) or "can't allocate memory" in said:  # torch's, on processors
        return f"out of memory: fewer runs at once (JOBS) leave more to each. {said}"
    return said


def peak_memory(device: torch.device) -> int:
    """The most bytes this process has held: of the graphics card's memory, or of the machine's."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
