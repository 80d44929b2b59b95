"""Helpers that train a run to its end, or stop it in the middle, and compare what is left."""

import dataclasses
from pathlib import Path

from helping import timeless

from experiments.data.corpus import Corpus
from experiments.records.run_folder import RunFolder
from experiments.running.executor import Progress
from experiments.running.job import Job
from experiments.running.local import Local
from experiments.spec import RunSpec


def lengthened(spec: RunSpec) -> RunSpec:
    """The run with enough steps to be stopped in the middle.

    The network has dropout, which draws random numbers, and probes, which must not draw any.
    """
    model = dataclasses.replace(spec.model, dropout=0.2)
    longer = dataclasses.replace(spec.recipe, steps=60, warmup_steps=5, eval_every=3, log_every=2)
    probes = ("heads", "layers", "positions", "samples")
    return dataclasses.replace(spec, model=model, recipe=longer, probes=probes)


def numbers(folder: RunFolder) -> tuple[dict, list[dict], list]:
    """The summary, curve points and probe tables of a run, without times."""
    points = [timeless(point) for point in folder.points()]
    return timeless(folder.summary() or {}), points, folder.probe_tables()


def whole(spec: RunSpec, corpus: Corpus, results: Path) -> RunFolder:
    """Train the run to its end."""
    list(Local().run([spec], Job(corpus, results, {}), ["cpu"]))
    return RunFolder(results, spec.run_id)


def stopped(
    spec: RunSpec, corpus: Corpus, results: Path, at: int, environment: dict[str, str] | None = None
) -> RunFolder:
    """Train the run, with a checkpoint after every evaluation, and kill it at step `at`."""
    job = Job(corpus, results, environment or {}, checkpoint_seconds=0.0)
    events = Local().run([spec], job, ["cpu"])
    for event in events:
        if isinstance(event, Progress) and event.step >= at:
            break
    events.close()
    return RunFolder(results, spec.run_id)
