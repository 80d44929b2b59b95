"""How a plan chooses the learning rate of an arm from trials, at each budget."""

import dataclasses
import math

import pytest
from helping import planted
from sweeps import (
    BASE,
    BASE_RATE,
    CHECK,
    CORPUS,
    FULL,
    NONE,
    bowl,
    budget_of,
    exponent,
    plan_of,
    rates,
    tried,
)

from experiments.ablation import Ablation, Claim, Trains, Variant
from experiments.recipe import GENRES, SYMBOLS
from experiments.spec import RunSpec


def test_a_checked_arm_is_tuned_where_another_rate_is_better_by_more_than_its_claims_margin():
    for slope, rate in ((0.11, 2), (0.09, 0)):  # nats by which twice the rate is better
        arm = planted(BASE, arms=["base"], margin=0.1)
        assert rates(plan_of(bowl(2, slope), one=arm), "one") == {"base": rate}


@pytest.mark.parametrize(
    ("metric", "log", "margin"),
    [
        ("val_accuracy", False, 0.5),
        ("val_exact_match", False, 0.5),
        ("val_loss_per_character", True, 0.5),
        ("seconds_to_loss", False, 60.0),
    ],
)
def test_a_margin_in_another_unit_than_nats_is_not_taken_for_nats(
    metric: str, log: bool, margin: float
):
    claim = Claim(
        id="c",
        sentence="",
        said_by="nobody",
        effect={"base": 1},
        metric=metric,
        log=log,
        margin=margin,
        why_margin="a test",
        requires=[Trains("base")],
    )
    arm = planted(BASE, claims=[claim])
    for slope, rate in ((0.021, 2), (0.019, 0)):
        assert rates(plan_of(bowl(2, slope), one=arm), "one") == {"base": rate}


def test_the_margin_is_per_character_and_the_losses_of_trials_are_per_token():
    pairs = dataclasses.replace(CORPUS, tokens_per_character=0.5)
    for slope, rate in ((0.21, 2), (0.19, 0)):  # 0.1 nats per character are 0.2 per byte pair
        result = plan_of(bowl(2, slope), pairs, one=planted(BASE, arms=["base"], margin=0.1))
        assert rates(result, "one") == {"base": rate}


def test_a_study_that_waits_lists_every_run_whose_rate_is_not_chosen():
    ablation = planted(BASE, NONE, arms=["base", "none"], core=True)
    result = plan_of(lambda spec: None, one=ablation, seeds=2, budgets=(1, 4))
    assert result.comparison_runs == []
    waiting = {(run.variant, run.budget, run.seed) for run in result.untuned}
    assert waiting == {
        (name, b, s) for name in ("base", "none") for b in (1, 4) for s in (200, 201)
    }
    assert tried(result, "one", "base") == tried(result, "one", "none") == CHECK
    assert tried(result, "one", "base", 4) == set()
    first = plan_of(
        lambda spec: 1.0 if spec.model.position == "rope" else None, one=ablation, seeds=2
    )
    assert {run.variant for run in first.untuned} == {"none"}
    assert {run.variant for run in first.comparison_runs} == {"base"}


def test_trials_at_a_budget_wait_for_the_choice_at_the_budget_before_and_are_around_it():
    def score(spec: RunSpec) -> float | None:
        return bowl({1: -2})(spec) if budget_of(spec) == 1 else None

    ablation = planted(BASE, arms=["base"], core=True)
    result = plan_of(score, one=ablation, budgets=(1, 4, 16))
    assert rates(result, "one", 1) == {"base": -2}
    assert tried(result, "one", "base", 4) == {(-3, 0), (-2, 0), (-1, 0)}
    assert tried(result, "one", "base", 16) == set()
    assert {run.budget for run in result.untuned} == {4, 16}
    further = plan_of(bowl({1: -2, 4: 3, 16: -4}), one=ablation, budgets=(1, 4, 16))
    found = [rates(further, "one", budget)["base"] for budget in (1, 4, 16)]
    assert found == [-2, -1, -4]  # at a deeper budget, at most twice the rate before
    assert {k for k, _ in tried(further, "one", "base", 16)} == {-5, -4, -3, -2, -1, 0}


def test_a_deeper_budget_alone_still_tunes_at_the_budgets_before_it():
    ablation = planted(BASE, arms=["base"], core=True)
    alone = plan_of(bowl({1: -2, 4: -3, 16: -3}), one=ablation, budgets=(16,))
    assert {trial.budget for trial in alone.trials} == {1, 4, 16}
    assert {run.budget for run in alone.comparison_runs} == {16}
    every = plan_of(bowl({1: -2, 4: -3, 16: -3}), one=ablation, budgets=(1, 4, 16))
    ids = {trial.spec.run_id for trial in every.trials}
    assert {trial.spec.run_id for trial in alone.trials} == ids
    assert rates(alone, "one", 16) == rates(every, "one", 16) == {"base": -3}
    assert {budget for _, _, budget in alone.sweeps} == {1, 4, 16}


@pytest.mark.parametrize("budgets", [(1,), (1, 4), (1, 4, 16), (4, 16)])
def test_every_trial_of_a_variant_is_planned_once(budgets: tuple[int, ...]):
    ablation = planted(BASE, NONE, arms=["base", "none"], core=True)
    trials = [
        (t.variant, t.spec.run_id) for t in plan_of(bowl(0), one=ablation, budgets=budgets).trials
    ]
    assert len(trials) == len(set(trials))


@pytest.mark.parametrize(
    ("changes", "guess"),
    [
        ({}, 5.0),
        ({"recipe.task": "masked", "model.family": "encoder"}, 5.0),
        ({"recipe.task": "genre", "model.family": "encoder"}, math.log(len(GENRES))),
        ({"recipe.task": "sort"}, math.log(SYMBOLS)),
    ],
    ids=["language", "masked", "genre", "sort"],
)
def test_a_trial_that_ends_at_the_loss_of_a_guess_counts_as_failed(changes: dict, guess: float):
    """A rate that learns nothing is refused, and so is a rate at the edge of such a cliff."""

    def score(spec: RunSpec) -> float:
        k = exponent(spec)
        return 0.995 * guess if k >= 1 else (0.9 - 0.01 * k) * guess

    result = plan_of(score, one=planted(Variant("base", changes), arms=["base"], core=True))
    assert result.sweeps["one", "base", 1].refused == {0, 1}
    assert rates(result, "one") == {"base": -1}


def test_a_trial_that_diverged_counts_as_failed():
    ablation: Ablation = planted(BASE, arms=["base"], core=True)
    result = plan_of(lambda spec: math.inf if exponent(spec) > -2 else 2.0, one=ablation)
    assert result.sweeps["one", "base", 1].refused >= {-1, 0, 1}
    assert rates(result, "one")["base"] < -2


def test_without_scores_the_rates_of_the_files_are_planned_as_if_they_were_the_best():
    ablation = planted(BASE, NONE, arms=["base", "none"], core=True)
    result = plan_of(None, one=ablation, budgets=(1, 4))
    assert result.untuned == []
    assert {run.spec.recipe.learning_rate for run in result.comparison_runs} == {BASE_RATE}
    assert tried(result, "one", "none", 1) == tried(result, "one", "none", 4) == FULL
