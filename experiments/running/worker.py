"""A worker process: carries out one run, from its spec to its summary."""

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
import torch._dynamo  # optimizers import it at first use: 2 s, here once for all forked workers

from experiments.errors import printable
from experiments.files import open_unlinked, sha256, write_atomically
from experiments.probes import own
from experiments.probes.layers import layer_measures, layers
from experiments.probes.registry import PROBES
from experiments.probes.trained_model import ProbeTables, TrainedModel
from experiments.records.provenance import device_name
from experiments.records.run_folder import RunFolder
from experiments.running.job import Job
from experiments.running.leases import holder
from experiments.spec import RunSpec, own_probe
from experiments.training.backends import attention_backend
from experiments.training.checkpoint import Checkpoint, save_weights
from experiments.training.counting import count
from experiments.training.evaluate import Scores, divergence, final_scores
from experiments.training.events import End, Evaluation, Event, TrainingPoint, TrainingState
from experiments.training.loop import train
from experiments.training.own_parts import check_own_parts
from experiments.training.tasks import LanguageModelling, Task, build_task
from experiments.training.torch_setup import configure_torch


def work(spec: RunSpec, job: Job, device: str, progress: Connection) -> None:
    """Carry out a run on `device` ("cpu", "cuda:0", …) and leave its run folder finished.

    The run goes on from the checkpoint in its folder, if there is one. For every training point
    (step, loss, tokens per second) is sent to `progress`. An error in the run becomes a summary
    with status "failed". A worker that cannot write its folder, or whose run another process has
    taken over, exits with status 1.
    """
    for ending in (signal.SIGINT, signal.SIGTERM):  # of a batch system, to all processes of a job
        signal.signal(ending, signal.SIG_IGN)  # the parent handles it, and ends this process
    configure_torch()
    folder = RunFolder(job.results, spec.run_id)
    kind = device.partition(":")[0]
    made_by = {name: job.environment.get(name) for name in ("code", "environment")}
    made_by["device"] = kind
    stop_if_taken_over(spec, job)
    try:
        folder.start(spec, made_by)
        log = open_unlinked(folder.log, "ab")
    except OSError:
        sys.exit(1)  # the parent meets the same full or read-only disk, and reports it once
    started = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
    recorder = Recorder(spec, job, folder, made_by, progress)
    with log:
        os.dup2(log.fileno(), sys.stdout.fileno())
        os.dup2(log.fileno(), sys.stderr.fileno())
        try:
            summary = recorder.run(torch.device(device))
        except BrokenPipeError:
            sys.exit(1)  # the parent is gone
        except Exception as error:
            traceback.print_exc()
            summary = {"status": "failed", "reason": failure_reason(error)}
    stop_if_taken_over(spec, job)
    folder.finish(
        summary
        | job.environment
        | {
            "device": kind,
            "device_name": device_name(device),
            "threads": torch.get_num_threads(),
            "runs_per_card": job.slots_per_gpu if kind == "cuda" else None,
            "float32_products": torch.get_float32_matmul_precision(),
            "peak_memory": peak_memory(torch.device(device)),
            "started": started,
            **recorder.seconds,
            "wall_seconds": recorder.wall_seconds,
        }
    )


def stop_if_taken_over(spec: RunSpec, job: Job) -> None:
    """Exit if another process has taken over the run, so that only one writes its folder.

    This happens to a process that was stopped for so long that it was taken for dead.
    """
    if job.member and holder(job.results, spec.run_id) != job.member:
        sys.exit(1)


