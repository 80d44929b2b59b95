"""What a variant makes of a base: multiples, and what is to stay equal."""

import dataclasses

import pytest

from experiments.ablation import Times, Variant
from experiments.spec import Recipe
from model import ModelConfig, parameter_count
from model.accounting import flops_per_token


def test_a_multiple_keeps_its_kind():
    assert Times(2).of(4) == 8
    assert isinstance(Times(2.5).of(4), int)
    assert Times(2.5).of(0.01) == pytest.approx(0.025)


def test_parameters_are_matched_as_near_as_can_be(config: ModelConfig, recipe: Recipe):
    variant = Variant("lstm", {"model.family": "lstm"}, match_parameters="d_model")
    model, _ = variant.applied_to(config, recipe)
    goal = parameter_count(config)
    off = abs(parameter_count(model) - goal)
    for other in (model.d_model - 1, model.d_model + 1):
        assert off <= abs(parameter_count(dataclasses.replace(model, d_model=other)) - goal)


def test_parameters_of_what_is_none_of_ours_are_not_matched(config: ModelConfig, recipe: Recipe):
    own = Variant("own", {"model.norm": "experiments.ablations.x:y"}, match_parameters="d_ff")
    with pytest.raises(ValueError, match="nothing can be matched: experiments"):
        own.applied_to(config, recipe)


@pytest.mark.parametrize("changes", [{"model.n_layers": Times(2)}, {"model.d_model": 16}])
def test_equal_flops_are_equal_within_a_step(config: ModelConfig, recipe: Recipe, changes: dict):
    recipe = dataclasses.replace(recipe, steps=400, warmup_steps=80)
    model, trained = Variant("other", changes, match_flops=True).applied_to(config, recipe)
    per_step = flops_per_token(model) * recipe.batch_size * config.context_length
    base = flops_per_token(config) * recipe.batch_size * config.context_length * recipe.steps
    assert abs(per_step * trained.steps - base) <= per_step / 2
    assert trained.steps != 400
    assert trained.warmup_steps / trained.steps == pytest.approx(0.2, abs=0.01)


def test_a_task_brings_its_vocabulary_and_classes(config: ModelConfig, recipe: Recipe):
    changes = {"recipe.task": "genre", "model.family": "encoder"}
    model, trained = Variant("genre", changes).applied_to(config, recipe)
    assert (model.vocab_size, model.n_classes) == (config.vocab_size + 1, 3)
    assert trained.task == "genre"
    back, _ = Variant("text", {"recipe.task": "language"}).applied_to(config, recipe)
    assert back == config
