"""Sessions: a study with what trains it, from the options of a command; and its turns."""

import dataclasses
import datetime
import functools
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

from experiments.benchmarks.blocks import Blocks
from experiments.cli.options import CorpusOptions, StudyOptions, TrainingOptions, WorkerOptions
from experiments.cli.report import PageBuilder
from experiments.data.corpus import Corpus
from experiments.errors import UserError
from experiments.planning.plan import Plan, PlannedRun, preliminary_plan, unique_runs
from experiments.profiles import Profile, parse_budgets
from experiments.records.calls import record_call
from experiments.records.claim_seals import seal_claims
from experiments.records.collect import is_measured
from experiments.records.continuing import budgets_of, continued, with_first_seed, with_looks
from experiments.records.provenance import environment, record_environment
from experiments.records.study import Study
from experiments.running.devices import devices_present
from experiments.running.job import Job
from experiments.running.runner import StudyOutcome, next_turn, run_study, unfinished
from experiments.running.trackers import tracker_named

_THEORY_TABLES = ("identities", "theory", "encodings")  # written by `experiments.theory`


@dataclasses.dataclass(frozen=True)
class Session:
    """A study, and what a command trains it with.

    device: kind of the devices that train.
    slots: torch device of each run that trains at the same time.
    train: trains runs, as `run_study` does.
    deepest: the deepest budget that this call trains, where BUDGETS says so. Seeds that `make
        decide` and `make trends` added at deeper budgets are left for another call.
    """

    study: Study
    folder: Path
    device: str
    slots: list[str]
    train: Callable[..., StudyOutcome]
    fail_fast: bool
    deepest: int | None = None

    def plan(self, ablations: Sequence[str] = ()) -> Plan:
        """The runs of the ablations, or of all, that this call trains."""
        plan, deepest = self.study.plan(self.folder, list(ablations) or None), self.deepest
        if deepest is None:
            return plan
        return dataclasses.replace(
            plan,
            trials=[run for run in plan.trials if run.budget <= deepest],
            comparison_runs=[run for run in plan.comparison_runs if run.budget <= deepest],
            untuned=[run for run in plan.untuned if run.budget <= deepest],
        )

    def record(self, outcome: StudyOutcome) -> None:
        """Record how long this call took, if it trained anything."""
        if outcome.trained:
            _record_call(self.folder, outcome, len(self.slots))

    def print_outcome(self, outcome: StudyOutcome, asked: int) -> None:
        """Print how the runs ended."""
        study = self.study
        _print_outcome(f"profile {study.profile_name}, corpus {study.corpus_name}", outcome, asked)

    def finish(self, page: PageBuilder, outcome: StudyOutcome, asked: int) -> int:
        """Record and print how the runs ended, and build the page. Returns the exit status."""
        self.record(outcome)
        self.print_outcome(outcome, asked)
        status = page.build(only_if_changed=True)
        if outcome.failed:
            print("train the failed runs again with `make retry`")
        return 1 if outcome.failed else status


def prepare(
    options: StudyOptions,
    corpus_options: CorpusOptions,
    workers: WorkerOptions,
    training: TrainingOptions,
    *,
    extend: Callable[[list[int], Profile, Path], list[int]] | None = None,
) -> Session:
    """Fetch the corpus, and return the study with what trains it. Nothing is written to its folder.

    With `extend`, the study is that of the folder, with its numbers of seeds, and `extend` chooses
    its budgets from those of the options.

    Raises:
        UserError: the options, the ablations or the corpus cannot work.
    """
    tracker = tracker_named(training.tracker)
    executor = workers.start_executor()
    device = executor.resolve_device(options.device)
    profile = training.configure(options.profile_for(device), device)
    slots_per_gpu = workers.per_gpu(device)
    slots = executor.slots(device, slots_per_gpu, workers.jobs)
    folder = options.results / profile.name
    budgets = (
        parse_budgets(training.budgets, profile)
        or budgets_of(folder)
        or list(profile.default_budgets)
    )
    if extend:
        budgets = extend(budgets, profile, folder)
    # Refuses bad ablations before a corpus is fetched.
    planned = preliminary_plan(profile, 1, budgets)
    corpus = corpus_options.prepare()
    _check_length(corpus, planned)
    study = Study.of(profile, corpus, training.seeds, budgets)
    study = with_first_seed(study, folder, training.first_seed)
    if extend:
        study = continued(study, folder, training.seeds)
    job = Job(
        corpus,
        folder,
        environment(),
        training.checkpoint_interval(device),
        training.run_timeout,
        slots_per_gpu,
    )
    train = functools.partial(
        run_study,
        job=job,
        slots=slots,
        executor=executor,
        fail_fast=training.fail_fast,
        tracker=tracker,
    )
    study = with_looks(study, folder)
    deepest = max(budgets) if training.budgets else None
    return Session(study, folder, device, slots, train, training.fail_fast, deepest)


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
    begin(session, ablations, failed_only=failed_only)
    outcome, asked = train_each_turn(session, ablations, page, blocks, failed_only=failed_only)
    page.stop()
    if not failed_only:
        seal(session, ablations)  # the page is about to show results
    stopped = session.fail_fast and bool(outcome.failed)
    if not failed_only and not stopped:
        blocks.measure_missing()
    return outcome, asked


