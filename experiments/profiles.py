"""Profiles: the base network and recipe, and how many seeds, for a kind of machine."""

from dataclasses import dataclass, replace
from typing import Any

from experiments.spec import Precision, Recipe
from model import ModelConfig


@dataclass(frozen=True, kw_only=True)
class Profile:
    """`model` holds ModelConfig's fields but for `vocab_size`, which the corpus decides; ablations
    that are not at the core of the study get `fewer_seeds`. `rates` are the multiples of the
    recipe's learning rate among which a variant's own is chosen.
    """

    name: str
    purpose: str
    model: dict[str, Any]
    recipe: Recipe
    rates: tuple[float, ...]
    seeds: int
    fewer_seeds: int
    slots_per_gpu: int = 1

    def base_model(self, vocab_size: int) -> ModelConfig:
        """The network that variants differ from."""
        return ModelConfig(vocab_size=vocab_size, **self.model)

    def with_precision(self, precision: Precision, compiled: bool = False) -> "Profile":
        """The profile with its base computed in this precision, and compiled or not."""
        recipe = replace(self.recipe, precision=precision, compiled=compiled)
        return replace(self, recipe=recipe)


SHAKESPEARE_CHARACTERS = 84  # distinct ones of the default corpus

# The first transformer's initialisation. In a short training GPT-2's small weights hold every
# network back, and small embeddings drown in the table of sinusoidal positions: a study of that
# would be one of starting points. `ablations/initialisation.py` shows the difference.
_VASWANI = {"initialisation": "xavier", "embedding_scale": True}

PROFILES = {
    profile.name: profile
    for profile in (
        Profile(
            name="smoke",
            purpose="does everything work? Its numbers mean nothing",
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
                eval_every=25,
                eval_windows=32,
                final_eval_windows=256,
            ),
            rates=(0.1, 0.3, 1, 3, 10),
            seeds=5,
            fewer_seeds=3,
        ),
        # nanoGPT's recipe for characters on one GPU: its network, its schedule, its dropout, but
        # less than a fifth of its 5,000 steps, so that all of it takes less than six hours. README,
        # "On a GPU", has the arithmetic.
        Profile(
            name="gpu",
            purpose="nanoGPT's network for characters as the base, on one GPU in six hours",
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
                steps=900,
                batch_size=64,
                learning_rate=1e-3,
                warmup_steps=90,
                log_every=100,
                eval_every=100,
                eval_windows=256,
                final_eval_windows=1024,
            ),
            rates=(0.03, 0.1, 0.3, 1, 3, 10),
            seeds=5,
            fewer_seeds=3,
            slots_per_gpu=4,
        ),
    )
}
