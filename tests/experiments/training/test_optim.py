"""Schedules and optimizers against their formulas."""

import dataclasses

import pytest
import torch

from experiments.recipe import Recipe
from experiments.training.optim import build_optimizer, learning_rate_at
from model import ModelConfig, build


def test_learning_rate_warms_up_then_follows_half_a_cosine(recipe: Recipe):
    recipe = dataclasses.replace(recipe, steps=100, warmup_steps=20, learning_rate=1.0)
    rates = [learning_rate_at(step, recipe) for step in range(100)]
    assert rates[0] == pytest.approx(1 / 20)
    assert rates[19] == rates[20] == 1.0
    assert rates[60] == pytest.approx(0.1 + 0.9 * 0.5)
    assert rates[99] == pytest.approx(0.1, abs=1e-3)
    assert max(rates) == 1.0


def test_weight_decay_applies_to_matrices_only(config: ModelConfig, recipe: Recipe):
    model = build(config)
    decaying, exempt = build_optimizer(model, recipe).param_groups
    assert all(parameter.dim() == 2 for parameter in decaying["params"])
    assert (decaying["weight_decay"], exempt["weight_decay"]) == (recipe.weight_decay, 0.0)
    assert len(decaying["params"]) + len(exempt["params"]) == len(list(model.parameters()))


def test_inverse_sqrt_schedule_equals_the_formula_of_vaswani_2017(recipe: Recipe):
    """lrate ∝ min(step^-0.5, step · warmup^-1.5), scaled to the peak learning rate."""
    recipe = dataclasses.replace(recipe, schedule="inverse_sqrt", steps=100, warmup_steps=20)
    for step in (1, 10, 20, 21, 80):
        shape = min(step**-0.5, step * 20**-1.5) / 20**-0.5
        assert learning_rate_at(step - 1, recipe) == pytest.approx(recipe.learning_rate * shape)
    without = dataclasses.replace(recipe, warmup_steps=0)
    assert learning_rate_at(0, without) == without.learning_rate
    assert learning_rate_at(3, without) == pytest.approx(without.learning_rate / 2)


def test_constant_schedule_stays_at_the_peak(recipe: Recipe):
    recipe = dataclasses.replace(recipe, schedule="constant", warmup_steps=0)
    assert {learning_rate_at(step, recipe) for step in range(6)} == {recipe.learning_rate}


def test_every_schedule_starts_at_the_peak_without_warmup(recipe: Recipe):
    for schedule in ("cosine", "inverse_sqrt", "constant"):
        without = dataclasses.replace(recipe, schedule=schedule, warmup_steps=0)
        assert learning_rate_at(0, without) == recipe.learning_rate


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_optimizer_steps_equal_the_published_formulas(recipe: Recipe, optimizer: str):
    """One weight over two steps, by Kingma 2015 and Loshchilov 2019."""
    recipe = dataclasses.replace(
        recipe, optimizer=optimizer, beta1=0.9, beta2=0.98, epsilon=1e-3, weight_decay=0.2
    )
    model = torch.nn.Linear(1, 1, bias=False).double()
    torch.nn.init.constant_(model.weight, 2.0)
    stepper = build_optimizer(model, recipe)
    rate, w, m, v = recipe.learning_rate, 2.0, 0.0, 0.0
    for t, gradient in ((1, 0.5), (2, -0.1)):
        model.weight.grad = torch.full((1, 1), gradient, dtype=torch.float64)
        stepper.step()
        g = gradient + (0.2 * w if optimizer == "adam" else 0.0)
        w -= rate * 0.2 * w if optimizer == "adamw" else 0.0
        m, v = 0.9 * m + 0.1 * g, 0.98 * v + 0.02 * g * g
        w -= rate * (m / (1 - 0.9**t)) / ((v / (1 - 0.98**t)) ** 0.5 + 1e-3)
        assert model.weight.item() == pytest.approx(w, rel=1e-6)


@pytest.mark.parametrize(
    ("field", "value"), [("optimizer", "sgd"), ("epsilon", 0.0), ("schedule", "linear")]
)
def test_unknown_optimizer_or_schedule_is_refused_with_the_field_name(
    recipe: Recipe, field: str, value
):
    with pytest.raises(ValueError, match=rf"{field}=.* it must be"):
        dataclasses.replace(recipe, **{field: value})


def test_warmup_stable_decay_stays_at_the_peak_and_then_falls_along_a_line(recipe: Recipe):
    recipe = dataclasses.replace(
        recipe, schedule="wsd", steps=100, warmup_steps=10, learning_rate=1.0
    )
    rates = [learning_rate_at(step, recipe) for step in range(100)]
    assert rates[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert set(rates[10:81]) == {1.0}
    assert rates[80:] == pytest.approx([0.1 + 0.9 * (100 - step) / 20 for step in range(80, 100)])


def test_muon_updates_hidden_matrices_and_adamw_all_else(config: ModelConfig, recipe: Recipe):
    """Against PyTorch's two optimizers on the same gradients."""
    muon = dataclasses.replace(recipe, optimizer="muon")
    models = []
    for _ in range(3):
        torch.manual_seed(0)
        models.append(build(dataclasses.replace(config, tie_embeddings=False)))
    hidden = [
        [p for name, p in model.named_parameters() if p.dim() == 2 and name.startswith("layers")]
        for model in models
    ]
    assert len(hidden[0]) == 4 * config.n_layers
    optimizers = [
        build_optimizer(models[0], muon),
        torch.optim.Muon(
            hidden[1],
            lr=recipe.learning_rate,
            weight_decay=recipe.weight_decay,
            adjust_lr_fn="match_rms_adamw",
        ),
        build_optimizer(models[2], dataclasses.replace(recipe, optimizer="adamw")),
    ]
    for step in range(3):
        for model, optimizer in zip(models, optimizers, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = recipe.learning_rate / (1 + step)
            generator = torch.Generator().manual_seed(step)
            for parameter in model.parameters():
                parameter.grad = torch.randn(parameter.shape, generator=generator)
            optimizer.step()
    names = [name for name, _ in models[0].named_parameters()]
    for name, ours, by_muon, by_adamw in zip(names, *(m.parameters() for m in models), strict=True):
        is_hidden = any(ours is each for each in hidden[0])
        assert torch.equal(ours, by_muon if is_hidden else by_adamw), name
        assert not torch.equal(by_muon, by_adamw)
