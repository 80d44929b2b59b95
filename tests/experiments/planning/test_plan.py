"""The plan: which runs a study asks for, at which budgets, and in which order."""

import dataclasses
import math

import pytest
from helping import planted
from sweeps import settled

from experiments.ablation import Ablation, Beats, Claim, Times, Trains, UsesContext, Variant
from experiments.catalogue import load_ablations
from experiments.planning.plan import FIRST_SEED, YARDSTICKS, Plan, PlannedRun, plan, unique_runs
from experiments.planning.rates import CorpusFacts
from experiments.planning.tuning import TUNING_SEEDS
from experiments.profiles import PROFILES
from experiments.recipe import Recipe
from experiments.spec import RunSpec

NONE = {"model.position": "none"}


def plan_of(profile: str = "smoke", changes: dict | None = None, **ablations: Ablation) -> Plan:
    arguments = {"seeds": 2, "fewer_seeds": 2, "budgets": (1,), "score": None}
    corpus = CorpusFacts(vocab_size=9, hash="c")
    return plan(PROFILES[profile], ablations, corpus, **arguments | (changes or {}))


def comparison_runs(**ablations: Ablation) -> list[PlannedRun]:
    return plan_of(**ablations).comparison_runs


def test_adding_a_variant_adds_only_the_runs_of_that_variant():
    plain, none = Variant("plain", {}), Variant("none", NONE)
    fast = Variant("fast", {"recipe.learning_rate": 0.1})
    faster = Variant("faster", {"recipe.learning_rate": 0.2})
    others = {"other": planted(plain, none, arms=["plain", "none"])}
    before = {run.spec.run_id for run in comparison_runs(**others, changed=planted(plain, fast))}
    after = comparison_runs(**others, changed=planted(plain, fast, faster))
    new = [run for run in after if run.spec.run_id not in before]
    assert {(run.ablation, run.variant) for run in new} == {("changed", "faster")}
    assert len(new) == 2  # seeds
    assert before < {run.spec.run_id for run in after}


def test_equal_runs_of_several_ablations_are_trained_once():
    runs = comparison_runs(
        one=planted(Variant("base"), Variant("none", NONE)),
        two=planted(Variant("also-base", {"model.position": "rope"}), Variant("same")),
    )
    assert len(runs) == 8
    assert len(unique_runs(runs)) == 4


def test_core_ablations_have_more_seeds():
    core, other = planted(Variant("base"), core=True), planted(Variant("none", NONE))
    runs = plan_of(changes={"seeds": 5, "fewer_seeds": 3}, core=core, other=other).comparison_runs
    seeds = {
        name: [run.spec.seed for run in runs if run.ablation == name] for name in ("core", "other")
    }
    assert seeds == {"core": [*range(200, 205)], "other": [*range(200, 203)]}


@pytest.mark.parametrize(
    ("fields", "study", "trained"),
    [
        ({"core": True}, (1, 4, 16), [1, 4, 16]),
        ({"core": True}, (4,), [4]),
        ({}, (1, 4, 16), [1]),
        ({}, (4, 16), [4]),
        ({"budgets": (4, 16)}, (1, 4), [4]),
        ({"budgets": (4, 16)}, (1, 4, 16), [4, 16]),
        ({"budgets": (4,)}, (1,), [1]),
        ({"core": True, "budgets": (1,)}, (1, 4, 16), [1]),
        ({"core": True, "budgets": (7,)}, (4, 16), [4]),
    ],
)
def test_a_core_ablation_is_trained_at_all_budgets_and_another_at_the_first_or_at_its_own(
    fields: dict, study: tuple[int, ...], trained: list[int]
):
    ablation = planted(Variant("base"), Variant("none", NONE), **fields)
    runs = plan_of("cpu", {"budgets": study}, one=ablation).comparison_runs
    for name in ("base", "none"):
        assert sorted({run.budget for run in runs if run.variant == name}) == trained
    assert len(runs) == len(unique_runs(runs)) == 2 * 2 * len(trained)


