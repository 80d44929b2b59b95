"""`trends` trains claims whose effect still changes at the next budget."""

import dataclasses

import pytest
from decidable import Program

from experiments.planning.plan import FIRST_SEED
from experiments.profiles import PROFILES
from experiments.records.collect import collect, read_table
from experiments.records.run_folder import RunFolder
from report.study.judge import judge_all
from report.study.tables import records


def test_trends_trains_the_arms_of_changing_claims_alone_at_the_next_budget(
    finished: Program, monkeypatch: pytest.MonkeyPatch
):
    smoke = dataclasses.replace(PROFILES["smoke"], budgets=(1, 2, 4))
    monkeypatch.setitem(PROFILES, "smoke", smoke)
    before = {run.spec.run_id for run in finished.study.plan(finished.results).runs}
    changing = ["decided"]
    monkeypatch.setattr("experiments.cli.decide.changing_claims", lambda *_: changing)
    status, out, _ = finished("trends")
    assert status == 0
    assert "3 seeds: decided" in out
    new = [
        run
        for run in finished.study.plan(finished.results).comparison_runs
        if run.spec.run_id not in before
    ]
    deepest = finished.study.budgets[-1]
    places = {(run.variant, run.budget, run.spec.seed - FIRST_SEED) for run in new}
    further = next(budget for budget in smoke.budgets if budget > deepest)
    assert places == {(name, further, seed) for name in ("base", "rms") for seed in range(3)}
    assert all(RunFolder(finished.results, run.spec.run_id).summary() for run in new)
    collect(finished.results)
    judge_all(finished.results)
    rows = records(read_table(finished.results, "claims"))
    assert [row["claim"] for row in rows if row["budget"] == further] == ["decided"]
    changing.clear()
    status, _, errors = finished("trends")
    assert status == 2
    assert "no claim's effect is known to change still" in errors


def test_a_run_with_budgets_does_not_train_what_trends_added_at_a_deeper_one(
    finished: Program, monkeypatch: pytest.MonkeyPatch
):
    smoke = dataclasses.replace(PROFILES["smoke"], budgets=(1, 2, 4))
    monkeypatch.setitem(PROFILES, "smoke", smoke)
    asked = ",".join(map(str, finished.study.budgets))
    further = next(budget for budget in smoke.budgets if budget > finished.study.budgets[-1])
    added = {"decided": {str(further): 1}}
    dataclasses.replace(finished.study, added=added).save(finished.results)
    assert finished("run", "--budgets", asked)[0] == 0
    new = {run.spec.run_id for run in finished.study.plan(finished.results).runs}
    assert finished.study.added == added
    left = {run_id for run_id in new if not RunFolder(finished.results, run_id).summary()}
    assert left
    assert finished("run")[0] == 0
    assert not [run_id for run_id in left if not RunFolder(finished.results, run_id).summary()]


def test_trends_takes_no_seeds_back_and_judges_no_claim_that_only_shares_the_arms(
    finished: Program, monkeypatch: pytest.MonkeyPatch
):
    """The claim "never" has the arms of "undecided"."""
    monkeypatch.setitem(
        PROFILES, "smoke", dataclasses.replace(PROFILES["smoke"], budgets=(1, 2, 4))
    )
    monkeypatch.setattr("experiments.cli.decide.changing_claims", lambda *_: ["undecided"])
    study, deepest = finished.study, finished.study.budgets[-1]
    further = next(budget for budget in (1, 2, 4) if budget > deepest)
    added = {"undecided": {str(further): 12}}
    dataclasses.replace(study, added=added).save(finished.results)
    assert finished("trends")[0] == 0
    assert finished.study.added == added
    collect(finished.results)
    judge_all(finished.results)
    rows = records(read_table(finished.results, "claims"))
    assert [(row["claim"], row["n"]) for row in rows if row["budget"] == further] == [
        ("undecided", 12)
    ]


@pytest.mark.parametrize("words", [["trends", "--seeds=3"], ["trends", "--budgets=1"]])
def test_trends_refuses_seeds_and_budgets(finished: Program, words: list[str]):
    status, _, errors = finished(*words)
    assert (status, errors.count("\n")) == (2, 1)
    assert "`make trends` chooses the seeds" in errors


def test_trends_needs_a_further_budget_of_the_profile(
    finished: Program, monkeypatch: pytest.MonkeyPatch
):
    deepest = finished.study.budgets[-1]
    smoke = dataclasses.replace(PROFILES["smoke"], budgets=tuple(finished.study.budgets))
    monkeypatch.setitem(PROFILES, "smoke", smoke)
    status, _, errors = finished("trends")
    assert status == 2
    assert f"the profile smoke has no budget above {deepest}" in errors
