"""Run specs: which values change the run id, and which values are refused."""

import dataclasses

import pytest

from experiments.recipe import Recipe
from experiments.spec import RunSpec
from model import ModelConfig


def test_values_that_decide_the_numbers_change_the_run_id(spec: RunSpec):
    recipe, model = spec.recipe, spec.model
    others = [
        dataclasses.replace(spec, seed=1),
        dataclasses.replace(spec, corpus="c1"),
        dataclasses.replace(spec, tuning=True),
        dataclasses.replace(spec, recipe=dataclasses.replace(recipe, precision="bf16")),
        dataclasses.replace(spec, recipe=dataclasses.replace(recipe, compiled=True)),
        dataclasses.replace(spec, recipe=dataclasses.replace(recipe, learning_rate=1e-3)),
        dataclasses.replace(spec, model=dataclasses.replace(model, position="none")),
    ]
    assert len({run.run_id for run in [spec, *others]}) == 8


def test_probes_do_not_change_the_run_id(spec: RunSpec):
    assert dataclasses.replace(spec, probes=("heads",)).run_id == spec.run_id


def test_a_spec_read_from_json_is_equal_and_has_the_same_run_id(spec: RunSpec):
    assert RunSpec.from_json(spec.to_json()) == spec
    assert RunSpec.from_json(spec.to_json()).run_id == spec.run_id


def test_transformer_fields_do_not_change_the_run_id_of_an_lstm(spec: RunSpec):
    lstm = dataclasses.replace(spec, model=dataclasses.replace(spec.model, family="lstm"))
    heads = dataclasses.replace(lstm, model=dataclasses.replace(lstm.model, n_heads=2))
    assert lstm.run_id == heads.run_id


# Model and recipe of a run, and further changes of each that leave the run the same.
SAME_RUNS = [
    ({}, {"learning_rate": 1}, {"dropout": 0}, {"learning_rate": 1.0}),
    ({"n_classes": 3}, {"task": "genre"}, {"tie_embeddings": False}, {}),
    ({"norm_placement": "none"}, {}, {"norm": "rmsnorm"}, {}),
    ({}, {"schedule": "constant"}, {}, {"final_learning_rate_ratio": 0.5}),
    ({"family": "bigram"}, {}, {}, {"learning_rate": 0.5, "optimizer": "adam"}),
]


@pytest.mark.parametrize(("model", "recipe_changes", "more_model", "more_recipe"), SAME_RUNS)
def test_values_that_the_run_does_not_use_leave_the_run_id_the_same(
    spec: RunSpec, model: dict, recipe_changes: dict, more_model: dict, more_recipe: dict
):
    first = dataclasses.replace(
        spec,
        model=dataclasses.replace(spec.model, **model),
        recipe=dataclasses.replace(spec.recipe, **recipe_changes),
    )
    second = dataclasses.replace(
        first,
        model=dataclasses.replace(first.model, **more_model),
        recipe=dataclasses.replace(first.recipe, **more_recipe),
    )
    assert first.run_id == second.run_id
    assert RunSpec.from_json(first.to_json()).run_id == first.run_id


@pytest.mark.parametrize("seed", [-1, "x", 1.0, True])
def test_a_seed_that_is_not_a_whole_number_is_refused(spec: RunSpec, seed: object):
    with pytest.raises(ValueError, match=r"seed=.* must be a whole number"):
        dataclasses.replace(spec, seed=seed)


def test_tuning_that_is_not_a_boolean_is_refused(spec: RunSpec):
    with pytest.raises(ValueError, match=r"tuning=1 cannot work: it must be true or false"):
        dataclasses.replace(spec, tuning=1)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("steps", 0),
        ("batch_size", 2.0),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("learning_rate", float("inf")),
        ("learning_rate", 10**400),
        ("learning_rate", True),
        ("warmup_steps", 7),
        ("schedule", "linear"),
        ("label_smoothing", 1.0),
        ("beta2", 1.0),
        ("weight_decay", -0.1),
        ("weight_decay", None),
        ("gradient_clip", "1"),
        ("compiled", 1),
        ("precision", "fp16"),
    ],
)
def test_a_recipe_value_that_cannot_work_is_refused_by_field_name(
    recipe: Recipe, field: str, value: object
):
    with pytest.raises(ValueError, match=rf"{field}=.* it must be"):
        dataclasses.replace(recipe, **{field: value})


@pytest.mark.parametrize("family", ["encoder", "encoder_decoder"])
def test_a_family_that_cannot_be_trained_on_the_task_is_refused(
    config: ModelConfig, recipe: Recipe, family: str
):
    """An encoder would see the token that it has to predict."""
    model = dataclasses.replace(config, family=family)
    with pytest.raises(ValueError, match=f"family='{family}' cannot work"):
        RunSpec(model=model, recipe=recipe, corpus="0", seed=0)


@pytest.mark.parametrize(
    ("steps", "eval_every", "evaluated"),
    [
        (1000, 200, [25, 50, 100, 200, 400, 600, 800, 1000]),
        (250, 50, [25, 50, 100, 150, 200, 250]),
        (400, 150, [75, 150, 300, 400]),
        (90, 15, [15, 30, 45, 60, 75, 90]),
        (64, 64, [64]),  # one interval, as in trials
        (10, 16, [10]),
    ],
)
def test_the_first_interval_is_evaluated_at_its_halves_where_it_is_one_of_several(
    recipe: Recipe, steps: int, eval_every: int, evaluated: list[int]
):
    made = dataclasses.replace(recipe, steps=steps, eval_every=eval_every)
    assert [step for step in range(1, steps + 1) if made.evaluates_after(step)] == evaluated
    assert made.early_evaluations == sum(step < eval_every for step in evaluated[:-1])