class Recorder:
    """Writes what a training yields into the run folder: curve points, probe tables, checkpoints.

    made_by: code, package versions and kind of device; a checkpoint made by others is not used.
    """

    def __init__(
        self,
        spec: RunSpec,
        job: Job,
        folder: RunFolder,
        made_by: dict[str, Any],
        progress: Connection,
    ) -> None:
        self.spec, self.job, self.folder, self.made_by = spec, job, folder, made_by
        self.progress = progress
        self.layer_rows: list[dict[str, Any]] = []
        self.seconds = {"probe_seconds": 0.0, "checkpoint_seconds": 0.0}
        self.began = time.perf_counter()

    @property
    def wall_seconds(self) -> float:
        """Seconds that the run has taken, those before its checkpoint included."""
        return time.perf_counter() - self.began

    def run(self, device: torch.device) -> dict[str, Any]:
        """Train, probe and evaluate the run's network. Returns the run's summary."""
        state = TrainingState.initial(self.spec, device)
        task = build_task(self.spec, self.job.corpus, device)
        check_own_parts(self.spec, task, state.model)
        own.check_own_probes(self.spec, task, state.model)
        checkpoint = Checkpoint(self.folder.path, self.job.checkpoint_seconds)
        if facts := self.folder.checkpoint():
            checkpoint.restore(facts, state)
            self.layer_rows = facts["notes"]["layers"]
            self.seconds = facts["notes"]["seconds"]
            self.began -= facts["notes"]["wall_seconds"]
        fit = count if self.spec.model.family == "bigram" else train
        stopped_early = ""
        final: Scores | None = None
        for event in fit(self.spec, task, state):
            stop_if_taken_over(self.spec, self.job)
            match event:
                case TrainingPoint():
                    self.write_point(event, "train")
                    speed = event.step * self.spec.tokens_per_step / max(event.seconds, 1e-9)
                    self.progress.send((event.step, event.loss, speed))
                case Evaluation():
                    self.write_point(event, "val")
                    if event.step == self.spec.recipe.steps:
                        final = Scores(event.loss, event.accuracy, event.exact_match)
                    self.probe(state, task)
                    if event.step and checkpoint.due:
                        stop_if_taken_over(self.spec, self.job)
                        began = time.perf_counter()
                        checkpoint.save(state, self.checkpoint_notes())
                        self.seconds["checkpoint_seconds"] += time.perf_counter() - began
                case End():
                    stopped_early = event.divergence
        summary = self.summarise(state, task, stopped_early, final)
        checkpoint.remove()
        return summary

    def write_point(self, event: Event, split: str) -> None:
        """Append a point of the curves to the run's metrics."""
        point = {"step": event.step, "tokens": event.step * self.spec.tokens_per_step}
        point |= vars(event) | {"split": split}
        line = json.dumps({name: finite(value) for name, value in point.items()}) + "\n"
        with open_unlinked(self.folder.metrics, "ab") as metrics:
            metrics.write(line.encode())

    def checkpoint_notes(self) -> dict[str, Any]:
        """Facts stored with a checkpoint, the checksum of the points so far among them."""
        with self.folder.metrics.open("rb") as metrics:
            os.fsync(metrics.fileno())
            points = metrics.read()
        return {
            "made_by": self.made_by,
            "points": sha256(points),
            "length": len(points),
            "layers": self.layer_rows,
            "seconds": self.seconds,
            "wall_seconds": self.wall_seconds,
        }

    def probe(self, state: TrainingState, task: Task) -> None:
        """Run the spec's probes: `layers` at every evaluation, the others at the last one."""
        began = time.perf_counter()
        last = state.step == self.spec.recipe.steps
        if last and self.job.keep_weights:
            save_weights(state.model, self.folder.weights)
        for name in self.spec.probes:
            if own_probe(name):
                if last:
                    self.write_probe(name, own.measure(name, state.model, self.spec, task))
                continue
            assert isinstance(task, LanguageModelling)  # a spec refuses others for built-in probes
            if name == "layers":
                self.layer_rows += layers(state.model, state.step, task.training(0))
                if last:
                    rows = {"layers": self.layer_rows, "measures": layer_measures(self.layer_rows)}
                    self.write_probe(name, rows)
            elif last:
                self.write_probe(name, PROBES[name](TrainedModel(state.model, self.spec, task)))
        self.seconds["probe_seconds"] += time.perf_counter() - began

    def write_probe(self, name: str, tables: ProbeTables) -> None:
        """Write the tables of a probe into the run folder."""
        rows = {
            table: [{key: finite(value) for key, value in row.items()} for row in rows]
            for table, rows in tables.items()
        }
        write_atomically(self.folder.probe(name), json.dumps(rows, allow_nan=False).encode())

    def summarise(
        self, state: TrainingState, task: Task, reason: str, final: Scores | None
    ) -> dict[str, Any]:
        """The run's summary: status, reason, scores and speed.

        reason: why the training diverged; empty if it reached its last step. A diverged run has no
        scores.
        final: scores on the validation split after the last step, if they are known.
        """
        scores: dict[str, float] = {}
        if not reason:
            began = time.perf_counter()
            scores = final_scores(self.spec, task, state.model, final)
            state.evaluation_seconds += time.perf_counter() - began
            reason = divergence(self.spec, scores.get("val_loss", math.nan))
        tokens = state.step * self.spec.tokens_per_step
        return {
            "status": "diverged" if reason else "done",
            "reason": reason,
            "parameters": sum(parameter.numel() for parameter in state.model.parameters()),
            "steps": state.step,
            "tokens": tokens,
            "train_seconds": state.seconds,
            "compile_seconds": state.compile_seconds,
            "evaluation_seconds": state.evaluation_seconds,
            "tokens_per_second": tokens / state.seconds,
            "attention_backend": attention_backend(
                state.model, task.training(0), self.spec.recipe.precision
            ),
        } | ({} if reason else scores)


def finite(value: Any) -> Any:
    """The value, or None for a number that JSON cannot hold."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def failure_reason(error: BaseException) -> str:
    """The type and message of an error on one line, with a hint if memory ran out."""
    text = " ".join(printable(f"{type(error).__name__}: {error}").split())
    if isinstance(error, torch.OutOfMemoryError):
        return f"out of memory: fewer runs at once (SLOTS_PER_GPU) leave more to each. {text}"
    # torch raises a RuntimeError when the memory of the machine runs out
    if isinstance(error, MemoryError) or "can't allocate memory" in text:
        return f"out of memory: fewer runs at once (JOBS) leave more to each. {text}"
    return text


def peak_memory(device: torch.device) -> int:
    """Most bytes that this process has held, on the GPU or else in the machine's memory."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
