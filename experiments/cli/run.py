"""`run` and `retry`: train the study's unfinished runs, then write the page."""

import datetime
import functools
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from experiments.catalogue import load_ablations
from experiments.cli.options import (
    CorpusOptions,
    StudyOptions,
    TrainingOptions,
    WorkerOptions,
    check_known,
)
from experiments.cli.report import PageBuilder
from experiments.data.corpus import Corpus
from experiments.errors import UserError
from experiments.plan import PlannedRun, preliminary_plan, unique_runs
from experiments.records.calls import record_call
from experiments.records.collect import is_measured
from experiments.records.provenance import environment, record_environment
from experiments.records.run_folder import RunFolder
from experiments.records.study import Study
from experiments.running.devices import devices_present
from experiments.running.job import Job
from experiments.running.lock import results_lock
from experiments.running.runner import StudyOutcome, run_study, unfinished
from experiments.running.trackers import tracker_named

_THEORY_TABLES = ("identities", "theory", "encodings")  # written by `experiments.theory`


def run(
    *ablations: str,
    study: StudyOptions = StudyOptions(),
    corpus: CorpusOptions = CorpusOptions(),
    workers: WorkerOptions = WorkerOptions(),
    training: TrainingOptions = TrainingOptions(),
) -> int:
    """Train the unfinished runs of all ABLATIONS or of those named, and write the page."""
    check_known("ablation", ablations, load_ablations())
    return _run(list(ablations), study, corpus, workers, training)


def retry(
    *,
    study: StudyOptions = StudyOptions(),
    corpus: CorpusOptions = CorpusOptions(),
    workers: WorkerOptions = WorkerOptions(),
    training: TrainingOptions = TrainingOptions(),
) -> int:
    """Train the failed runs again, and nothing else."""
    return _run([], study, corpus, workers, training, failed_only=True)


def _run(
    ablations: list[str],
    options: StudyOptions,
    corpus_options: CorpusOptions,
    workers: WorkerOptions,
    training: TrainingOptions,
    *,
    failed_only: bool = False,
) -> int:
    tracker = tracker_named(training.tracker)
    executor = workers.start_executor()
    device = executor.resolve_device(options.device)
    profile = training.configure(options.profile_for(device), device)
    slots_per_gpu = workers.per_gpu(device)
    slots = executor.slots(device, slots_per_gpu, workers.jobs)
    planned = preliminary_plan(profile, 1)  # refuses bad ablations before a corpus is fetched
    corpus = corpus_options.prepare()
    _check_length(corpus, planned)
    study = Study.of(profile, corpus, training.seeds)
    folder = options.results / profile.name
    job = Job(
        corpus,
        folder,
        environment(),
        training.checkpoint_interval(device),
        training.run_timeout,
        slots_per_gpu,
    )
    with results_lock(folder), PageBuilder(folder) as page:
        if not failed_only:
            study.save(folder)
        train = functools.partial(
            run_study,
            job=job,
            slots=slots,
            executor=executor,
            fail_fast=training.fail_fast,
            tracker=tracker,
            on_round=lambda seed: page.refresh(),
        )
        outcome, asked = _train_stages(
            study, folder, ablations, train, failed_only=failed_only, fail_fast=training.fail_fast
        )
        page.stop()
        stopped = training.fail_fast and bool(outcome.failed)
        if not failed_only and not stopped and not is_measured(folder, "costs"):
            print("measuring what attention, norms and generation cost on this machine")
            # A cluster may have devices that this machine lacks.
            local_device = device if device in devices_present() else "cpu"
            program = [sys.executable, "-m", "experiments.benchmarks.costs"]
            measure(program, folder, profile.name, local_device)
        if outcome.trained:
            _record_call(folder, outcome, len(slots))
            record_environment(folder)
        _print_outcome(f"profile {profile.name}, corpus {corpus.name}", outcome, asked)
        status = page.build(only_if_changed=True)
        if outcome.failed:
            print("train the failed runs again with `make retry`")
    return 1 if outcome.failed else status


def _train_stages(
    study: Study,
    folder: Path,
    ablations: list[str],
    train: Callable[[list[PlannedRun]], StudyOutcome],
    *,
    failed_only: bool,
    fail_fast: bool,
) -> tuple[StudyOutcome, int]:
    """Train a study in three stages, each of which decides what the next one trains. Return the
    outcome and the number of runs asked for.
    """
    outcome, asked = StudyOutcome(), set[str]()
    for stage in ("all rates", "the best two rates", "comparison"):
        plan = study.plan(folder, ablations or None)
        members = plan.comparison_runs if stage == "comparison" else plan.trials
        # A trial that failed in the stage before is not trained again.
        members = [member for member in members if member.spec.run_id not in asked]
        if failed_only:
            members = [member for member in members if _has_failed(member, folder)]
        asked |= {member.spec.run_id for member in members}
        if members:
            tables = all(is_measured(folder, name) for name in _THEORY_TABLES)
            if not tables or unfinished(unique_runs(members), folder):
                measure([sys.executable, "-m", "experiments.theory"], folder)
            outcome += train(members)
        if fail_fast and outcome.failed:
            break
    return outcome, len(asked)


def _has_failed(member: PlannedRun, folder: Path) -> bool:
    return RunFolder(folder, member.spec.run_id).status() == "failed"


def _check_length(corpus: Corpus, members: list[PlannedRun]) -> None:
    """Refuse a corpus with a split that is shorter than the longest context."""
    longest = max(member.spec.model.context_length for member in members)
    for split in ("train", "val"):
        if corpus.lengths[split] <= longest:
            raise UserError(
                f"corpus '{corpus.name}' is too short: its {split} split has"
                f" {corpus.lengths[split]:,} tokens, and a window takes {longest + 1:,}"
            )


def measure(program: list[str], results: Path, *arguments: str) -> None:
    """Run a program that measures something, since the command line does not load torch.

    Raises:
        UserError: the program failed; its log says why.
    """
    file = results / f"{program[-1].rpartition('.')[2]}.log"
    command = [*program, str(results), *arguments]
    with file.open("wb") as log:
        done = subprocess.run(command, stdout=log, stderr=log, check=False)
    if done.returncode:
        raise UserError(f"`python -m {program[-1]}` failed: {file} says why")


def _record_call(folder: Path, outcome: StudyOutcome, workers: int) -> None:
    """Record how long this call took, and how much of that was training."""
    began = psutil.Process().create_time()  # includes the time that imports took
    record_call(
        folder,
        started=datetime.datetime.fromtimestamp(began, datetime.UTC).isoformat(timespec="seconds"),
        seconds=time.time() - began,
        workers=workers,
        trained=outcome.trained,
        wall_seconds=outcome.wall_seconds,
    )


def _print_outcome(study: str, outcome: StudyOutcome, asked: int) -> None:
    line = (
        f"{study}: {outcome.trained} runs trained, {outcome.done} were done,"
        f" {len(outcome.failed)} failed"
    )
    if left := asked - outcome.trained - outcome.done:
        line += f", {left} not begun"
    print(line)
    for label, reason in outcome.failed.items():
        print(f"failed: {label}: {reason}")
