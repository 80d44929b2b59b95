"""Training steps that are timed: the same step as in training, on random tokens."""

import dataclasses

import pytest
import torch

from experiments.benchmarks import training_steps
from experiments.benchmarks.training_steps import random_batch, step_function, step_specs
from experiments.data.corpus import Corpus
from experiments.profiles import PROFILES
from experiments.records.study import Study
from experiments.spec import RunSpec
from experiments.training.events import TrainingState

CPU = torch.device("cpu")


def test_a_variant_is_measured_in_the_precision_of_its_recipe_and_compiled_as_it_is(
    corpus: Corpus,
):
    profile = PROFILES["smoke"].with_precision("bf16", compiled=True)
    study = Study.of(profile, corpus, seeds=1)
    names = ["step precision/fp32", "step precision/bf16", "step lstm-baseline/lstm"]
    specs = step_specs(study, names)
    recipes = {name: (spec.recipe.precision, spec.recipe.compiled) for name, spec in specs.items()}
    assert recipes == {
        "step lstm-baseline/lstm": ("bf16", True),
        "step precision/fp32": ("fp32", True),
        "step precision/bf16": ("bf16", True),
    }
    assert specs["step lstm-baseline/lstm"].model.family == "lstm"
    assert step_specs(study, ["layernorm"]) == {}


def test_a_step_changes_the_weights_as_a_step_of_training_does(
    spec: RunSpec, monkeypatch: pytest.MonkeyPatch
):
    states: list[TrainingState] = []
    initial = TrainingState.initial

    def noted(*arguments) -> TrainingState:
        states.append(initial(*arguments))
        return states[-1]

    monkeypatch.setattr(training_steps.TrainingState, "initial", noted)
    step = step_function(spec, CPU)
    (state,) = states
    before = [weights.clone() for weights in state.model.parameters()]
    _, norm = step()
    assert norm > 0
    assert state.model.training
    changed = [
        not torch.equal(old, new) for old, new in zip(before, state.model.parameters(), strict=True)
    ]
    assert all(changed)


def test_a_step_is_compiled_where_the_recipe_is(spec: RunSpec, monkeypatch: pytest.MonkeyPatch):
    compiled: list[object] = []
    monkeypatch.setattr(
        training_steps, "compiled", lambda loss, *rest: compiled.append(rest) or loss
    )
    step_function(spec, CPU)()
    assert compiled == []
    recipe = dataclasses.replace(spec.recipe, compiled=True)
    step_function(dataclasses.replace(spec, recipe=recipe), CPU)()
    assert len(compiled) == 1


def test_random_batches_have_the_shapes_of_training(spec: RunSpec):
    rows, time = spec.recipe.batch_size, spec.model.context_length
    (inputs,), targets = random_batch(spec, CPU)
    assert inputs.shape == targets.shape == (rows, time)
    assert inputs.max() < spec.model.vocab_size
    two = dataclasses.replace(
        spec,
        model=dataclasses.replace(spec.model, family="encoder_decoder"),
        recipe=dataclasses.replace(spec.recipe, task="reverse"),
    )
    sources, targets = random_batch(two, CPU)
    assert [each.shape for each in (*sources, targets)] == [(rows, time // 2)] * 3