@pytest.mark.parametrize("profile", PROFILES)
def test_a_run_at_a_budget_is_a_longer_training_with_its_own_schedule(profile: str):
    """A budget is no later point of the same training: warm-up and evaluations are stretched."""
    base, further = PROFILES[profile].recipe, PROFILES[profile].budgets[-1]
    ablation = planted(Variant("base"), core=True)
    runs = plan_of(profile, {"budgets": (1, further), "seeds": 1}, one=ablation).comparison_runs
    assert [run.budget for run in runs] == [1, further]
    assert runs[0].spec.recipe == base
    assert runs[1].spec.recipe == dataclasses.replace(
        base,
        steps=further * base.steps,
        warmup_steps=further * base.warmup_steps,
        eval_every=further * base.eval_every,
    )
    assert runs[0].spec.model == runs[1].spec.model


def test_a_variant_changes_the_recipe_of_its_budget():
    half = Variant("half", {"recipe.steps": Times(0.5), "recipe.warmup_steps": 0})
    runs = plan_of(changes={"budgets": (1, 2)}, one=planted(half, core=True)).comparison_runs
    recipes: dict[int, Recipe] = {run.budget: run.spec.recipe for run in runs}
    assert {budget: recipe.steps for budget, recipe in recipes.items()} == {1: 15, 2: 30}
    assert {recipe.warmup_steps for recipe in recipes.values()} == {0}


def test_the_profiles_have_budgets_that_increase_from_1_and_use_the_first_of_them():
    for profile in PROFILES.values():
        assert profile.budgets[0] == 1
        assert list(profile.budgets) == sorted({*profile.budgets})
        defaults = profile.default_budgets
        assert profile.budgets[: len(defaults)] == defaults


def test_runs_are_planned_by_budget_then_by_seed_and_then_from_long_to_short():
    deep = Variant("deep", {"model.n_layers": Times(2)})
    ablation = planted(Variant("base"), deep, core=True)
    runs = plan_of(changes={"budgets": (1, 2)}, one=ablation).comparison_runs
    order = [(run.budget, run.spec.seed, run.variant) for run in runs]
    assert order == [
        (budget, seed, name)
        for budget in (1, 2)
        for seed in (200, 201)
        for name in ("deep", "base")
    ]


def test_turns_begin_with_the_core_budget_by_budget_and_end_with_the_seeds_of_the_others():
    none = Variant("none", NONE)
    core = planted(Variant("base"), none, arms=["base", "none"], core=True)
    other = planted(Variant("other", {"model.norm": "rmsnorm"}), arms=["other"])
    result = plan_of(changes={"budgets": (1, 2)}, other=other, core=core)
    turns = sorted({run.turn for run in result.runs})
    assert [str(turn) for turn in turns] == [
        "core, learning rates at budget 1",
        "core, first seed at budget 1",
        "core, learning rates at budget 2",
        "core, first seed at budget 2",
        "core, seed 201",
        "further ablations, learning rates at budget 1",
        "further ablations, seed 200",
        "further ablations, seed 201",
    ]
    for run in result.runs:
        words = str(run.turn)
        assert words.startswith("core" if run.ablation == "core" else "further ablations")
        assert ("learning rates" in words) == (run.rate is not None)
        name = "first seed" if run.core and run.is_first else f"seed {run.spec.seed}"
        assert run.rate is not None or name in words
        assert "budget" not in words or words.endswith(f"budget {run.budget}")


def test_trials_are_in_an_earlier_turn_than_the_runs_that_wait_for_them():
    ablations = {
        "core": planted(Variant("base"), arms=["base"], core=True),
        "other": planted(Variant("none", NONE), arms=["none"], budgets=(1, 2)),
    }
    result = plan_of(changes={"budgets": (1, 2)}, **ablations)
    for trial in result.trials:
        waiting = [run for run in result.comparison_runs if run.ablation == trial.ablation]
        assert trial.turn < min(run.turn for run in waiting if run.budget >= trial.budget)


