"""Arms: which variants have a learning rate of their own, and which share one."""

import dataclasses

import pytest
from helping import planted
from sweeps import BASE, CHECK, FULL, NONE, bowl, plan_of, rates, settled, tried

from experiments.ablation import Claim, Times, Variant


def test_an_arm_of_a_core_ablation_is_tuned_and_another_arm_is_checked_with_three_trials():
    core = planted(BASE, NONE, arms=["base", "none"], core=True)
    other = planted(Variant("rms", {"model.norm": "rmsnorm"}), arms=["rms"])
    result = plan_of(bowl(-0.1), core=core, other=other)
    assert tried(result, "core", "base") == tried(result, "core", "none") == FULL
    assert tried(result, "other", "rms") == CHECK
    assert result.sweeps["core", "base", 1].full
    assert not result.sweeps["other", "rms", 1].full
    assert rates(result, "core") == {"base": 0, "none": 0}
    assert rates(result, "other") == {"rms": 0}
    assert len(result.trials) == 2 * 7 + 3


def test_arms_of_several_ablations_that_are_the_same_run_have_one_rate_tuned_if_any_is_core():
    other = planted(Variant("also-base", {"model.position": "rope"}), arms=["also-base"])
    core = planted(BASE, arms=["base"], core=True)
    for options in ({}, {"only": ["other"]}):  # the rate is that of the whole study
        result = plan_of(bowl(-2, 0.01), other=other, core=core, **options)
        assert rates(result, "other") == {"also-base": -2}
        assert len(tried(result, "other", "also-base")) > 3
    together = plan_of(bowl(-2, 0.01), other=other, core=core)
    assert tried(together, "other", "also-base") == tried(together, "core", "base")
    assert rates(together, "core") == {"base": -2}
    assert len({run.spec.run_id for run in together.comparison_runs}) == 1
    assert rates(plan_of(bowl(-2, 0.01), other=other), "other") == {"also-base": 0}


def test_the_least_margin_of_all_claims_decides_whether_an_arm_is_tuned():
    coarse, fine = planted(BASE, arms=["base"], margin=0.5), planted(BASE, arms=["base"])
    for ablations in ({"one": coarse, "two": fine}, {"two": fine, "one": coarse}):
        result = plan_of(bowl(2, 0.2), **ablations)
        assert rates(result, "one") == rates(result, "two") == {"base": 2}
    assert rates(plan_of(bowl(2, 0.2), one=coarse), "one") == {"base": 0}


def test_a_variant_that_no_claim_weighs_has_the_rate_of_its_ablations_baseline():
    twice = Variant("twice", {"recipe.learning_rate": Times(2)})
    ablation = planted(BASE, NONE, twice, arms=["base"], core=True)
    result = plan_of(bowl({1: 2, 4: 1}), one=ablation, budgets=(1, 4))
    assert {trial.variant for trial in result.trials} == {"base"}
    assert rates(result, "one", 1) == {"base": 2, "none": 2, "twice": 3}  # twice its file's rate
    assert rates(result, "one", 4) == {"base": 1, "none": 1, "twice": 2}


def test_a_variant_has_the_rate_of_its_file_where_neither_it_nor_the_baseline_is_an_arm():
    third = Variant("third", {"model.norm": "rmsnorm"})
    result = plan_of(bowl(2), one=planted(BASE, NONE, third, arms=["none"], core=True))
    assert rates(result, "one") == {"base": 0, "none": 2, "third": 0}
    assert {trial.variant for trial in result.trials} == {"none"}


def test_a_variant_with_a_fixed_rate_has_the_rate_of_its_file_whatever_weighs_it():
    fixed = dataclasses.replace(NONE, fixed_rate=True)
    ablation = planted(BASE, fixed, arms=["base", "none"], core=True)
    result = plan_of(bowl({1: 2, 4: 1}), one=ablation, budgets=(1, 4))
    assert {trial.variant for trial in result.trials} == {"base"}
    assert rates(result, "one", 1) == {"base": 2, "none": 0}
    assert rates(result, "one", 4) == {"base": 1, "none": 0}
    # Nor does a baseline with a fixed rate hand on a rate that was never tried.
    base = dataclasses.replace(BASE, fixed_rate=True)
    result = plan_of(bowl(2), one=planted(base, NONE, arms=["base"], core=True))
    assert result.trials == []
    assert rates(result, "one") == {"base": 0, "none": 0}


def test_claims_about_speed_choose_no_learning_rate():
    claim = Claim(
        id="fast",
        sentence="",
        said_by="nobody",
        effect={"base": 1, "none": -1},
        metric="tokens_per_second",
        margin=0.1,
        why_margin="a test",
    )
    result = plan_of(bowl(2), one=planted(BASE, NONE, claims=[claim], core=True))
    assert result.trials == []
    assert rates(result, "one") == {"base": 0, "none": 0}


def test_a_bigram_is_counted_and_has_no_rate_to_choose():
    bigram = Variant("bigram", {"model.family": "bigram"})
    ablation = planted(bigram, BASE, NONE, arms=["bigram", "base"], core=True)
    result = plan_of(bowl(2), one=ablation)
    assert {trial.variant for trial in result.trials} == {"base"}
    assert rates(result, "one") == {"bigram": 0, "base": 2, "none": 0}


def test_tuned_for_shares_the_rate_of_another_variant_even_where_a_claim_weighs_both():
    shared = dataclasses.replace(NONE, tuned_for="base")
    ablation = planted(BASE, shared, arms=["base", "none"], core=True)
    result = plan_of(bowl({1: 1, 4: 0}), one=ablation, budgets=(1, 4))
    assert {trial.variant for trial in result.trials} == {"base"}
    assert rates(result, "one", 1) == {"base": 1, "none": 1}
    assert rates(result, "one", 4) == {"base": 0, "none": 0}


@pytest.mark.parametrize(
    "variants",
    [
        [BASE, NONE, Variant("third", {"model.norm": "rmsnorm"}, tuned_for="none")],
        [BASE, Variant("own", {"model.position": "none"}, tuned_for="own")],
        [
            BASE,
            dataclasses.replace(NONE, tuned_for="base"),
            Variant("third", {"model.norm": "rmsnorm"}, tuned_for="none"),
        ],
    ],
    ids=["of a variant that no claim weighs", "of itself", "of a variant tuned for another"],
)
@pytest.mark.parametrize("arms", [[], ["base"]])
def test_no_variant_waits_for_a_rate_that_no_trial_of_the_plan_decides(
    variants: list[Variant], arms: list[str]
):
    ablation = planted(*variants, arms=arms, core=True)
    result = settled(lambda score: plan_of(score, one=ablation), bowl(1))
    assert result.untuned == []
    assert {run.variant for run in result.comparison_runs} == {each.name for each in variants}


def test_an_arm_of_a_core_ablation_is_tuned_even_where_it_has_the_rate_of_another_variant():
    third = Variant("third", {"model.norm": "rmsnorm"}, tuned_for="none")
    ablation = planted(BASE, NONE, third, arms=["base", "third"], core=True)
    result = plan_of(bowl(2, 0.01), one=ablation)  # a check would keep the rate of the file
    assert rates(result, "one")["third"] == 2
