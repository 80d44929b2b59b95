"""The plan: equal runs are one, rates wait for their trials, and what cannot work is named."""

import dataclasses
import math

import pytest

from experiments.ablation import Ablation, Times, Variant
from experiments.catalogue import load_ablations
from experiments.errors import UserError
from experiments.plan import plan, unique_runs
from experiments.profiles import PROFILES
from experiments.spec import TUNING_SEED, RunSpec


def whole_plan(ablations: dict[str, Ablation], profile: str = "smoke", **changes):
    facts = {"vocab_size": 9, "corpus_hash": "c", "seeds": 2, "fewer_seeds": 2}
    facts["score"] = lambda spec: None
    return plan(PROFILES[profile], ablations, **facts | changes)


def smoke_plan(**ablations: Ablation):
    return whole_plan(ablations).members


def ablation(*variants: Variant) -> Ablation:
    return Ablation(title="", question="", baseline=variants[0].name, variants=variants)


def test_a_changed_ablation_asks_for_its_new_runs_alone():
    plain, none = Variant("plain", {}), Variant("none", {"model.position": "none"})
    fast = Variant("fast", {"recipe.learning_rate": 0.1})
    faster = Variant("faster", {"recipe.learning_rate": 0.2})
    others = {"other": ablation(plain, none)}
    before = {member.spec.run_id for member in smoke_plan(**others, changed=ablation(plain, fast))}
    after = smoke_plan(**others, changed=ablation(plain, fast, faster))
    new = [member for member in after if member.spec.run_id not in before]
    assert {(member.ablation, member.variant) for member in new} == {("changed", "faster")}
    assert len(new) == 2  # seeds
    assert before < {member.spec.run_id for member in after}


def test_equal_runs_are_one():
    members = smoke_plan(
        one=ablation(Variant("base"), Variant("none", {"model.position": "none"})),
        two=ablation(Variant("also-base", {"model.position": "rope"}), Variant("same")),
    )
    assert len(members) == 8
    assert len(unique_runs(members)) == 4


def test_the_core_gets_all_seeds_and_the_rest_fewer():
    core = dataclasses.replace(ablation(Variant("base")), core=True)
    rest = ablation(Variant("none", {"model.position": "none"}))
    members = whole_plan({"core": core, "rest": rest}, seeds=5, fewer_seeds=3).members
    seeds = {
        name: [m.spec.seed for m in members if m.ablation == name] for name in ("core", "rest")
    }
    assert seeds == {"core": [0, 1, 2, 3, 4], "rest": [0, 1, 2]}


def test_seed_by_seed_and_the_longest_first():
    members = smoke_plan(
        one=ablation(Variant("base"), Variant("deep", {"model.n_layers": Times(2)}))
    )
    found = [(member.spec.seed, member.variant) for member in members]
    assert found == [(0, "deep"), (0, "base"), (1, "deep"), (1, "base")]


TUNED = {
    "one": Ablation(
        title="",
        question="",
        baseline="base",
        variants=[
            Variant("base"),
            Variant("own-rate", tuned_for="base"),
            Variant("at-the-base's", {"model.position": "none"}, tuned_for="base"),
        ],
    )
}


def test_a_rate_waits_for_its_trials():
    found = whole_plan(TUNED)
    rates = PROFILES["smoke"].rates
    assert sorted(trial.rate for trial in found.trials) == sorted(rates)
    assert {trial.variant for trial in found.trials} == {"base"}
    assert {trial.spec.seed for trial in found.trials} == {TUNING_SEED}
    first_seed = whole_plan(TUNED, score=lambda spec: 1.0 if spec.seed == TUNING_SEED else None)
    again = [t for t in first_seed.trials if t.spec.seed == TUNING_SEED + 1]
    assert len(first_seed.waiting) == 4
    assert sorted(trial.rate for trial in again) == sorted(rates)  # the best two of two
    assert {member.variant for member in found.members} == {"base"}
    assert {(w.variant, w.seed) for w in found.waiting} == {
        (variant, seed) for variant in ("own-rate", "at-the-base's") for seed in (0, 1)
    }
    unfinished = whole_plan(
        TUNED, score=lambda spec: None if spec.recipe.learning_rate > 0.004 else 1.0
    )
    assert len(unfinished.waiting) == 4


def test_the_best_two_are_tried_again_and_their_mean_decides():
    """The lucky one of the first seed is not taken; nor one that was not among the best two."""
    base = PROFILES["cpu"].recipe.learning_rate
    first = {0.03: 9.0, 0.1: 3.0, 0.3: 2.1, 1: 2.0, 3: 2.5, 10: math.inf}

    def score(spec: RunSpec) -> float:
        rate = min(first, key=lambda rate: abs(rate * base - spec.recipe.learning_rate))
        return first[rate] if spec.seed == TUNING_SEED else {0.3: 2.2, 1: 3.3}[rate]

    found = whole_plan(TUNED, "cpu", score=score)
    again = [t.rate for t in found.trials if t.spec.seed == TUNING_SEED + 1]
    assert sorted(again) == [0.3, 1]
    assert found.rates == {("one", "base"): 0.3}


@pytest.mark.parametrize(
    ("losses", "best"),
    [([2.0, 1.0], 3), ([1.0, 2.0], 1), ([1.0, 1.0], 1), ([math.inf, 5.0], 3), ([math.inf] * 2, 1)],
)
def test_the_rate_of_the_lowest_loss_is_taken(losses: list[float], best: float):
    base = PROFILES["smoke"].recipe.learning_rate
    by_rate = dict(zip([base, 3 * base], losses, strict=True))
    found = whole_plan(TUNED, score=lambda spec: by_rate[spec.recipe.learning_rate])
    assert not found.waiting
    assert found.rates == {("one", "base"): best}
    trained = {m.variant: m.spec.recipe.learning_rate for m in found.members}
    assert trained == {"base": base, "own-rate": best * base, "at-the-base's": best * base}
    # a rate that is the base's own is the base's own run, shared
    assert len(unique_runs(found.members)) == (6 if best == 3 else 4)


def test_what_tries_a_rate_is_in_no_comparison():
    found = whole_plan(TUNED, score=lambda spec: 1.0, seeds=TUNING_SEED, fewer_seeds=TUNING_SEED)
    assert not {m.spec.run_id for m in found.members} & {t.spec.run_id for t in found.trials}


def test_all_variants_that_cannot_work_are_named_at_once():
    with pytest.raises(UserError) as refusal:
        smoke_plan(
            one=ablation(Variant("typo", {"model.postion": "none"})),
            two=ablation(Variant("odd", {"model.n_heads": 5}), Variant("fine")),
            three=ablation(Variant("peeks", {"model.family": "encoder"})),
        )
    message = str(refusal.value)
    assert "'one/typo': no field 'model.postion', did you mean 'model.position'?" in message
    assert "'two/odd': n_heads=5 cannot work" in message
    assert "'three/peeks': family='encoder' cannot work: the task 'language' is for" in message
    assert "fine" not in message


def test_every_ablation_plans_in_every_profile_and_the_base_is_shared():
    ablations = load_ablations()
    for profile in PROFILES.values():
        members = whole_plan(ablations, profile.name, seeds=1, fewer_seeds=1).members
        assert len(unique_runs(members)) < len(members)
