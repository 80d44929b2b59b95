"""`run`, `retry`, `deeper`, `restore` and `clean`: train a study, take it over, or delete it."""

import functools
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.benchmarks.blocks import Blocks
from experiments.catalogue import check_known, load_ablations
from experiments.cli.options import (
    CorpusOptions,
    ProfileName,
    Results,
    StudyOptions,
    TrainingOptions,
    WorkerOptions,
)
from experiments.cli.report import PageBuilder, published_folder
from experiments.cli.session import Session, prepare
from experiments.errors import UserError
from experiments.identity import code_fingerprint
from experiments.planning.plan import unique_runs
from experiments.profiles import PROFILES, Profile
from experiments.records.claim_seals import seal_claims
from experiments.records.collect import is_measured, read_table
from experiments.records.provenance import record_environment
from experiments.records.restore import restore as restore_runs
from experiments.records.study import Study
from experiments.running.devices import devices_present
from experiments.running.lock import results_lock
from experiments.running.runner import StudyOutcome, next_turn, unfinished

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


def train_in_turn(
    session: Session, page: PageBuilder, ablations: Sequence[str] = (), *, failed_only: bool = False
) -> tuple[StudyOutcome, int]:
    """Train what is left of a study, and measure the blocks that it lacks. Returns the outcome and
    the number of runs asked for.
    """
    folder = session.folder
    blocks = Blocks(
        session.study, folder, functools.partial(_measure_block, folder, session.device)
    )
    outcome, asked = _train_in_turn(session, list(ablations), page, blocks, failed_only=failed_only)
    page.stop()
    stopped = session.fail_fast and bool(outcome.failed)
    if not failed_only and not stopped:
        blocks.measure_missing()
    return outcome, asked


def _train_in_turn(
    session: Session,
    ablations: list[str],
    page: PageBuilder,
    blocks: Blocks,
    *,
    failed_only: bool,
) -> tuple[StudyOutcome, int]:
    """Train a study turn by turn, and plan anew after each turn: trials decide what is next.

    Between two turns nothing trains: if no page is being built either, a block of measurements that
    is due is made then. The page is built anew, beside the training, after turns with runs to
    compare. Returns the outcome and the number of runs asked for.
    """
    outcome, asked = StudyOutcome(), set[tuple[str, tuple[str, ...]]]()
    folder, train = session.folder, session.train
    plan = session.plan(ablations)
    if not failed_only:
        known = session.study.ablations
        seal_claims(folder, {name: known[name] for name in ablations or known}, plan)
    turn = next_turn(plan, folder, asked, failed_only=failed_only)
    if (turn or not failed_only) and not all(is_measured(folder, name) for name in _THEORY_TABLES):
        measure([sys.executable, "-m", "experiments.theory"], folder)
    if turn:  # before the runs, which name their environment: a killed call would not record it
        record_environment(folder)
    while turn:
        asked |= {(spec.run_id, spec.probes) for spec in unique_runs(turn)}
        outcome += train(turn, title=str(turn[0].turn))
        if session.fail_fast and outcome.failed:
            break
        if not failed_only and not page.busy:
            blocks.measure_if_due()
        if turn[0].rate is None:
            page.refresh()
        plan = session.plan(ablations)
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
