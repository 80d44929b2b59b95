"""The executor "ray": runs spread over a Ray cluster, at RAY_ADDRESS or started here.

Every run is a Ray task, which trains through the local executor on its node: a worker that fails,
hangs or is killed there is handled as on a single machine. If a whole node is lost, Ray retries the
task and the run resumes from its checkpoint. All nodes must share the results and data folders, and
must have the same packages.
"""

import contextlib
import logging
import os
import time
from collections.abc import Generator, Sequence
from dataclasses import replace

import ray
from ray.util.queue import Empty, Queue
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from experiments.catalogue import VARIABLE as FOLDER_VARIABLE
from experiments.catalogue import users_folder
from experiments.errors import UserError
from experiments.records.provenance import machine
from experiments.records.run_folder import RunFolder
from experiments.running.executor import Event, Finished, Progress
from experiments.running.job import Job
from experiments.running.local import Local
from experiments.spec import RunSpec

_RETRIES = 3  # of a run whose node is lost; then the run is failed until the next call
_FILE_DELAY = 5.0  # seconds until a file written on another node is visible here
_POLL_INTERVAL = 0.2  # seconds
_PROGRESS_INTERVAL = 1.0  # least seconds between two events of a run: a study may have thousands


def _inherited() -> dict[str, str]:
    """Environment variables that the nodes need. A folder of ablations must be shared by all."""
    own = users_folder()
    return {FOLDER_VARIABLE: str(own)} if own else {}


class Ray:
    """The executor "ray".

    Raises:
        UserError: Ray cannot be reached.
    """

    def __init__(self) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # usage reports use the network
        if ray.is_initialized():
            return
        try:
            ray.init(
                log_to_driver=False,
                logging_level=logging.ERROR,
                include_dashboard=False,
                runtime_env={"env_vars": _inherited()},
            )
        except (OSError, RuntimeError, ValueError) as error:
            address = os.environ.get("RAY_ADDRESS")
            where = f" at RAY_ADDRESS={address}" if address else ""
            raise UserError(f"Ray cannot be reached{where}: {error}") from None

    def resolve_device(self, wanted: str) -> str:
        """As in `Executor`, from the devices of the cluster: "cuda" or "cpu"."""
        if wanted == "auto":
            return "cuda" if ray.cluster_resources().get("GPU") else "cpu"
        if wanted not in ("cuda", "cpu"):
            raise UserError(f"device '{wanted}' is not for a cluster: there are cuda, cpu")
        return wanted

    def slots(self, device: str, slots_per_gpu: int, jobs: int | None) -> list[str]:
        """As in `Executor`: by default one slot per core, or `slots_per_gpu` per GPU.

        Ray chooses the node and the GPU, so all slots are the same.

        Raises:
            UserError: the cluster has no such hardware and `jobs` is None.
        """
        resource, slots_each = ("GPU", slots_per_gpu) if device == "cuda" else ("CPU", 1)
        number = jobs or int(ray.cluster_resources().get(resource, 0)) * slots_each
        if not number:
            raise UserError(
                f"the cluster has no {resource} now; if it grows by itself, say how far: JOBS"
            )
        return ["cuda:0" if device == "cuda" else "cpu"] * number

    def run(self, specs: Sequence[RunSpec], job: Job, slots: Sequence[str]) -> Generator[Event]:
        """As in `Executor`: one task per run, at most one per slot at a time."""
        # The queue stays on this machine, where no lost node can take it away.
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        queue = Queue(actor_options={"num_cpus": 0, "scheduling_strategy": here})
        gpus = 1 / job.slots_per_gpu if slots[0].startswith("cuda") else 0
        # A task with `num_gpus` set here gets a process of its own, so each sees its own GPU.
        task = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=_RETRIES)(_train)
        corpus = replace(job.corpus, folder=job.corpus.folder.resolve())
        shared_job = ray.put(replace(job, corpus=corpus, results=job.results.resolve()))
        waiting = list(reversed(specs))
        pending: dict[ray.ObjectRef[None], RunSpec] = {}
        try:
            while waiting or pending:
                while waiting and len(pending) < len(slots):
                    spec = waiting.pop()
                    pending[task.remote(spec, shared_job, slots[0], queue)] = spec
                ray.wait(list(pending), timeout=_POLL_INTERVAL)
                # One call for all tasks: a call for each would be slow with thousands of them.
                done, _ = ray.wait(list(pending), num_returns=len(pending), timeout=0)
                # After the call above, so that all events of a finished task are in the queue.
                with contextlib.suppress(Empty):
                    while True:
                        yield from queue.get_nowait_batch(max(1, queue.qsize()))
                for ref in done:
                    spec = pending.pop(ref)
                    _record_loss(ref, spec, job)
                    yield Finished(spec)
        finally:
            for ref in pending:
                ray.cancel(ref, force=True)
            queue.shutdown(force=True)


def _train(spec: RunSpec, job: Job, slot: str, queue: Queue) -> None:
    """Carry out a run on this node, and put its events but the last into the queue."""
    # A task that Ray gave up on this node may have left its worker running.
    RunFolder(job.results, spec.run_id).end_worker()
    job = replace(job, environment=job.environment | {"hardware": machine()})
    last = 0.0
    for event in Local().run([spec], job, [slot]):
        if isinstance(event, Progress) and time.monotonic() - last < _PROGRESS_INTERVAL:
            continue
        if not isinstance(event, Finished):  # the driver adds Finished, also for lost tasks
            last = time.monotonic()
            queue.put(event)


def _record_loss(ref: "ray.ObjectRef[None]", spec: RunSpec, job: Job) -> None:
    """Write a summary with status "failed" if the task has left no summary in this machine's
    results folder: its nodes were lost, or it wrote to a folder that is not shared.
    """
    folder, reason = RunFolder(job.results, spec.run_id), ""
    try:
        ray.get(ref)
    except ray.exceptions.RayTaskError as error:
        reason = f"Ray's task failed: {error.cause!r}"
    except ray.exceptions.RayError as error:
        message = str(error).splitlines()[0]
        reason = f"Ray lost it {_RETRIES + 1} times: {type(error).__name__}: {message}"
    deadline = time.monotonic() + _FILE_DELAY
    while folder.summary() is None and time.monotonic() < deadline and not reason:
        time.sleep(_POLL_INTERVAL)
    if folder.summary() is None:
        reason = reason or "it left nothing here: do all nodes share this folder?"
        folder.finish({"status": "failed", "reason": reason} | job.environment)
