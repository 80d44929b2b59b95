"""What all tests share: one thread, a tiny corpus, a tiny base network and recipe."""

import random
from pathlib import Path

import pytest
import torch

from experiments.corpus import Corpus, prepare
from experiments.spec import Recipe
from model import ModelConfig

torch.set_num_threads(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests marked `cuda` run where there is a CUDA device, and say so where there is none."""
    if not torch.cuda.is_available():
        for item in items:
            if "cuda" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="there is no CUDA device"))


@pytest.fixture
def config() -> ModelConfig:
    return ModelConfig(vocab_size=11, context_length=16, d_model=32, n_layers=2, n_heads=4, d_ff=64)


@pytest.fixture
def recipe() -> Recipe:
    return Recipe(
        steps=6,
        batch_size=4,
        learning_rate=1e-2,
        warmup_steps=2,
        log_every=2,
        eval_every=3,
        eval_windows=4,
        final_eval_windows=8,
    )


@pytest.fixture(scope="session")
def text_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Words in random order: enough structure to learn, the same on every machine."""
    words = random.Random(0).choices(["the ", "cat ", "sat\n", "on ", "a ", "mat. "], k=5000)
    file = tmp_path_factory.mktemp("texts") / "words.txt"
    file.write_text("".join(words))
    return file


@pytest.fixture(scope="session")
def corpus(text_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return prepare(str(text_file), tmp_path_factory.mktemp("data"))
