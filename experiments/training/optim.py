"""Optimizers and learning-rate schedules, by their names in a recipe."""

import math
from collections.abc import Callable

import torch
from torch import nn

from experiments.spec import Recipe


def learning_rate_at(step: int, recipe: Recipe) -> float:
    """Learning rate of a step, from 0: linear warm-up to the peak, then the schedule.

    Without warm-up, step 0 has the peak learning rate.
    """
    if step < recipe.warmup_steps:
        return recipe.learning_rate * (step + 1) / recipe.warmup_steps
    return recipe.learning_rate * SCHEDULES[recipe.schedule](step, recipe)


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


OPTIMIZERS: dict[str, type[torch.optim.Adam]] = {
    # Kingma 2015; Vaswani 2017, section 5.3, with beta2 = 0.98 and epsilon = 1e-9. The weight decay
    # is added to the gradient, so it is rescaled with the gradient.
    "adam": torch.optim.Adam,
    # Loshchilov 2019: the weight decay is applied to the weights, apart from the gradient.
    "adamw": torch.optim.AdamW,
}


def build_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimizer. Matrices have weight decay; biases and norm gains have none."""
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.dim() >= 2], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
    ]
    return OPTIMIZERS[recipe.optimizer](
        groups,
        lr=recipe.learning_rate,
        betas=(recipe.beta1, recipe.beta2),
        eps=recipe.epsilon,
        fused=True,
    )
