"""`verify`: whether finished runs come out the same when they are trained again."""

import dataclasses
import math
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from experiments.cli.options import byte_pairs, place_and_profile, slots_per_gpu_of, takes
from experiments.data.corpus import prepare_corpus
from experiments.errors import UserError
from experiments.plan import PlannedRun, run_labels, unique_runs
from experiments.records import provenance as hardware
from experiments.records.run_folder import RunFolder
from experiments.records.study import Study
from experiments.running.job import Job
from experiments.running.local import Executor, Finished
from experiments.spec import RunSpec

TOLERANCE = 0.01  # nats of final validation loss, on another machine or with other versions
_SAMPLE = 5
# What says where and when, and not what came out.
_ASIDE = {
    *("started", "train_seconds", "tokens_per_second", "wall_seconds", "probe_seconds"),
    *("peak_memory", "git_revision", "environment", "code"),
    *("hardware", "device_name", "python_version", "torch_version", "numpy_version"),
}
_SAME_MACHINE = ("hardware", "device_name", "environment", "threads")

SAME, WITHIN, BEYOND = HOWS = (
    "the same bit for bit",
    f"not, but within {TOLERANCE:g} nats",
    "different",
)


@dataclasses.dataclass(frozen=True)
class Verified:
    """One run, trained again: how it compares, where it differs first and most, and whether it was
    to be the same to the bit: on the same machine, with the same versions.
    """

    spec: RunSpec
    how: str
    where: str
    same_machine: bool

    @property
    def holds(self) -> bool:
        """Whether it is as it should be."""
        return self.how == SAME or (self.how == WITHIN and not self.same_machine)


@click.command()
@takes(
    *("profile", "corpus", "tokenizer", "vocab_size", "jobs", "executor", "device"),
    *("slots_per_gpu", "all", "results", "data"),
)
def verify(
    profile: str,
    corpus: str,
    tokenizer: str,
    vocab_size: int | None,
    jobs: int | None,
    executor: str,
    device: str,
    slots_per_gpu: int | None,
    all: bool,
    results: Path,
    data: Path,
) -> None:
    """Train some finished runs again, and say whether they come out the same."""
    where, device, chosen = place_and_profile(executor, device, profile)
    folder = results / chosen.name
    study, text = (
        Study.load(folder),
        prepare_corpus(corpus, data, byte_pairs(tokenizer, vocab_size)),
    )
    if text.hash != study.corpus_hash:
        raise UserError(f"{folder} is a study of another corpus than {text.name}: see CORPUS")
    planned = study.plan(folder)
    slots_per_gpu = slots_per_gpu_of(chosen, device, slots_per_gpu)
    slots = where.slots(device, slots_per_gpu, jobs)
    job = Job(text, folder, hardware.environment(), slots_per_gpu=slots_per_gpu)
    holds = verify_study([*planned.trials, *planned.members], job, slots, where, everything=all)
    sys.exit(0 if holds else 1)


def verify_study(
    members: Sequence[PlannedRun],
    job: Job,
    slots: Sequence[str],
    executor: Executor,
    *,
    everything: bool,
) -> bool:
    """Train a few of a study's finished runs again, or all, and tell how each compares. Returns
    whether they all came out as they should.

    Raises:
        UserError: no run is finished.
    """
    labels = run_labels(members)
    runs = unique_runs(members)
    over = [run for run in runs if RunFolder(job.results, run.run_id).finished(run.probes)]
    if not over:
        raise UserError(f"{job.results} has no finished run: `make all` makes some")
    specs = over if everything else sample(over)
    click.echo(f"training {len(specs)} of {len(over)} finished runs again")
    found = []
    for one in again(specs, job, slots, executor):
        found.append(one)
        told = f"{one.how}: {one.where}" if one.where else one.how
        click.echo(f"[{len(found)}/{len(specs)}] {labels[one.spec.run_id]}: {told}")
    counts = [sum(one.how == how for one in found) for how in HOWS]
    click.echo("; ".join(f"{n} {how}" for n, how in zip(counts, HOWS, strict=True)))
    if elsewhere := sum(not one.same_machine for one in found):
        click.echo(f"{elsewhere} were made on another machine or with other versions")
    return all(one.holds for one in found)


def again(
    specs: Sequence[RunSpec], job: Job, slots: Sequence[str], executor: Executor
) -> Iterator[Verified]:
    """Train runs of a results folder again, elsewhere, and compare what they leave."""
    # Among the results: where other nodes train, they share that.
    with tempfile.TemporaryDirectory(prefix="verify-", dir=job.results) as folder:
        elsewhere = dataclasses.replace(job, results=Path(folder))
        for event in executor.run(specs, elsewhere, slots):
            if isinstance(event, Finished):
                run_id = event.spec.run_id
                yield compare(
                    event.spec, RunFolder(job.results, run_id), RunFolder(elsewhere.results, run_id)
                )


def sample(specs: Sequence[RunSpec]) -> list[RunSpec]:
    """A few runs, evenly spread over those there are."""
    if len(specs) <= _SAMPLE:
        return list(specs)
    return [specs[i * (len(specs) - 1) // (_SAMPLE - 1)] for i in range(_SAMPLE)]


def compare(spec: RunSpec, one: RunFolder, other: RunFolder) -> Verified:
    """What two folders of the same run have, but for times and places."""
    summaries = [folder.summary() or {} for folder in (one, other)]
    same_machine = all(summaries[0].get(name) == summaries[1].get(name) for name in _SAME_MACHINE)
    differing = list(_differences(_left(one), _left(other)))
    if not differing:
        return Verified(spec, SAME, "", same_machine)
    first = differing[0][0]
    worst = max(differing, key=lambda found: found[1])
    where = f"{len(differing)} values differ, first {first}, most {worst[0]} by {worst[1]:.3g}"
    losses = [summary.get("val_loss", math.nan) for summary in summaries]
    near = abs(losses[0] - losses[1]) <= TOLERANCE  # which a loss that is not there never is
    return Verified(spec, WITHIN if near else BEYOND, where, same_machine)


def _left(folder: RunFolder) -> dict[str, Any]:
    summary = {k: v for k, v in (folder.summary() or {}).items() if k not in _ASIDE}
    points = [{k: v for k, v in point.items() if k != "seconds"} for point in folder.points()]
    return {"summary": summary, "points": points, "probes": folder.found()}


def _differences(one: Any, other: Any, place: str = "") -> Iterator[tuple[str, float]]:
    """Where two plain values differ, and by how much: infinite where they are no numbers."""
    if isinstance(one, dict) and isinstance(other, dict):
        for name in sorted({*one, *other}):
            yield from _differences(one.get(name), other.get(name), f"{place}.{name}".lstrip("."))
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for i, pair in enumerate(zip(one, other, strict=True)):
            yield from _differences(*pair, f"{place}[{i}]")
    elif one != other:
        both = all(isinstance(value, int | float) for value in (one, other))
        yield place, abs(one - other) if both else math.inf
