"""`run` and `retry`: train the study's unfinished runs, then write the page."""

import datetime
import functools
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from experiments.benchmarks.blocks import Blocks
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
from experiments.planning.plan import PlannedRun, preliminary_plan, unique_runs
from experiments.profiles import Profile
from experiments.records.calls import record_call
from experiments.records.claim_seals import seal_claims
from experiments.records.collect import is_measured
from experiments.records.continuing import budgets_of, continued, with_looks
from experiments.records.provenance import environment, record_environment
from experiments.records.study import Study
from experiments.running.devices import devices_present
from experiments.running.job import Job
from experiments.running.lock import results_lock
from experiments.running.runner import StudyOutcome, next_turn, run_study, unfinished
from experiments.running.trackers import tracker_named
from experiments.spec import Probe

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


def deeper(
    *,
    study: StudyOptions = StudyOptions(),
    corpus: CorpusOptions = CorpusOptions(),
    workers: WorkerOptions = WorkerOptions(),
    training: TrainingOptions = TrainingOptions(),
) -> int:
    """Finish the study in the results folder, then add the profile's next budget."""
    if training.budgets is not None:
        raise UserError("`make deeper` chooses the budgets itself: BUDGETS is for `make all`")
    return _run([], study, corpus, workers, training, add_budget=True)


def _run(
    ablations: list[str],
    options: StudyOptions,
    corpus_options: CorpusOptions,
    workers: WorkerOptions,
    training: TrainingOptions,
    *,
    failed_only: bool = False,
    add_budget: bool = False,
) -> int:
    tracker = tracker_named(training.tracker)
    executor = workers.start_executor()
    device = executor.resolve_device(options.device)
    profile = training.configure(options.profile_for(device), device)
    slots_per_gpu = workers.per_gpu(device)
    slots = executor.slots(device, slots_per_gpu, workers.jobs)
    folder = options.results / profile.name
    budgets = training.budgets_of(profile) or budgets_of(folder) or list(profile.default_budgets)
    if add_budget:
        budgets = _with_next(budgets, profile, folder)
    # Refuses bad ablations before a corpus is fetched.
    planned = preliminary_plan(profile, 1, budgets)
    corpus = corpus_options.prepare()
    _check_length(corpus, planned)
    study = Study.of(profile, corpus, training.seeds, budgets)
    if add_budget:
        study = continued(study, folder, training.seeds)
    study = with_looks(study, folder)
    job = Job(
        corpus,
        folder,
        environment(),
        training.checkpoint_interval(device),
        training.run_timeout,
        slots_per_gpu,
    )
    blocks = Blocks(study, folder, functools.partial(_measure_block, folder, device))
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
        )
        outcome, asked = _train_in_turn(
            study,
            folder,
            ablations,
            train,
            page,
            blocks,
            failed_only=failed_only,
            fail_fast=training.fail_fast,
        )
        page.stop()
        stopped = training.fail_fast and bool(outcome.failed)
        if not failed_only and not stopped:
            blocks.measure_missing()
        if outcome.trained:
            _record_call(folder, outcome, len(slots))
            record_environment(folder)
        _print_outcome(f"profile {profile.name}, corpus {corpus.name}", outcome, asked)
        status = page.build(only_if_changed=True)
        if outcome.failed:
            print("train the failed runs again with `make retry`")
    return 1 if outcome.failed else status


def _train_in_turn(
    study: Study,
    folder: Path,
    ablations: list[str],
    train: Callable[..., StudyOutcome],
    page: PageBuilder,
    blocks: Blocks,
    *,
    failed_only: bool,
    fail_fast: bool,
) -> tuple[StudyOutcome, int]:
    """Train a study turn by turn, and plan anew after each turn: trials decide what is next.

    Between two turns nothing trains: if no page is being built either, a block of measurements that
    is due is made then. The page is built anew, beside the training, after turns with runs to
    compare. Returns the outcome and the number of runs asked for.
    """
    outcome, asked = StudyOutcome(), set[tuple[str, tuple[Probe, ...]]]()
    plan = study.plan(folder, ablations or None)
    if not failed_only:
        known = study.ablations
        seal_claims(folder, {name: known[name] for name in ablations or known}, plan)
    turn = next_turn(plan, folder, asked, failed_only=failed_only)
    if (turn or not failed_only) and not all(is_measured(folder, name) for name in _THEORY_TABLES):
        measure([sys.executable, "-m", "experiments.theory"], folder)
    while turn:
        asked |= {(spec.run_id, spec.probes) for spec in unique_runs(turn)}
        outcome += train(turn, title=str(turn[0].turn))
        if fail_fast and outcome.failed:
            break
        if not failed_only and not page.busy:
            blocks.measure_if_due()
        if turn[0].rate is None:
            page.refresh()
        plan = study.plan(folder, ablations or None)
        turn = next_turn(plan, folder, asked, failed_only=failed_only)
    trained = {run_id for run_id, _ in asked}
    if failed_only:
        return outcome, len(trained)
    # Runs that were finished before are counted, and shown in a tracker.
    left = {spec.run_id for spec in unfinished(unique_runs(plan.runs), folder)}
    before = [run for run in plan.runs if run.spec.run_id not in left | trained]
    train(before)
    done = len({run.spec.run_id for run in before})
    return outcome + StudyOutcome(done=done), len({run.spec.run_id for run in plan.runs} | trained)


def _with_next(budgets: list[int], profile: Profile, folder: Path) -> list[int]:
    """The budgets, and the profile's next one if all runs at these are finished.

    Raises:
        UserError: all runs at all budgets of the profile are finished.
    """
    try:
        plan = Study.load(folder).plan(folder)
    except UserError:
        return budgets
    if plan.untuned or unfinished(unique_runs(plan.runs), folder):
        print(
            f"the study at budgets {', '.join(map(str, budgets))} comes first: it is not finished"
        )
        return budgets
    further = [
        budget for budget in profile.budgets if budget > budgets[0] and budget not in budgets
    ]
    if not further:
        raise UserError(
            f"the study has all budgets of the profile {profile.name} already: "
            + ", ".join(map(str, profile.budgets))
        )
    print(f"adding budget {further[0]}")
    return sorted([*budgets, further[0]])


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


def _measure_block(folder: Path, device: str) -> None:
    """Measure a block of costs on this machine."""
    # A cluster may have devices that this machine lacks.
    local_device = device if device in devices_present() else "cpu"
    measure([sys.executable, "-m", "experiments.benchmarks.costs"], folder, local_device)


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
