"""The plan: which runs a study asks for, in which order, and how learning rates are chosen."""

import dataclasses
import math

import pytest

from experiments.ablation import Ablation, Times, Variant
from experiments.catalogue import load_ablations
from experiments.errors import UserError
from experiments.plan import TUNING_SEEDS, Plan, PlannedRun, plan, unique_runs
from experiments.profiles import PROFILES
from experiments.spec import RunSpec


def plan_of(ablations: dict[str, Ablation], profile: str = "smoke", **changes) -> Plan:
    arguments = {"vocab_size": 9, "corpus_hash": "c", "seeds": 2, "fewer_seeds": 2}
    arguments["score"] = lambda spec: None
    return plan(PROFILES[profile], ablations, **arguments | changes)


def comparison_runs(**ablations: Ablation) -> list[PlannedRun]:
    return plan_of(ablations).comparison_runs


def ablation(*variants: Variant) -> Ablation:
    return Ablation(title="", question="", baseline=variants[0].name, variants=variants)


def test_adding_a_variant_adds_only_the_runs_of_that_variant():
    plain, none = Variant("plain", {}), Variant("none", {"model.position": "none"})
    fast = Variant("fast", {"recipe.learning_rate": 0.1})
    faster = Variant("faster", {"recipe.learning_rate": 0.2})
    others = {"other": ablation(plain, none)}
    before = {run.spec.run_id for run in comparison_runs(**others, changed=ablation(plain, fast))}
    after = comparison_runs(**others, changed=ablation(plain, fast, faster))
    new = [run for run in after if run.spec.run_id not in before]
    assert {(run.ablation, run.variant) for run in new} == {("changed", "faster")}
    assert len(new) == 2  # seeds
    assert before < {run.spec.run_id for run in after}


def test_equal_runs_of_several_ablations_are_trained_once():
    runs = comparison_runs(
        one=ablation(Variant("base"), Variant("none", {"model.position": "none"})),
        two=ablation(Variant("also-base", {"model.position": "rope"}), Variant("same")),
    )
    assert len(runs) == 8
    assert len(unique_runs(runs)) == 4


def test_core_ablations_have_more_seeds():
    core = dataclasses.replace(ablation(Variant("base")), core=True)
    other = ablation(Variant("none", {"model.position": "none"}))
    runs = plan_of({"core": core, "other": other}, seeds=5, fewer_seeds=3).comparison_runs
    seeds = {
        name: [run.spec.seed for run in runs if run.ablation == name] for name in ("core", "other")
    }
    assert seeds == {"core": [0, 1, 2, 3, 4], "other": [0, 1, 2]}


def test_runs_are_ordered_by_seed_and_then_from_long_to_short():
    runs = comparison_runs(
        one=ablation(Variant("base"), Variant("deep", {"model.n_layers": Times(2)}))
    )
    order = [(run.spec.seed, run.variant) for run in runs]
    assert order == [(0, "deep"), (0, "base"), (1, "deep"), (1, "base")]


def test_variants_of_a_task_that_the_corpus_lacks_are_left_out():
    genre = {"recipe.task": "genre", "model.family": "encoder"}
    variants = [Variant("base"), Variant("genre", genre), Variant("own", genre, tuned_for="genre")]
    result = plan_of({"one": ablation(*variants)}, without=("genre",))
    assert {run.variant for run in result.runs} == {"base"}
    assert result.untuned == []


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


def test_a_tuned_variant_waits_until_all_trials_are_finished():
    result = plan_of(TUNED)
    rates = PROFILES["smoke"].rates
    assert sorted(trial.rate for trial in result.trials) == sorted(rates)
    assert {trial.variant for trial in result.trials} == {"base"}
    assert {trial.spec.seed for trial in result.trials} == {TUNING_SEEDS[0]}
    assert {run.variant for run in result.comparison_runs} == {"base"}

    first_seed = plan_of(TUNED, score=lambda spec: 1.0 if spec.seed == TUNING_SEEDS[0] else None)
    second_trials = [t for t in first_seed.trials if t.spec.seed == TUNING_SEEDS[1]]
    assert sorted(trial.rate for trial in second_trials) == sorted(rates)  # the best two of two
    assert {(run.variant, run.seed) for run in first_seed.untuned} == {
        (variant, seed) for variant in ("own-rate", "at-the-base's") for seed in (0, 1)
    }

    one_rate = plan_of(TUNED, score=lambda s: None if s.recipe.learning_rate > 0.004 else 1.0)
    assert len(result.untuned) == len(first_seed.untuned) == len(one_rate.untuned) == 4