def test_variants_of_a_task_that_the_corpus_lacks_are_left_out():
    genre = {"recipe.task": "genre", "model.family": "encoder"}
    variants = [Variant("base"), Variant("genre", genre), Variant("own", genre, tuned_for="genre")]
    ablation = planted(*variants, arms=["base", "genre"], core=True)
    result = plan_of(changes={"without": ("genre",), "budgets": (1, 2)}, one=ablation)
    assert {run.variant for run in result.runs} == {"base"}
    assert {variant for _, variant, _ in result.sweeps} == {"base"}
    assert result.untuned == []


def test_tuning_runs_are_marked_and_never_equal_a_comparison_run():
    limit = TUNING_SEEDS[0] - FIRST_SEED
    ablation = planted(Variant("base"), Variant("none", NONE), arms=["base", "none"], core=True)
    changes = {"seeds": limit, "fewer_seeds": limit, "budgets": (1, 2)}
    result = plan_of(changes=changes, one=ablation)
    assert {trial.spec.seed for trial in result.trials} == {*TUNING_SEEDS}
    assert all(trial.spec.tuning for trial in result.trials)
    assert not any(run.spec.tuning for run in result.comparison_runs)
    comparison_ids = {run.spec.run_id for run in result.comparison_runs}
    assert not comparison_ids & {trial.spec.run_id for trial in result.trials}
    assert max(run.spec.seed for run in result.comparison_runs) < min(TUNING_SEEDS)


def test_trials_have_no_probes_and_only_the_first_seed_has_samples():
    probed = planted(Variant("base"), arms=["base"], probes=("heads", "samples", "atlas"))
    result = plan_of(one=probed)
    assert {trial.spec.probes for trial in result.trials} == {()}
    probes = {run.spec.seed: run.spec.probes for run in result.comparison_runs}
    assert probes == {FIRST_SEED: ("heads", "samples", "atlas"), FIRST_SEED + 1: ("heads",)}


def test_seeds_begin_where_the_study_says():
    gate = gated(Beats("base"), core=True, probes=["positions", "samples"])
    result = plan_of(changes={"seeds": 2, "first_seed": 300, "budgets": (1, 2)}, one=gate)
    places = [(run.variant, run.spec.seed, run.is_first) for run in result.comparison_runs]
    seeds = [(300, True), (301, False)]
    assert {*places} == {(name, *seed) for name in ("base", "bigram") for seed in seeds}
    sampled = {run.spec.seed for run in result.comparison_runs if "samples" in run.spec.probes}
    assert sampled == {300}
    first = {run.spec.seed for run in result.comparison_runs if "first seed" in str(run.turn)}
    assert first == {300}


def gated(gate: object, **fields: object) -> Ablation:
    claim = {"id": "c", "sentence": "", "said_by": "x", "effect": {"base": 1}}
    claim |= {"margin": 0.1, "why_margin": "x"}
    return planted(Variant("base"), claims=[Claim(**claim, requires=[gate])], **fields)


@pytest.mark.parametrize("gate", [Beats("base", "bigram"), UsesContext("base")])
def test_the_bigram_is_planned_at_every_budget_and_seed_of_ablations_with_a_gate_about_it(
    gate: object,
):
    changes = {"seeds": 3, "budgets": (1, 2)}
    probes = {"probes": ["positions"]}
    result = plan_of(
        changes=changes, one=gated(gate, core=True, **probes), two=gated(gate, **probes)
    )
    bigrams = [run for run in result.comparison_runs if run.ablation == YARDSTICKS]
    places = [(run.variant, run.budget, run.spec.seed) for run in bigrams]
    assert places == [("bigram", budget, seed) for budget in (1, 2) for seed in (200, 201, 202)]
    assert {run.core for run in bigrams} == {True}
    compared = {
        (r.budget, r.spec.seed): r.spec for r in result.comparison_runs if r.ablation == "one"
    }
    for run in bigrams:
        theirs = compared[run.budget, run.spec.seed]
        bigram = dataclasses.replace(theirs.model, family="bigram")
        assert run.spec == dataclasses.replace(theirs, model=bigram, probes=("positions",))


