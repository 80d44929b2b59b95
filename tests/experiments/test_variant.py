"""Variants: multiples of the base, matched sizes, tasks, and functions that make several."""

import dataclasses

import pytest

from experiments.ablation import Times, Variant, cross, custom, vary, without_each
from experiments.recipe import Recipe
from model import ModelConfig, parameter_count
from model.accounting import flops_per_token


def test_a_multiple_has_the_type_of_the_base_value():
    assert Times(2).of(4) == 8
    assert isinstance(Times(2.5).of(4), int)
    assert Times(2.5).of(0.01) == pytest.approx(0.025)


def test_match_parameters_finds_the_nearest_parameter_count(config: ModelConfig, recipe: Recipe):
    variant = Variant("lstm", {"model.family": "lstm"}, match_parameters="d_model")
    model, _ = variant.applied_to(config, recipe)
    goal = parameter_count(config)
    difference = abs(parameter_count(model) - goal)
    for width in (model.d_model - 1, model.d_model + 1):
        neighbour = dataclasses.replace(model, d_model=width)
        assert difference <= abs(parameter_count(neighbour) - goal)


@pytest.mark.parametrize("changes", [{"model.n_layers": Times(2)}, {"model.d_model": 16}])
def test_match_flops_is_exact_within_one_step(config: ModelConfig, recipe: Recipe, changes: dict):
    recipe = dataclasses.replace(recipe, steps=400, warmup_steps=80)
    model, matched = Variant("other", changes, match_flops=True).applied_to(config, recipe)
    flops_per_step = flops_per_token(model) * recipe.batch_size * config.context_length
    base = flops_per_token(config) * recipe.batch_size * config.context_length * recipe.steps
    assert abs(flops_per_step * matched.steps - base) <= flops_per_step / 2
    assert matched.steps != 400
    assert matched.warmup_steps / matched.steps == pytest.approx(0.2, abs=0.01)


def test_a_task_sets_the_vocabulary_and_the_classes(config: ModelConfig, recipe: Recipe):
    changes = {"recipe.task": "genre", "model.family": "encoder"}
    model, genre = Variant("genre", changes).applied_to(config, recipe)
    assert (model.vocab_size, model.n_classes) == (config.vocab_size + 1, 3)
    assert genre.task == "genre"
    unchanged, _ = Variant("text", {"recipe.task": "language"}).applied_to(config, recipe)
    assert unchanged == config


def test_vary_names_variants_after_the_field_and_the_value():
    assert [v.name for v in vary("n_heads", [1, 2])] == ["heads-1", "heads-2"]
    assert vary("n_heads", [2]) == [Variant("heads-2", {"model.n_heads": 2})]
    assert vary("recipe.steps", [Times(2)]) == [Variant("steps-2x", {"recipe.steps": Times(2)})]
    assert [v.name for v in vary("position", ["none", "rope"])] == ["none", "rope"]
    assert [v.name for v in vary("dropout", [0.1], called="drop")] == ["drop-0.1"]
    assert [v.name for v in vary("tie_embeddings", [False])] == ["tie-embeddings-false"]


def test_cross_combines_every_variant_of_each_axis():
    variants = cross(vary("n_heads", [1, 2]), vary("norm", ["layernorm", "rmsnorm"]))
    names = ["heads-1-layernorm", "heads-1-rmsnorm", "heads-2-layernorm", "heads-2-rmsnorm"]
    assert [v.name for v in variants] == names
    assert variants[1].changes == {"model.n_heads": 1, "model.norm": "rmsnorm"}
    with pytest.raises(ValueError, match=r"two axes change model\.n_heads"):
        cross(vary("n_heads", [1]), vary("n_heads", [2]))


def test_without_each_takes_away_one_change_at_a_time():
    strong = Variant("all", {"model.norm": "rmsnorm", "model.n_kv_heads": 2})
    variants = without_each(strong, {"model.norm": "layernorm"})
    assert variants == [
        strong,
        Variant("all-without-rmsnorm", {"model.n_kv_heads": 2, "model.norm": "layernorm"}),
        Variant("all-without-kv-heads-2", {"model.norm": "rmsnorm"}),
    ]
    assert without_each(strong, {"norm": "layernorm"}) == variants
    with pytest.raises(ValueError, match=r"'all' does not change model\.dropout"):
        without_each(strong, {"dropout": 0.1})


@pytest.mark.parametrize("build", [without_each, lambda variant: cross([variant])])
def test_a_tuned_variant_cannot_be_combined_with_others(build):
    norm = {"model.norm": "rmsnorm"}
    for tuned in (Variant("x", norm, tuned_for="all"), Variant("x", norm, fixed_rate=True)):
        with pytest.raises(ValueError, match="are for the variants that result"):
            build(tuned)


def test_a_variant_cannot_be_tuned_for_another_and_keep_the_rate_of_its_file():
    with pytest.raises(ValueError, match="variant 'both' has tuned_for and fixed_rate: choose one"):
        Variant("both", tuned_for="other", fixed_rate=True)


def test_custom_names_a_function_by_module_and_name():
    assert custom(parameter_count) == "model.accounting:parameter_count"
