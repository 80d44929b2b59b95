"""Optimizers and learning-rate schedules, by their names in a recipe."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from experiments.recipe import Recipe
from model.mechanism import mechanism


def learning_rate_at(step: int, recipe: Recipe) -> float:
    """Learning rate of a step, from 0: linear warm-up to the peak, then the schedule.

    Without warm-up, step 0 has the peak learning rate.
    """
    if step < recipe.warmup_steps:
        return recipe.learning_rate * (step + 1) / recipe.warmup_steps
    multiple: float = mechanism(recipe.schedule, SCHEDULES)(step, recipe)
    return recipe.learning_rate * multiple


def cosine(step: int, recipe: Recipe) -> float:
    """Half a cosine from 1 down to `final_learning_rate_ratio` (Loshchilov 2017)."""
    progress = (step - recipe.warmup_steps) / max(1, recipe.steps - recipe.warmup_steps)
    floor = recipe.final_learning_rate_ratio
    return floor + (1 - floor) * (1 + math.cos(math.pi * progress)) / 2


def inverse_sqrt(step: int, recipe: Recipe) -> float:
    """sqrt(warm-up steps / steps taken), also called "Noam" (Vaswani 2017, section 5.3)."""
    return math.sqrt(max(1, recipe.warmup_steps) / (step + 1))


def constant(step: int, recipe: Recipe) -> float:
    """The peak learning rate at every step."""
    return 1.0


SCHEDULES: dict[str, Callable[[int, Recipe], float]] = {
    "cosine": cosine,
    "inverse_sqrt": inverse_sqrt,
    "constant": constant,
}


def adamw(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Loshchilov 2019: the weight decay is applied to the weights, apart from the gradient."""
    return torch.optim.AdamW(groups(model, recipe), fused=True, **_settings(recipe))


def adam(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Kingma 2015; Vaswani 2017, section 5.3, with beta2 = 0.98 and epsilon = 1e-9. The weight
    decay is added to the gradient, so it is rescaled with the gradient.
    """
    return torch.optim.Adam(groups(model, recipe), fused=True, **_settings(recipe))


def groups(model: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """The parameters in two groups: matrices have weight decay; biases and norm gains have none."""
    parameters = list(model.parameters())
    return [
        {"params": [p for p in parameters if p.dim() >= 2], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
    ]


def _settings(recipe: Recipe) -> dict[str, Any]:
    """The settings that Adam and AdamW share."""
    betas = (recipe.beta1, recipe.beta2)
    return {"lr": recipe.learning_rate, "betas": betas, "eps": recipe.epsilon}


OPTIMIZERS: dict[str, Callable[[nn.Module, Recipe], torch.optim.Optimizer]] = {
    "adam": adam,
    "adamw": adamw,
}


def build_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimizer. The loop sets the learning rate of all of its groups at each step."""
    optimizer: torch.optim.Optimizer = mechanism(recipe.optimizer, OPTIMIZERS)(model, recipe)
    return optimizer