def begin(session: Session, ablations: Sequence[str], *, failed_only: bool = False) -> None:
    """Do what comes before the first run: seal claims, measure theory, record the environment."""
    folder = session.folder
    if not failed_only:
        seal(session, ablations)
    turn = next_turn(session.plan(ablations), folder, set(), failed_only=failed_only)
    if (turn or not failed_only) and not all(is_measured(folder, name) for name in _THEORY_TABLES):
        measure([sys.executable, "-m", "experiments.theory"], folder)
    if turn:  # before the runs, which name their environment: a killed call would not record it
        record_environment(folder)


def seal(session: Session, ablations: Sequence[str]) -> None:
    """Seal the claims of the ablations, or of all."""
    known = session.study.ablations
    sealed = {name: known[name] for name in ablations or known}
    seal_claims(session.folder, sealed, session.plan(ablations))


def train_each_turn(
    session: Session,
    ablations: Sequence[str] = (),
    page: PageBuilder | None = None,
    blocks: Blocks | None = None,
    *,
    failed_only: bool = False,
) -> tuple[StudyOutcome, int]:
    """Train a study turn by turn, and plan anew after each turn: trials decide what is next.

    Between two turns nothing trains: if no page is being built either, a block of measurements that
    is due is made then. The page is built anew, beside the training, after turns with runs to
    compare. Returns the outcome and the number of runs asked for.
    """
    outcome, asked = StudyOutcome(), set[tuple[str, tuple[str, ...]]]()
    folder, train = session.folder, session.train
    plan = session.plan(ablations)
    while turn := next_turn(plan, folder, asked, failed_only=failed_only):
        asked |= {(spec.run_id, spec.probes) for spec in unique_runs(turn)}
        outcome += train(turn, title=str(turn[0].turn))
        if session.fail_fast and outcome.failed:
            break
        if blocks and page and not failed_only and not page.busy:
            blocks.measure_if_due()
        if page and turn[0].rate is None:
            page.refresh()
        plan = session.plan(ablations)
    trained = {run_id for run_id, _ in asked}
    if failed_only:
        return outcome, len(trained)
    # Runs that were finished before are counted, and shown in a tracker.
    left = {spec.run_id for spec in unfinished(unique_runs(plan.runs), folder)}
    before = [run for run in plan.runs if run.spec.run_id not in left | trained]
    train(before)
    done = len({run.spec.run_id for run in before})
    return outcome + StudyOutcome(done=done), len({run.spec.run_id for run in plan.runs} | trained)


def _check_length(corpus: Corpus, members: list[PlannedRun]) -> None:
    """Refuse a corpus with a split that is shorter than the longest context."""
    longest = max(member.spec.model.context_length for member in members)
    for split in ("train", "val"):
        if corpus.lengths[split] <= longest:
            raise UserError(
                f"corpus '{corpus.name}' is too short: its {split} split has"
                f" {corpus.lengths[split]:,} tokens, and a window takes {longest + 1:,}"
            )


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
    done = f"{outcome.done} were done"
    if outcome.elsewhere:
        done = f"{outcome.done + outcome.elsewhere} were done or trained by other calls"
    line = f"{study}: {outcome.trained} runs trained, {done}, {len(outcome.failed)} failed"
    if left := asked - outcome.trained - outcome.done - outcome.elsewhere:
        line += f", {left} not begun"
    print(line)
    for label, reason in outcome.failed.items():
        print(f"failed: {label}: {reason}")


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
