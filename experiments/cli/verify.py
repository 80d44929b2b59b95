"""`verify`: train finished runs again, and compare the results."""

import dataclasses
import enum
import json
import math
import random
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from experiments.cli.options import (
    All,
    AsJson,
    Budgets,
    CorpusOptions,
    Sample,
    StudyOptions,
    WorkerOptions,
)
from experiments.errors import UserError
from experiments.planning.plan import PlannedRun, run_labels, unique_runs
from experiments.profiles import parse_budgets
from experiments.records.collect import is_measured, read_table, set_aside, write_table
from experiments.records.provenance import environment
from experiments.records.run_folder import RunFolder
from experiments.records.study import Study
from experiments.running.executor import Executor, Finished
from experiments.running.job import Job
from experiments.spec import RunSpec

JSON_VERSION = 1  # of what `--json` prints: raised with the names or the meaning of an entry
TOLERANCE = 0.01  # nats of final validation loss, on another machine or with other versions
# Fields of a summary that say where and when a run was trained.
_NOT_COMPARED = {
    "started",
    "train_seconds",
    "tokens_per_second",
    "wall_seconds",
    "compile_seconds",
    "evaluation_seconds",
    "probe_seconds",
    "checkpoint_seconds",
    "peak_memory",
    "git_revision",
    "environment",
    "code",
    "hardware",
    "device_name",
    "python_version",
    "torch_version",
    "numpy_version",
}
_SAME_MACHINE = ("hardware", "device_name", "environment", "threads")


