"""`decide` and `trends`: add seeds that would decide claims, and a budget where effects change."""

import dataclasses
import time
from collections.abc import Iterable
from pathlib import Path

from experiments.claim import LOOKS
from experiments.cli.options import (
    CorpusOptions,
    Hours,
    StudyOptions,
    TrainingOptions,
    WorkerOptions,
)
from experiments.cli.report import PageBuilder
from experiments.cli.session import Session, prepare, train_in_turn
from experiments.errors import UserError
from experiments.planning.plan import unique_runs
from experiments.profiles import Profile
from experiments.records.collect import collect, read_table
from experiments.records.study import Study
from experiments.running.lock import results_lock
from experiments.running.runner import unfinished
from report.study.further_seeds import (
    Candidate,
    Place,
    cheapest_first,
    mean_seconds,
    undecided_claims,
)
from report.study.judge import judge_all
from report.study.tables import Tables, records
from report.verdicts.text import join_words, plural
from report.verdicts.trend import changing_claims

_TREND_SEEDS = 3


def decide(
    *,
    hours: Hours = None,
    study: StudyOptions = StudyOptions(),
    corpus: CorpusOptions = CorpusOptions(),
    workers: WorkerOptions = WorkerOptions(),
    training: TrainingOptions = TrainingOptions(),
) -> int:
    """Add seeds, as planned, to the undecided claims that they would decide, the cheapest first.

    Runs are begun while their estimated time fits into HOURS, and no run is ended for time.
    Ablations that are not finished are left alone.
    """
    if hours is None:
        raise UserError("decide needs HOURS, the time for further seeds: `make decide HOURS=2`")
    if training.seeds is not None or training.budgets is not None:
        raise UserError("`make decide` chooses the seeds: SEEDS and BUDGETS are for `make all`")
    ends = time.monotonic() + 3600 * hours
    session = prepare(study, corpus, workers, training, extend=_present_budgets)
    finished = _finished_ablations(session)
    with results_lock(session.folder), PageBuilder(session.folder) as page:
        return _decide(session, page, finished, ends)


def trends(
    *,
    study: StudyOptions = StudyOptions(),
    corpus: CorpusOptions = CorpusOptions(),
    workers: WorkerOptions = WorkerOptions(),
    training: TrainingOptions = TrainingOptions(),
) -> int:
    """Train at the next budget the claims whose effect still changes at the deepest one: their arms
    alone, with three seeds. Claims that are counted in seeds have no trend. Ablations that are not
    finished are left alone.
    """
    if training.seeds is not None or training.budgets is not None:
        raise UserError("`make trends` chooses the seeds: SEEDS and BUDGETS are for `make all`")
    session = prepare(study, corpus, workers, training, extend=_present_budgets)
    finished = _finished_ablations(session)
    with results_lock(session.folder), PageBuilder(session.folder) as page:
        chosen = _changing(session, finished)
        session = dataclasses.replace(session, study=with_seeds(session.study, chosen))
        session.study.save(session.folder)
        plan = session.study.plan(session.folder, finished)
        trials = len(unfinished(unique_runs(plan.trials), session.folder))
        runs = len(unfinished(unique_runs(plan.comparison_runs), session.folder))
        print(
            f"{plural(trials, 'trial')} of learning rates, and what follows from them;"
            f" {plural(runs + len(plan.untuned), 'run')} to compare"
        )
        outcome, asked = train_in_turn(session, page, finished)
        return session.finish(page, outcome, asked)


def _changing(session: Session, finished: list[str]) -> list[Candidate]:
    """The claims whose effect still changes at the deepest budget, at the profile's next budget.

    Raises:
        UserError: the profile has no further budget, or no effect still changes.
    """
    deepest = session.study.budgets[-1]
    further = [budget for budget in session.study.profile.budgets if budget > deepest]
    if not further:
        raise UserError(f"the profile {session.study.profile_name} has no budget above {deepest}")
    tables = _judged(session.folder)
    names = {claim.id: name for name in finished for claim in tables.ablations[name].claims}
    changing = [
        claim
        for claim in changing_claims(read_table(session.folder, "claims"), deepest)
        if claim in names
    ]
    if not changing:
        raise UserError(f"no claim's effect is known to change still at budget {deepest}")
    print(f"at budget {further[0]}, {plural(_TREND_SEEDS, 'seed')}: {join_words(changing)}")
    return [Candidate(names[claim], claim, further[0], 0, _TREND_SEEDS) for claim in changing]


def _present_budgets(budgets: list[int], profile: Profile, folder: Path) -> list[int]:
    """The budgets of the study in the folder.

    Raises:
        UserError: there is no study.
    """
    return Study.load(folder).budgets


