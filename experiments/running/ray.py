"""Runs spread over a Ray cluster: `EXECUTOR=ray`, at `RAY_ADDRESS` or on a head of our own.

A task per run: it trains through the local executor on whatever node Ray puts it, so that a worker
that fails, hangs or is killed there is handled, and told of, as it is here. Where the node itself
is lost, Ray tries the task again, and the run goes on from its checkpoint: the nodes share the
results and data folders, and have the same packages.
"""

import logging
import os
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from typing import Any

import ray
from ray.util.queue import Empty, Queue
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from experiments.errors import UserError
from experiments.records.provenance import machine
from experiments.records.run_folder import RunFolder
from experiments.running.job import Job
from experiments.running.local import Event, Finished, Progress, run_local
from experiments.spec import RunSpec

_RETRIES = 3  # after which a run whose nodes are lost is given up, until the next call
_ARRIVAL = 5.0  # seconds that a file of another node may take to be seen here
_PATIENCE = 0.2  # seconds between two looks at what runs have told
_PROGRESS = 1.0  # seconds, at least, between two words of a run: a driver may have thousands


class Ray:
    """The executor "ray"."""

    def __init__(self) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would use the network
        if not ray.is_initialized():
            try:
                ray.init(log_to_driver=False, logging_level=logging.ERROR, include_dashboard=False)
            except (OSError, RuntimeError, ValueError) as error:
                where = (
                    f" at RAY_ADDRESS={address}"
                    if (address := os.environ.get("RAY_ADDRESS"))
                    else ""
                )
                raise UserError(f"Ray cannot be reached{where}: {error}") from None

    def resolve_device(self, wanted: str) -> str:
        """What the cluster has, and not what this machine has."""
        if wanted == "auto":
            return "cuda" if ray.cluster_resources().get("GPU") else "cpu"
        if wanted not in ("cuda", "cpu"):
            raise UserError(f"device '{wanted}' is not for a cluster: there are cuda, cpu")
        return wanted

    def slots(self, device: str, slots_per_gpu: int, jobs: int | None) -> list[str]:
        """As many as there are cores, or cards times `slots_per_gpu`; which is whose, Ray says."""
        what, each = ("GPU", slots_per_gpu) if device == "cuda" else ("CPU", 1)
        there = int(ray.cluster_resources().get(what, 0)) * each
        if not (jobs or there):
            raise UserError(
                f"the cluster has no {what} now; if it grows by itself, say how far: JOBS"
            )
        return ["cuda:0" if device == "cuda" else "cpu"] * (jobs or there)

    def run(self, specs: Sequence[RunSpec], job: Job, slots: Sequence[str]) -> Generator[Event]:
        """One task per run, at most so many at a time as there are slots."""
        # On this machine: with another one it could be lost.
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        inbox = Queue(actor_options={"num_cpus": 0, "scheduling_strategy": here})
        cards = 1 / job.slots_per_gpu if slots[0].startswith("cuda") else 0
        # Where it is said here that a task takes a card, Ray begins each in a process of its own.
        task = ray.remote(num_cpus=1, num_gpus=cards, max_retries=_RETRIES)(_train)
        corpus = replace(job.corpus, folder=job.corpus.folder.resolve())
        shared = ray.put(replace(job, corpus=corpus, results=job.results.resolve()))
        waiting = list(reversed(specs))
        pending: dict[ray.ObjectRef[None], RunSpec] = {}
        try:
            while waiting or pending:
                while waiting and len(pending) < len(slots):
                    spec = waiting.pop()
                    pending[task.remote(spec, shared, slots[0], inbox)] = spec
                ray.wait(list(pending), timeout=_PATIENCE)
                # All at once: with thousands, one look for each would be thousands of thousands.
                done, _ = ray.wait(list(pending), num_returns=len(pending), timeout=0)
                yield from _told(inbox)  # what a task said, before that it is over
                for ref in done:
                    spec = pending.pop(ref)
                    _note_loss(ref, spec, job)
                    yield Finished(spec)
        finally:
            for ref in pending:
                ray.cancel(ref, force=True)
            inbox.shutdown(force=True)


def _train(spec: RunSpec, job: Job, slot: str, inbox: Queue) -> None:
    RunFolder(job.results, spec.run_id).end_worker()  # of a task that was lost on this machine
    job = replace(job, environment=job.environment | {"hardware": machine()})  # its own, not ours
    last = 0.0
    for event in run_local([spec], job, [slot]):
        if isinstance(event, Progress) and time.monotonic() - last < _PROGRESS:
            continue
        if not isinstance(event, Finished):
            last = time.monotonic()
            inbox.put(event)


def _told(inbox: Queue) -> Iterator[Event]:
    while True:
        try:
            events: list[Any] = inbox.get_nowait_batch(max(1, inbox.qsize()))
        except Empty:
            return
        yield from events


def _note_loss(ref: "ray.ObjectRef[None]", spec: RunSpec, job: Job) -> None:
    """A task that Ray has given up leaves no summary, nor does one whose folder is not ours: leave
    one for it.
    """
    folder, reason = RunFolder(job.results, spec.run_id), ""
    try:
        ray.get(ref)
    except ray.exceptions.RayTaskError as error:
        reason = f"Ray's task failed: {error.cause!r}"
    except ray.exceptions.RayError as error:
        said = str(error).splitlines()[0]
        reason = f"Ray lost it {_RETRIES + 1} times: {type(error).__name__}: {said}"
    until = time.monotonic() + _ARRIVAL
    while folder.summary() is None and time.monotonic() < until and not reason:
        time.sleep(_PATIENCE)
    if folder.summary() is None:
        reason = reason or "it left nothing here: do all nodes share this folder?"
        folder.finish({"status": "failed", "reason": reason} | job.environment)
