"""Profiles: the base network, the base recipe and the number of seeds for a kind of machine."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from experiments.errors import UserError
from experiments.recipe import Precision, Recipe
from model import ModelConfig


@dataclass(frozen=True, kw_only=True)
class Profile:
    """The base that variants differ from, and the size of the study.

    model: fields of ModelConfig without `vocab_size`, which the corpus decides.
    recipe: the training at budget 1.
    budgets: multiples of the recipe's steps; the first is 1. A run at a budget is a complete
        training, with its own schedule and its own learning rate.
    default_budgets: the budgets that a study has unless others are chosen.
    seeds: number of seeds of core ablations; other ablations have `fewer_seeds`.
    """

    name: str
    purpose: str
    model: dict[str, Any]
    recipe: Recipe
    budgets: tuple[int, ...]
    default_budgets: tuple[int, ...]
    seeds: int
    fewer_seeds: int

    def base_model(self, vocab_size: int) -> ModelConfig:
        """The base network for a vocabulary of this size."""
        return ModelConfig(vocab_size=vocab_size, **self.model)

    def recipe_at(self, budget: int) -> Recipe:
        """The recipe at a budget: warm-up and evaluations keep their places in the training."""
        recipe = self.recipe
        return replace(
            recipe,
            steps=budget * recipe.steps,
            warmup_steps=budget * recipe.warmup_steps,
            eval_every=budget * recipe.eval_every,
        )

    def budgets_from(self, text: str) -> list[int]:
        """The budgets that a text such as "1,4" lists.

        Raises:
            ValueError: they are not whole, positive and increasing, or not budgets of the profile.
        """
        words = [word.strip() for word in text.split(",")]
        numbers = [int(word) for word in words if word.isascii() and word.isdigit()]
        if len(numbers) < len(words) or not are_budgets(numbers):
            raise ValueError("budgets are whole, positive and increasing numbers, as in 1,4")
        if unknown := [budget for budget in numbers if budget not in self.budgets]:
            known = ", ".join(map(str, self.budgets))
            raise ValueError(f"the profile {self.name} has no budget {unknown[0]}: it has {known}")
        return numbers

    def with_precision(self, precision: Precision, compiled: bool = False) -> "Profile":
        """The profile with another precision of its recipe, and compiled or not."""
        recipe = replace(self.recipe, precision=precision, compiled=compiled)
        return replace(self, recipe=recipe)


def are_budgets(values: Sequence[Any]) -> bool:
    """Whether a list is a list of budgets: one or more whole, positive and increasing numbers."""
    whole = all(type(value) is int and value >= 1 for value in values)
    return bool(values) and whole and sorted({*values}) == list(values)


def check_budgets(owner: str, budgets: Sequence[int]) -> None:
    """Refuse budgets that are not whole, positive and increasing.

    Raises:
        ValueError: naming the owner and the budgets.
    """
    numbers = list(budgets) if isinstance(budgets, Sequence) else []
    if not are_budgets(numbers):
        shown = ",".join(map(str, numbers)) if isinstance(budgets, Sequence) else f"{budgets!r:.40}"
        raise ValueError(f"{owner}={shown} cannot work: budgets are whole, positive and increasing")


# FLOP per second of training the `gpu` profile's base network in bfloat16. The A100's is computed
# from nanoGPT's published log: 22.4 ms for a step of 1.16e12 FLOPs, compiled. The H200's was
# measured with `make gpu-check` (PyTorch 2.11): 14.0 ms for that step, not compiled, one run alone.
CARD_SPEEDS = {"A100": 5.2e13, "H200": 8.3e13}

# Training steps per second of the `cpu` profile's base on one card with sixteen runs at once, each
# run's start included. Starting kernels, not arithmetic, takes the time of such small networks.
# Measured with PyTorch 2.11 and sixteen processor cores.
SMALL_STEPS = {"H200": 604}

SHAKESPEARE_CHARACTERS = 84  # distinct characters of the default corpus

# The initialisation of the first transformer (Vaswani 2017). In a short training, GPT-2's small
# initial weights slow every network down, and sinusoidal positions are large beside its small
# embeddings. The variants would then differ mainly by how well they start.
# `ablations/initialisation.py` shows the difference.
_VASWANI = {"initialisation": "xavier", "embedding_scale": True}

PROFILES = {
    profile.name: profile
    for profile in (
        Profile(
            name="smoke",
            purpose="a test that everything works; its numbers mean nothing",
            model=_VASWANI
            | {"context_length": 32, "d_model": 32, "n_layers": 2, "n_heads": 4, "d_ff": 128},
            recipe=Recipe(
                steps=30,
                batch_size=4,
                learning_rate=2.4e-2,  # thirty steps need a high one
                warmup_steps=5,
                eval_every=15,
                eval_windows=16,
            ),
            budgets=(1, 2),
            default_budgets=(1, 2),
            seeds=1,
            fewer_seeds=1,
        ),
        Profile(
            name="cpu",
            purpose="real conclusions from small networks, on two processor cores",
            model=_VASWANI
            | {"context_length": 128, "d_model": 64, "n_layers": 4, "n_heads": 4, "d_ff": 256},
            recipe=Recipe(
                steps=250,
                batch_size=8,
                learning_rate=1e-2,
                warmup_steps=25,
                eval_every=50,
                eval_windows=128,
            ),
            budgets=(1, 4, 16, 64),
            default_budgets=(1, 4),
            seeds=5,
            fewer_seeds=5,
        ),
        # nanoGPT's network, schedule and dropout for characters on one GPU; at budget 4, also its
        # number of steps and its warm-up. The README estimates its time, under "On a GPU".
        Profile(
            name="gpu",
            purpose="nanoGPT's network and training for characters as the base, on one GPU",
            model={
                "context_length": 256,
                "d_model": 384,
                "n_layers": 6,
                "n_heads": 6,
                "d_ff": 1536,
                "position": "learned",
                "dropout": 0.2,
                "bias": False,
            },
            recipe=Recipe(
                steps=1250,
                batch_size=64,
                learning_rate=1e-3,
                warmup_steps=25,
                log_every=50,
                eval_every=125,
                eval_windows=512,
            ),
            budgets=(1, 4),
            default_budgets=(1, 4),
            seeds=5,
            fewer_seeds=3,
        ),
    )
}


def parse_budgets(text: str | None, profile: Profile) -> list[int] | None:
    """Budgets from a text such as "1,4"; None for no text.

    Raises:
        UserError: they are not whole, positive and increasing, or not the profile's.
    """
    try:
        return None if text is None else profile.budgets_from(text)
    except ValueError as error:
        raise UserError(f"BUDGETS={text} cannot work: {error}") from None