class Agreement(enum.StrEnum):
    """How the results of two trainings of a run agree."""

    SAME = "the same bit for bit"
    WITHIN = f"not the same, but within {TOLERANCE:g} nats"
    BEYOND = "different"


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Comparison of a finished run with a second training of the run.

    difference: the first and the largest difference; empty where there is none.
    same_machine: whether machine and versions are those of the first training, so that the results
        must be the same bit for bit.
    """

    spec: RunSpec
    agreement: Agreement
    difference: str
    same_machine: bool

    @property
    def holds(self) -> bool:
        """Whether the results agree as well as they must."""
        if self.same_machine:
            return self.agreement is Agreement.SAME
        return self.agreement is not Agreement.BEYOND


def verify(
    *,
    study: StudyOptions = StudyOptions(),
    corpus: CorpusOptions = CorpusOptions(),
    workers: WorkerOptions = WorkerOptions(),
    all: All = False,
    sample: Sample = 5,
    budgets: Budgets = None,
    as_json: AsJson = False,
) -> int:
    """Train finished runs again, drawn at random, and say whether the results are the same."""
    executor = workers.start_executor()
    device = executor.resolve_device(study.device)
    profile = study.profile_for(device)
    folder = study.results / profile.name
    finished, text = Study.load(folder), corpus.prepare()
    if text.hash != finished.corpus_hash:
        raise UserError(f"{folder} is a study of another corpus than {text.name}: see CORPUS")
    plan = finished.plan(folder)
    slots_per_gpu = workers.per_gpu(device)
    slots = executor.slots(device, slots_per_gpu, workers.jobs)
    job = Job(text, folder, environment(), slots_per_gpu=slots_per_gpu)
    chosen = parse_budgets(budgets, profile) or profile.budgets
    members = [run for run in plan.runs if run.budget in chosen]
    n = None if all else sample
    return 0 if verify_study(members, job, slots, executor, n, as_json=as_json) else 1


def verify_study(
    members: Sequence[PlannedRun],
    job: Job,
    slots: Sequence[str],
    executor: Executor,
    sample: int | None,
    *,
    as_json: bool = False,
) -> bool:
    """Train a sample of finished runs again, or all of them for None, and print how each compares,
    or print all comparisons as JSON at the end. Return whether all agree as well as they must.

    The sample is drawn from the runs of this machine where there are any: on another processor
    rounding differs, so the results cannot be the same bit for bit.

    Raises:
        UserError: no run is finished.
    """
    labels = run_labels(members)
    runs = unique_runs(members)
    finished = [run for run in runs if RunFolder(job.results, run.run_id).finished(run.probes)]
    if not finished:
        raise UserError(f"{job.results} has no finished run: `make all` makes some")
    drawn_from, where = finished, ""
    if sample is not None and (here := [run for run in finished if _made_here(run, job)]):
        drawn_from = here
        where = " of this machine" if len(here) < len(finished) else ""
    n = len(drawn_from) if sample is None else min(sample, len(drawn_from))
    specs = random.sample(drawn_from, n)
    say = (lambda _: None) if as_json else print
    say(f"training {n} of {len(drawn_from)} finished runs{where} again")
    results: list[Comparison] = []
    known = {row["run_id"]: row for row in _verified(job.results)}
    for result in train_again(specs, job, slots, executor):
        results.append(result)
        text = f"{result.agreement}: {result.difference}".removesuffix(": ")
        say(f"[{len(results)}/{len(specs)}] {labels[result.spec.run_id]}: {text}")
        known[result.spec.run_id] = {
            "run_id": result.spec.run_id,
            "agreement": str(result.agreement),
            "same": result.agreement is Agreement.SAME,
            "same_machine": result.same_machine,
            "code": job.environment.get("code"),
            "environment": job.environment.get("environment"),
        }
        write_table(job.results, "verified", list(known.values()))
    counts = Counter(result.agreement for result in results)
    say("; ".join(f"{counts[agreement]} {agreement}" for agreement in Agreement))
    if other := sum(not result.same_machine for result in results):
        say(f"{other} were first trained on another machine or with other versions")
    if as_json:
        rows = [_json_row(result, labels[result.spec.run_id]) for result in results]
        print(json.dumps({"version": JSON_VERSION, "runs": rows}, indent=1, ensure_ascii=False))
    return all(result.holds for result in results)


def _made_here(run: RunSpec, job: Job) -> bool:
    """True if the run was trained on the same hardware as this machine has."""
    summary = RunFolder(job.results, run.run_id).summary() or {}
    return summary.get("hardware") == job.environment.get("hardware")


def _json_row(result: Comparison, label: str) -> dict[str, Any]:
    return {
        "run_id": result.spec.run_id,
        "label": label,
        "agreement": str(result.agreement),
        "difference": result.difference,
        "same_machine": result.same_machine,
        "holds": result.holds,
    }


def _verified(results: Path) -> list[dict[str, Any]]:
    """The rows of the table `verified`; none where it is missing or cannot be read."""
    set_aside(results, "verified")
    if not is_measured(results, "verified"):
        return []
    rows = read_table(results, "verified").to_dict("records")
    return [{str(name): value for name, value in row.items()} for row in rows]


def train_again(
    specs: Sequence[RunSpec], job: Job, slots: Sequence[str], executor: Executor
) -> Iterator[Comparison]:
    """Train finished runs of the job again, in a temporary folder, and compare the results."""
    # Inside the results folder, which all nodes of a cluster share.
    with tempfile.TemporaryDirectory(prefix="verify-", dir=job.results) as folder:
        second = dataclasses.replace(job, results=Path(folder))
        for event in executor.run(specs, second, slots):
            if isinstance(event, Finished):
                folders = [RunFolder(each.results, event.spec.run_id) for each in (job, second)]
                yield compare(event.spec, *folders)


def compare(spec: RunSpec, first: RunFolder, second: RunFolder) -> Comparison:
    """Compare all results of two trainings of a run, but for times and machines."""
    summaries = [folder.summary() or {} for folder in (first, second)]
    same_machine = all(summaries[0].get(name) == summaries[1].get(name) for name in _SAME_MACHINE)
    differences = list(_differences(_results(spec, first), _results(spec, second)))
    if not differences:
        return Comparison(spec, Agreement.SAME, "", same_machine)
    place, most = max(differences, key=lambda difference: difference[1])
    difference = (
        f"{len(differences)} values differ, first {differences[0][0]}, most {place} by {most:.3g}"
    )
    losses = [summary.get("val_loss", math.nan) for summary in summaries]
    near = abs(losses[0] - losses[1]) <= TOLERANCE  # false where a loss is missing
    agreement = Agreement.WITHIN if near else Agreement.BEYOND
    return Comparison(spec, agreement, difference, same_machine)


def _results(spec: RunSpec, folder: RunFolder) -> dict[str, Any]:
    """Everything in a run's folder that must be the same in a second training. The folder may have
    probes besides, which are not asked for any more.
    """
    summary = folder.summary() or {}
    return {
        "summary": {name: summary[name] for name in summary if name not in _NOT_COMPARED},
        "points": [
            {name: point[name] for name in point if name != "seconds"} for point in folder.points()
        ],
        "probes": {
            name: rows for name, rows in folder.probe_tables().items() if name in spec.probes
        },
    }


def _differences(first: Any, second: Any, place: str = "") -> Iterator[tuple[str, float]]:
    """Where two JSON values differ, and by how much: infinity for values that are not numbers."""
    if isinstance(first, dict) and isinstance(second, dict):
        for name in sorted({*first, *second}):
            path = f"{place}.{name}".lstrip(".")
            yield from _differences(first.get(name), second.get(name), path)
    elif isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
        for i, (one, other) in enumerate(zip(first, second, strict=True)):
            yield from _differences(one, other, f"{place}[{i}]")
    elif first != second:
        numbers = all(isinstance(value, int | float) for value in (first, second))
        yield place, abs(first - second) if numbers else math.inf
