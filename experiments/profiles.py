"""Profiles: the base network, the base recipe and the number of seeds for a kind of machine."""

from dataclasses import dataclass, replace
from typing import Any

from experiments.spec import Precision, Recipe
from model import ModelConfig


@dataclass(frozen=True, kw_only=True)
class Profile:
    """The base that variants differ from, and the size of the study.

    model: fields of ModelConfig without `vocab_size`, which the corpus decides.
    rates: the multiples of the recipe's learning rate that tuning tries.
    seeds: number of seeds of core ablations; other ablations have `fewer_seeds`.
    """

    name: str
    purpose: str
    model: dict[str, Any]
    recipe: Recipe
    rates: tuple[float, ...]
    seeds: int
    fewer_seeds: int

    def base_model(self, vocab_size: int) -> ModelConfig:
        """The base network for a vocabulary of this size."""
        return ModelConfig(vocab_size=vocab_size, **self.model)

    def with_precision(self, precision: Precision, compiled: bool = False) -> "Profile":
        """The profile with another precision of its recipe, and compiled or not."""
        recipe = replace(self.recipe, precision=precision, compiled=compiled)
        return replace(self, recipe=recipe)


# FLOP per second of training the `gpu` profile's base network in bfloat16. The A100's is computed
# from nanoGPT's published log: 22.4 ms for a step of 1.16e12 FLOPs, compiled. The H100's is assumed
# to be 2.3 times that, between the ratios of the two cards' memory bandwidths (1.7) and of their
# peaks in bfloat16 (3.2). Neither was measured with this project.
PUBLISHED_SPEEDS = {"A100": 5.2e13, "H100": 1.2e14}

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
                learning_rate=3e-3,
                warmup_steps=5,
                eval_every=15,
                eval_windows=16,
                final_eval_windows=32,
            ),
            rates=(1, 3),
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
                eval_windows=32,
                final_eval_windows=256,
            ),
            rates=(0.1, 0.3, 1, 3, 10),
            seeds=5,
            fewer_seeds=3,
        ),
        # nanoGPT's network, schedule, dropout and number of steps for characters on one GPU. The
        # README has the arithmetic of its time, under "On a GPU".
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
                steps=5000,
                batch_size=64,
                learning_rate=1e-3,
                warmup_steps=100,
                log_every=100,
                eval_every=500,
                eval_windows=256,
                final_eval_windows=1024,
            ),
            rates=(0.03, 0.1, 0.3, 1, 3, 10),
            seeds=5,
            fewer_seeds=3,
        ),
    )
}