def test_the_best_two_rates_are_tried_again_and_the_mean_over_both_seeds_decides():
    """The best rate with the first seed alone is not chosen, nor a rate outside the best two."""
    base = PROFILES["cpu"].recipe.learning_rate
    first = {0.03: 9.0, 0.1: 3.0, 0.3: 2.1, 1: 2.0, 3: 2.5, 10: math.inf}
    second = {0.3: 2.2, 1: 3.3}

    def score(spec: RunSpec) -> float:
        rate = min(first, key=lambda rate: abs(rate * base - spec.recipe.learning_rate))
        return first[rate] if spec.seed == TUNING_SEEDS[0] else second[rate]

    result = plan_of(TUNED, "cpu", score=score)
    tried_again = [t.rate for t in result.trials if t.spec.seed == TUNING_SEEDS[1]]
    assert sorted(tried_again) == [0.3, 1]
    assert result.rates == {("one", "base"): 0.3}


@pytest.mark.parametrize(
    ("losses", "best"),
    [([2.0, 1.0], 3), ([1.0, 2.0], 1), ([1.0, 1.0], 1), ([math.inf, 5.0], 3), ([math.inf] * 2, 1)],
)
def test_the_rate_with_the_lowest_loss_is_chosen(losses: list[float], best: float):
    base = PROFILES["smoke"].recipe.learning_rate
    loss_by_rate = dict(zip([base, 3 * base], losses, strict=True))
    result = plan_of(TUNED, score=lambda spec: loss_by_rate[spec.recipe.learning_rate])
    assert not result.untuned
    assert result.rates == {("one", "base"): best}
    chosen = {run.variant: run.spec.recipe.learning_rate for run in result.comparison_runs}
    assert chosen == {"base": base, "own-rate": best * base, "at-the-base's": best * base}
    # If the base's own rate is chosen, "own-rate" and "base" are the same runs.
    assert len(unique_runs(result.comparison_runs)) == (6 if best == 3 else 4)


def test_tuning_runs_are_marked_and_never_equal_a_comparison_run():
    limit = TUNING_SEEDS[0]
    result = plan_of(TUNED, score=lambda spec: 1.0, seeds=limit, fewer_seeds=limit)
    assert all(trial.spec.tuning for trial in result.trials)
    assert not any(run.spec.tuning for run in result.comparison_runs)
    comparison_ids = {run.spec.run_id for run in result.comparison_runs}
    assert not comparison_ids & {trial.spec.run_id for trial in result.trials}
    assert max(run.spec.seed for run in result.comparison_runs) < min(TUNING_SEEDS)


def test_trials_have_no_probes_and_only_the_first_seed_has_samples():
    probed = dataclasses.replace(TUNED["one"], probes=("heads", "samples"))
    result = plan_of({"one": probed}, score=lambda spec: 1.0)
    assert {trial.spec.probes for trial in result.trials} == {()}
    probes = {run.spec.seed: run.spec.probes for run in result.comparison_runs}
    assert probes == {0: ("heads", "samples"), 1: ("heads",)}


def test_all_variants_that_cannot_work_are_named_at_once():
    with pytest.raises(UserError) as refusal:
        comparison_runs(
            one=ablation(Variant("typo", {"model.position": "non"})),
            two=ablation(Variant("odd", {"model.n_heads": 5}), Variant("fine")),
            three=ablation(Variant("peeks", {"model.family": "encoder"})),
        )
    message = str(refusal.value)
    assert "ablations/one.py: variant 'typo': position='non' cannot work" in message
    assert "ablations/two.py: variant 'odd': n_heads=5 cannot work" in message
    assert "ablations/three.py: variant 'peeks': family='encoder' cannot work: the task" in message
    assert "fine" not in message


def test_every_ablation_can_be_planned_in_every_profile_and_shares_runs():
    ablations = load_ablations()
    for profile in PROFILES.values():
        runs = plan_of(ablations, profile.name, seeds=1, fewer_seeds=1).comparison_runs
        assert len(unique_runs(runs)) < len(runs)
