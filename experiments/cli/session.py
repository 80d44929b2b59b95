"""Sessions: a study with what trains it, from the options of a command."""

import dataclasses
import datetime
import functools
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

from experiments.cli.options import CorpusOptions, StudyOptions, TrainingOptions, WorkerOptions
from experiments.cli.report import PageBuilder
from experiments.data.corpus import Corpus
from experiments.errors import UserError
from experiments.planning.plan import Plan, PlannedRun, preliminary_plan
from experiments.profiles import Profile, parse_budgets
from experiments.records.calls import record_call
from experiments.records.continuing import budgets_of, continued, with_first_seed, with_looks
from experiments.records.provenance import environment
from experiments.records.study import Study
from experiments.running.job import Job
from experiments.running.runner import StudyOutcome, run_study
from experiments.running.trackers import tracker_named


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

    def finish(self, page: PageBuilder, outcome: StudyOutcome, asked: int) -> int:
        """Record and print how the runs ended, and build the page. Returns the exit status."""
        if outcome.trained:
            _record_call(self.folder, outcome, len(self.slots))
        study = self.study
        _print_outcome(f"profile {study.profile_name}, corpus {study.corpus_name}", outcome, asked)
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
    line = (
        f"{study}: {outcome.trained} runs trained, {outcome.done} were done,"
        f" {len(outcome.failed)} failed"
    )
    if left := asked - outcome.trained - outcome.done:
        line += f", {left} not begun"
    print(line)
    for label, reason in outcome.failed.items():
        print(f"failed: {label}: {reason}")
