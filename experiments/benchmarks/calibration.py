"""nanoGPT's recipes for characters, beside the losses that nanoGPT publishes: `make calibrate`.

The text, its split, the network and the recipe are the same, so the losses should agree.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.data.corpus import Corpus
from experiments.recipe import Recipe
from experiments.records.run_folder import RunFolder
from experiments.records.schema import schema
from experiments.spec import RunSpec
from model import ModelConfig

# nanoGPT's network and training for a processor: README, "I only have a macbook (or other cheap
# computer)". Values that the README does not give are from config/train_shakespeare_char.py, then
# from train.py.
NANOGPT: dict[str, Any] = {
    "context_length": 64,
    "d_model": 128,
    "n_layers": 4,
    "n_heads": 4,
    "d_ff": 512,
    "position": "learned",
    "bias": False,
}
NANOGPT_RECIPE = Recipe(
    steps=2000,
    batch_size=12,
    learning_rate=1e-3,
    warmup_steps=100,
    eval_every=250,
    eval_windows=240,
)
# nanoGPT's network for a graphics card: README, "quick start".
_NANOGPT_GPU = NANOGPT | {
    "context_length": 256,
    "d_model": 384,
    "n_layers": 6,
    "n_heads": 6,
    "d_ff": 1536,
    "dropout": 0.2,
}


@dataclass(frozen=True, kw_only=True)
class Published:
    """A network, a recipe, and their published validation loss in nats per character.

    `device` is the least that the training needs, "cpu" or "cuda".
    """

    name: str
    loss: float
    device: str
    network: dict[str, Any]
    recipe: Recipe


PUBLISHED = (
    Published(
        name="nanoGPT's for a processor",
        loss=1.88,
        device="cpu",
        network=NANOGPT,
        recipe=NANOGPT_RECIPE,
    ),
    Published(
        name="nanoGPT's for a graphics card",
        loss=1.4697,
        device="cuda",
        network=_NANOGPT_GPU,
        recipe=dataclasses.replace(
            NANOGPT_RECIPE, steps=5000, batch_size=64, log_every=250, precision="bf16"
        ),
    ),
)
# In nats. nanoGPT's README gives 1.4697 as the best validation loss, and 1.88 without a split. Each
# published loss is of a single training, and an estimate: the loss for a processor is the mean of
# 240 random windows. This mean varies by 0.03 (two standard errors, measured afterwards on a
# network of this project), in addition to the variation between seeds. The loss of one training of
# this project, 1.910, was known when the margin was chosen.
MARGIN = 0.05


def full_evaluation(published: Published, corpus: Corpus) -> Recipe:
    """The published recipe, with every evaluation on the whole validation split."""
    windows = (corpus.lengths["val"] - 1) // published.network["context_length"]
    return dataclasses.replace(published.recipe, eval_windows=windows)


def spec_of(corpus: Corpus, network: dict[str, Any], recipe: Recipe, seed: int) -> RunSpec:
    """The run of a network on a corpus. The corpus decides the vocabulary size."""
    config = ModelConfig(vocab_size=len(corpus.vocabulary), **network)
    return RunSpec(model=config, recipe=recipe, corpus=corpus.hash, seed=seed)


def rows(specs: Mapping[tuple[str, int], RunSpec], results: Path) -> list[dict[str, Any]]:
    """Return the table "calibration": a row per run, and one per recipe without a run.

    Args:
        specs: the runs, by the name of the published recipe and the seed.
        results: the folder that the runs are in.
    """
    table: list[dict[str, Any]] = []
    for published in PUBLISHED:
        facts = {"recipe": published.name, "published": published.loss, "margin": MARGIN}
        runs = [
            _run_row(spec, RunFolder(results, spec.run_id)) | facts
            for (name, _), spec in specs.items()
            if name == published.name
        ]
        reason = f"it needs {published.device}"
        table += runs or [facts | {"status": "not run", "reason": reason}]
    return table


def _run_row(spec: RunSpec, folder: RunFolder) -> dict[str, Any]:
    summary = folder.summary() or {"status": folder.status()}
    losses = [point["loss"] for point in folder.points() if point["split"] == "val"]
    return {column: summary.get(column) for column in schema("calibration").names} | {
        "seed": spec.seed,
        "run_id": spec.run_id,
        "lowest_loss": min(losses) if summary["status"] == "done" else None,
    }
