"""Runs that are trained whole, or stopped in their midst, and what they leave."""

import dataclasses
from pathlib import Path

from helping import timeless

from experiments.data.corpus import Corpus
from experiments.records.run_folder import RunFolder
from experiments.running.job import Job
from experiments.running.local import Progress, run_local
from experiments.spec import RunSpec


def lengthened(spec: RunSpec) -> RunSpec:
    """Long enough to be stopped; with dropout, which draws random numbers, and with probes, which
    must not.
    """
    model = dataclasses.replace(spec.model, dropout=0.2)
    longer = dataclasses.replace(spec.recipe, steps=60, warmup_steps=5, eval_every=3, log_every=2)
    probes = ("heads", "layers", "positions", "samples")
    return dataclasses.replace(spec, model=model, recipe=longer, probes=probes)


def numbers(folder: RunFolder) -> tuple[dict, list[dict], list]:
    """All that a run leaves but its times."""
    return timeless(folder.summary() or {}), [*map(timeless, folder.points())], folder.found()


def whole(spec: RunSpec, corpus: Corpus, results: Path) -> RunFolder:
    list(run_local([spec], Job(corpus, results, {}), ["cpu"]))
    return RunFolder(results, spec.run_id)


def stopped(
    spec: RunSpec, corpus: Corpus, results: Path, at: int, environment: dict[str, str] | None = None
) -> RunFolder:
    """A run that is killed once it tells of step `at`, checkpoints after every evaluation."""
    job = Job(corpus, results, environment or {}, checkpoint_seconds=0.0)
    events = run_local([spec], job, ["cpu"])
    for event in events:
        if isinstance(event, Progress) and event.step >= at:
            break
    events.close()
    return RunFolder(results, spec.run_id)
