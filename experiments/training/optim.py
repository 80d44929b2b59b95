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


def wsd(step: int, recipe: Recipe) -> float:
    """Warm-up, stable, decay: the peak, and in the last fifth of the steps a line down to
    `final_learning_rate_ratio` (Hu 2024; Hägele 2024).
    """
    left = (recipe.steps - step) / (_DECAYING * recipe.steps)
    floor = recipe.final_learning_rate_ratio
    return floor + (1 - floor) * min(1.0, left)


_DECAYING = 0.2  # share of the steps in which "wsd" lowers the rate


SCHEDULES: dict[str, Callable[[int, Recipe], float]] = {
    "cosine": cosine,
    "inverse_sqrt": inverse_sqrt,
    "constant": constant,
    "wsd": wsd,
}


def adamw(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Loshchilov 2019: the weight decay is applied to the weights, apart from the gradient."""
    return torch.optim.AdamW(groups(model, recipe), fused=True, **_settings(recipe))


def adam(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Kingma 2015; Vaswani 2017, section 5.3, with beta2 = 0.98 and epsilon = 1e-9. The weight
    decay is added to the gradient, so it is rescaled with the gradient.
    """
    return torch.optim.Adam(groups(model, recipe), fused=True, **_settings(recipe))


def muon(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Muon for the matrices of the hidden layers, AdamW for all other parameters (Jordan 2024).

    An update of Muon is a momentum that is made orthogonal. It is scaled to the size of AdamW's
    updates, so both have the recipe's learning rate (Liu 2025). The momentum is 0.95.
    """
    outer = [module for module in model.modules() if isinstance(module, nn.Embedding)]
    outer += [module for name, module in model.named_modules() if name.split(".")[-1] == "head"]
    outer_ids = {id(p) for module in outer for p in module.parameters()}
    hidden = [p for p in model.parameters() if p.dim() == 2 and id(p) not in outer_ids]
    hidden_ids = {id(p) for p in hidden}
    others = [
        group | {"params": [p for p in group["params"] if id(p) not in hidden_ids]}
        for group in groups(model, recipe)
    ]
    return Combined(
        torch.optim.Muon(
            hidden,
            lr=recipe.learning_rate,
            weight_decay=recipe.weight_decay,
            momentum=0.95,
            adjust_lr_fn="match_rms_adamw",
        ),
        torch.optim.AdamW(others, fused=True, **_settings(recipe)),
    )


class Combined(torch.optim.Optimizer):
    """Several optimizers, each of which updates parameters of its own, as one."""

    def __init__(self, *optimizers: torch.optim.Optimizer) -> None:
        self.optimizers = optimizers
        super().__init__([group for each in optimizers for group in each.param_groups], {})
        # The very groups of the optimizers: a learning rate that is set here is theirs.
        self.param_groups = [group for each in optimizers for group in each.param_groups]

    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Let each optimizer take a step."""
        for each in self.optimizers:
            each.step()
            self.state.update(each.state)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a state, and hand each optimizer its part of it."""
        super().load_state_dict(state_dict)
        groups = iter(self.param_groups)
        for each in self.optimizers:
            each.param_groups = [next(groups) for _ in each.param_groups]
            own = [p for group in each.param_groups for p in group["params"]]
            each.state.update({p: self.state[p] for p in own if p in self.state})


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
    "muon": muon,
}


def build_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimizer. The loop sets the learning rate of all of its groups at each step."""
    optimizer: torch.optim.Optimizer = mechanism(recipe.optimizer, OPTIMIZERS)(model, recipe)
    return optimizer
