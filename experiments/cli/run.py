"""`run`, `work`, `submit`, `retry`, `deeper`, `restore` and `clean`: train or delete a study."""

import dataclasses
import functools
import re
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.catalogue import check_known, load_ablations
from experiments.cli.options import (
    Batch,
    CorpusOptions,
    Minutes,
    ProfileName,
    Results,
    Slurm,
    StudyOptions,
    Tasks,
    TrainingOptions,
    WorkerOptions,
)
from experiments.cli.report import PageBuilder, published_folder
from experiments.cli.session import Session, begin, prepare, seal, train_each_turn, train_in_turn
from experiments.errors import UserError, printable
from experiments.identity import code_fingerprint
from experiments.planning.plan import unique_runs
from experiments.profiles import PROFILES, Profile
from experiments.records.collect import read_table
from experiments.records.continuing import budgets_of
from experiments.records.restore import restore as restore_runs
from experiments.records.study import Study
from experiments.running.leases import Member
from experiments.running.lock import joined, results_lock, writing_in_turn
from experiments.running.runner import unfinished
from experiments.running.shared import Shared


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


def work(
    *ablations: str,
    study: StudyOptions = StudyOptions(),
    corpus: CorpusOptions = CorpusOptions(),
    workers: WorkerOptions = WorkerOptions(),
    training: TrainingOptions = TrainingOptions(),
) -> int:
    """Train runs that no other `work` on this results folder trains, on this machine or on another
    that shares the folder, until all are finished. `run` then measures costs and writes the page,
    and `retry` trains failed runs again.
    """
    _check_shared(ablations, workers, training)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # a batch system's: give the runs back
    session = prepare(study, corpus, workers, training)
    first = functools.partial(_begin_to_share, session, ablations)
    with joined(session.folder, first) as member:
        train = functools.partial(session.train, executor=Shared(member))
        session = dataclasses.replace(session, train=train)
        outcome, asked = train_each_turn(session, ablations)
        if outcome.trained:
            with writing_in_turn(session.folder):
                seal(session, ablations)
                session.record(outcome)
    session.print_outcome(outcome, asked)
    return 1 if outcome.failed else 0


def submit(
    *ablations: str,
    tasks: Tasks = 1,
    minutes: Minutes = 60,
    batch: Batch = "slurm",
    slurm: Slurm = "",
    study: StudyOptions = StudyOptions(),
    corpus: CorpusOptions = CorpusOptions(),
    workers: WorkerOptions = WorkerOptions(),
    training: TrainingOptions = TrainingOptions(),
) -> None:
    """Submit tasks that each call `work` with the same options: an array of jobs, through submitit.
    Submitting again goes on with what the time was not enough for.
    """
    try:
        import submitit
    except ImportError:
        raise UserError("submit needs submitit: `make setup EXTRAS=submitit`") from None
    _check_shared(ablations, workers, training)
    if slurm and batch != "slurm":
        raise UserError(f"SLURM is for BATCH=slurm, and this is {batch}")
    folder = study.results / "submitted"
    options = {"study": study, "corpus": corpus, "workers": workers, "training": training}
    try:
        executor = submitit.AutoExecutor(folder, cluster=batch)
        executor.update_parameters(name="ablations", timeout_min=minutes)
        if batch == "slurm":
            executor.update_parameters(slurm_additional_parameters=_sbatch_options(slurm))
        with executor.batch():
            jobs = [executor.submit(work, *ablations, **options) for _ in range(tasks)]
    except (RuntimeError, submitit.core.utils.UncompletedJobError) as error:
        raise UserError(f"BATCH={batch} cannot be used here: {printable(str(error))}") from None
    print(f"submitted {', '.join(job.job_id for job in jobs)}: what they print is in {folder}")


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


def restore(*, study: StudyOptions = StudyOptions()) -> None:
    """Go on from the published study: make the folders of its runs from its tables."""
    published = published_folder(study)
    runs = restore_runs(published, study.folder)
    print(f"restored {runs:,} published runs in {study.folder}: `make all` goes on from them")
    codes = {*read_table(published, "runs")["code"]}
    if codes != {code_fingerprint()}:
        print("the code that trains has changed since: new runs are not made by the same code")


def clean(*, profile: ProfileName = "auto", results: Results = Path("results")) -> None:
    """Delete the results of the profile that is named."""
    check_known("profile to delete", [profile], PROFILES)
    folder = results / profile
    if folder.exists():
        with results_lock(folder), results_lock(folder / "by-hand"):
            shutil.rmtree(folder)
        print(f"deleted {folder}")


def _run(
    ablations: list[str],
    options: StudyOptions,
    corpus: CorpusOptions,
    workers: WorkerOptions,
    training: TrainingOptions,
    *,
    failed_only: bool = False,
    add_budget: bool = False,
) -> int:
    session = prepare(options, corpus, workers, training, extend=_with_next if add_budget else None)
    folder = session.folder
    with results_lock(folder), PageBuilder(folder) as page:
        if not failed_only:
            session.study.save(folder)
        outcome, asked = train_in_turn(session, page, ablations, failed_only=failed_only)
        return session.finish(page, outcome, asked)


def _check_shared(
    ablations: Sequence[str], workers: WorkerOptions, training: TrainingOptions
) -> None:
    """Refuse options that processes which share runs cannot have."""
    check_known("ablation", ablations, load_ablations())
    if workers.executor != "local":
        raise UserError("EXECUTOR is for `make all`: `make work` trains on its machine")
    if training.tracker != "none":
        raise UserError("TRACKER is for `make all`, which shows the runs of `make work` too")


def _sbatch_options(text: str) -> dict[str, str | bool]:
    """Options of sbatch by name, from a text such as "partition=gpu,exclusive".

    Raises:
        UserError: a part of the text is no option.
    """
    options: dict[str, str | bool] = {}
    for part in re.split(r",(?![^\[]*\])", text) if text else []:  # not at a comma in nodes[1,2]
        if not re.fullmatch(r"[a-z][a-z-]*(=[^\s=][^\n]*)?", part):
            raise UserError(f"SLURM: '{part}' is no option such as partition=gpu")
        name, sign, value = part.partition("=")
        options[name] = value if sign else True
    return options


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


def _begin_to_share(session: Session, ablations: Sequence[str], member: Member) -> None:
    """Save the study, unless other processes train it, and do what comes before the first run.

    Raises:
        UserError: other processes train another study in the folder.
    """
    differs = budgets_of(session.folder) and Study.load(session.folder) != session.study
    if differs and (others := member.others()):
        raise UserError(
            f"{session.folder} has another study, which is trained by {', '.join(others)}: give"
            " all calls of `make work` the same options"
        )
    session.study.save(session.folder)
    begin(session, ablations)
