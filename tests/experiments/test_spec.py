"""Run identity: what decides the numbers decides the id, and what cannot work is refused."""

import dataclasses

import pytest

from experiments.spec import Recipe, RunSpec
from model import ModelConfig


def test_everything_that_decides_the_numbers_changes_the_id(spec: RunSpec):
    others = [
        dataclasses.replace(spec, seed=1),
        dataclasses.replace(spec, corpus="c1"),
        dataclasses.replace(spec, recipe=dataclasses.replace(spec.recipe, precision="bf16")),
        dataclasses.replace(spec, recipe=dataclasses.replace(spec.recipe, compiled=True)),
        dataclasses.replace(spec, model=dataclasses.replace(spec.model, position="none")),
        dataclasses.replace(spec, recipe=dataclasses.replace(spec.recipe, learning_rate=1e-3)),
    ]
    assert len({run.run_id for run in [spec, *others]}) == 7


def test_the_id_does_not_depend_on_how_the_spec_came_about(spec: RunSpec):
    assert RunSpec.from_json(spec.to_json()) == spec
    assert RunSpec.from_json(spec.to_json()).run_id == spec.run_id


def test_an_lstm_has_one_id_whatever_transformer_fields_it_carries(spec: RunSpec):
    lstm = dataclasses.replace(spec, model=dataclasses.replace(spec.model, family="lstm"))
    heads = dataclasses.replace(lstm, model=dataclasses.replace(lstm.model, n_heads=2))
    assert lstm.run_id == heads.run_id


SAME_RUNS = [
    ({}, {"dropout": 0}, {"learning_rate": 1}, {"learning_rate": 1.0}),
    ({"n_classes": 3}, {"tie_embeddings": False}, {"task": "genre"}, {"task": "genre"}),
    ({"norm_placement": "none"}, {"norm": "rmsnorm"}, {}, {}),
    ({}, {}, {"schedule": "constant"}, {"final_learning_rate_ratio": 0.5}),
    ({"family": "bigram"}, {}, {}, {"learning_rate": 0.5, "optimizer": "adam"}),
]


@pytest.mark.parametrize(("model", "its_model", "recipe_", "its_recipe"), SAME_RUNS)
def test_what_changes_no_number_changes_no_id(spec, model, its_model, recipe_, its_recipe):
    one = dataclasses.replace(
        spec,
        model=dataclasses.replace(spec.model, **model),
        recipe=dataclasses.replace(spec.recipe, **recipe_),
    )
    other = dataclasses.replace(
        one,
        model=dataclasses.replace(one.model, **its_model),
        recipe=dataclasses.replace(one.recipe, **its_recipe),
    )
    assert one.run_id == other.run_id
    assert RunSpec.from_json(one.to_json()).run_id == one.run_id


@pytest.mark.parametrize("seed", [-1, "x", 1.0, True])
def test_a_seed_is_a_whole_number(spec: RunSpec, seed):
    with pytest.raises(ValueError, match=r"seed=.* must be a whole number"):
        dataclasses.replace(spec, seed=seed)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("steps", 0),
        ("batch_size", 2.0),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("learning_rate", float("inf")),
        ("warmup_steps", 7),
        ("schedule", "linear"),
        ("label_smoothing", 1.0),
        ("beta2", 1.0),
        ("weight_decay", -0.1),
        ("gradient_clip", "1"),
        ("compiled", 1),
        ("precision", "fp16"),
    ],
)
def test_a_recipe_that_cannot_work_is_refused_by_name(recipe: Recipe, field: str, value: object):
    with pytest.raises(ValueError, match=rf"{field}=.* it must be"):
        dataclasses.replace(recipe, **{field: value})


@pytest.mark.parametrize("family", ["encoder", "encoder_decoder"])
def test_a_network_that_the_task_cannot_train_is_refused(
    config: ModelConfig, recipe: Recipe, family: str
):
    """An encoder would be shown the very token that it has to predict."""
    model = dataclasses.replace(config, family=family)
    with pytest.raises(ValueError, match=f"family='{family}' cannot work"):
        RunSpec(model=model, recipe=recipe, corpus="0", seed=0)