def test_the_bigram_is_planned_only_where_a_planned_ablation_needs_it():
    gates = {
        "trains": gated(Trains("base"), core=True),
        "uniform": gated(Beats("base", "uniform"), core=True),
        "bigram": gated(Beats("base")),
    }
    result = plan_of(changes={"budgets": (1, 2), "seeds": 5, "fewer_seeds": 1}, **gates)
    bigrams = [run for run in result.comparison_runs if run.ablation == YARDSTICKS]
    assert [(run.budget, run.spec.seed, run.core) for run in bigrams] == [(1, FIRST_SEED, False)]
    without = plan_of(changes={"only": ["trains", "uniform"]}, **gates)
    assert YARDSTICKS not in {run.ablation for run in without.runs}


def test_a_bigram_that_an_ablation_compares_as_well_is_counted_once():
    ladder = planted(Variant("bigram", {"model.family": "bigram"}), Variant("base"), probes=[])
    runs = plan_of(ladder=ladder, gated=gated(Beats("base"))).comparison_runs
    bigrams = [run for run in runs if run.variant == "bigram"]
    assert sorted({run.ablation for run in bigrams}) == ["ladder", YARDSTICKS]
    assert [spec.probes for spec in unique_runs(bigrams)] == [("positions",)] * 2  # seeds


def test_labels_name_the_budget_where_it_is_not_the_first_and_the_seed_of_a_repeated_trial():
    result = plan_of(
        changes={"budgets": (1, 2)}, one=planted(Variant("base"), arms=["base"], core=True)
    )
    labels = {run.label for run in result.runs}
    assert len(labels) == len(unique_runs(result.runs))
    assert {"seed 201 one/base", "seed 201 one/base at budget 2", "rate 0.5x one/base"} <= labels
    assert {"rate 0.5x again (2) one/base", "rate 0.5x again (3) one/base at budget 2"} <= labels


def test_every_ablation_can_be_planned_in_every_profile_and_shares_runs():
    ablations = load_ablations()
    for profile in PROFILES.values():
        changes = {"seeds": 1, "fewer_seeds": 1, "budgets": profile.budgets}
        runs = plan_of(profile.name, changes, **ablations).comparison_runs
        assert len(unique_runs(runs)) < len(runs)


def test_every_run_of_every_ablation_is_planned_once_all_trials_are_finished():
    profile = PROFILES["cpu"]
    options = {"seeds": 1, "fewer_seeds": 1, "budgets": profile.budgets}
    corpus = CorpusFacts(vocab_size=84, hash="", unigram_loss=3.3)
    result = settled(
        lambda score: plan(profile, load_ablations(), corpus, score=score, **options),
        lambda spec: 0.5 + abs(math.log(spec.recipe.learning_rate / 1e-2)),
    )
    assert result.untuned == []
    asked = plan(profile, load_ablations(), corpus, score=None, **options)
    assert {(run.ablation, run.variant, run.budget) for run in result.comparison_runs} == {
        (run.ablation, run.variant, run.budget) for run in asked.comparison_runs
    }


def test_a_plan_needs_no_score_of_a_comparison_run():
    asked: list[RunSpec] = []

    def score(spec: RunSpec) -> float:
        asked.append(spec)
        return math.inf

    plan_of(changes={"score": score}, one=planted(Variant("base"), arms=["base"], core=True))
    assert asked
    assert all(spec.tuning for spec in asked)