def _finished_ablations(session: Session) -> list[str]:
    """The ablations whose runs are all finished, but for runs of added seeds. The others are named.

    Raises:
        UserError: there is none.
    """
    plan = dataclasses.replace(session.study, added={}).plan(session.folder)
    left = {spec.run_id for spec in unfinished(unique_runs(plan.runs), session.folder)}
    lacking = {run.ablation for run in plan.runs if run.spec.run_id in left}
    lacking |= {run.ablation for run in plan.untuned}
    planned = {run.ablation for run in plan.comparison_runs} & {*session.study.ablations}
    finished = sorted(planned - lacking)
    if not finished:
        raise UserError("no ablation is finished: run `make all` first")
    if len(finished) < len(planned):
        print(f"left alone, since runs are missing: {join_words(sorted(planned & lacking))}")
    return finished


def _decide(session: Session, page: PageBuilder, finished: list[str], ends: float) -> int:
    """Train, judge and choose further seeds in turn, until nothing is left that fits into the time.

    The study is saved before its new runs are trained, so that a call that was killed is gone on
    with by the next.
    """
    before = session.study.added
    outcome, asked = train_in_turn(session, page, finished)  # what a call that was killed has left
    new = {(claim, int(budget)) for claim in before for budget in before[claim]}
    new = new if outcome.trained else set()
    while not (session.fail_fast and outcome.failed):
        tables = _judged(session.folder)
        chosen = _choose(session, tables, finished, ends - time.monotonic())
        if not chosen:
            break
        new |= {(each.claim, each.budget) for each in chosen}
        session = dataclasses.replace(session, study=with_seeds(session.study, chosen))
        session.study.save(session.folder)
        further, asked = train_in_turn(session, page, finished)
        outcome += dataclasses.replace(further, done=0)  # which were counted before
    for row in records(read_table(session.folder, "claims")):
        if (row["claim"], row["budget"]) in new:
            print(f"{row['claim']} at budget {row['budget']:.0f}: {row['verdict']}: {row['why']}")
    return session.finish(page, outcome, asked)


def _judged(folder: Path) -> Tables:
    """The tables of a results folder, made anew with the verdicts."""
    collect(folder)
    judge_all(folder)
    return Tables.load(folder)


def _choose(
    session: Session, tables: Tables, finished: list[str], seconds: float
) -> list[Candidate]:
    """Choose the undecided claims whose seeds fit into the time, and print them."""
    claims = read_table(session.folder, "claims")
    undecided = undecided_claims(tables, claims[claims["ablation"].isin(finished)])
    means = mean_seconds(tables)
    decidable = [_with_runs(session, each, means) for each in undecided if each.seeds]
    taken = cheapest_first(decidable, seconds, len(session.slots))
    for each, cost in taken:
        print(
            f"{each.claim} at budget {each.budget}: {each.present} -> {each.seeds} seeds, about"
            f" {cost / 60:.1f} min"
        )
    never, late = len(undecided) - len(decidable), len(decidable) - len(taken)
    numbers = join_words([*map(str, LOOKS)])
    print(
        f"left out: {plural(never, 'undecided claim')} that none of {numbers} seeds would decide,"
        f" {late} that would take longer than the hours that are left"
    )
    return [each for each, _ in taken]


def _with_runs(session: Session, candidate: Candidate, means: dict[Place, float]) -> Candidate:
    """The candidate, with the runs that it adds and their seconds."""
    study = with_seeds(session.study, [candidate])
    added = study.plan(session.folder, [candidate.ablation]).comparison_runs
    new = {spec.run_id for spec in unfinished(unique_runs(added), session.folder)}
    runs = {
        run.spec.run_id: means.get((run.ablation, run.variant, run.budget), 0.0)
        for run in added
        if run.spec.run_id in new
    }
    return dataclasses.replace(candidate, runs=runs)


def with_seeds(study: Study, candidates: Iterable[Candidate]) -> Study:
    """The study, with the seeds of the candidates added."""
    added = {claim: dict(numbers) for claim, numbers in study.added.items()}
    first = {claim: dict(numbers) for claim, numbers in study.first_added.items()}
    for each in candidates:
        numbers, budget = added.setdefault(each.claim, {}), str(each.budget)
        if 0 < numbers.get(budget, 0) < (each.seeds or 0):
            first.setdefault(each.claim, {}).setdefault(budget, numbers[budget])
        numbers[budget] = max(each.seeds or 0, numbers.get(budget, 0))
    return dataclasses.replace(study, added=added, first_added=first)
