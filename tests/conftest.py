"""What all tests share: one thread, a tiny corpus, a tiny base network and recipe."""

import dataclasses
import importlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from helping import words

from experiments import identity
from experiments.data.corpus import Corpus, prepare_corpus
from experiments.recipe import Recipe
from experiments.spec import RunSpec
from model import ModelConfig
from model.position import NoPosition

torch.set_num_threads(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests marked `cuda` run where there is a CUDA device, and say so where there is none. Files
    that train whole studies come first: begun last, they would leave all cores but one idle.
    """
    items.sort(key=lambda item: item.path.parent.name != "tests")  # stable, by file
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("cuda"):  # and not of a parameter that is called so
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
    )


@pytest.fixture(scope="session")
def text_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("texts") / "words.txt"
    file.write_text(words())
    return file


@pytest.fixture(scope="session")
def corpus(text_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return prepare_corpus(str(text_file), tmp_path_factory.mktemp("data"))


@pytest.fixture
def spec(config: ModelConfig, recipe: Recipe, corpus: Corpus) -> RunSpec:
    """A run of the tiny network on the tiny corpus, without probes."""
    model = dataclasses.replace(config, vocab_size=len(corpus.vocabulary))
    return RunSpec(model=model, recipe=recipe, corpus=corpus.hash, seed=0)


@pytest.fixture
def ablation_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], Path]]:
    """A function that writes a text as an ablation's file, in a folder of its own, and returns the
    path. This process alone can import the file.
    """
    folder = tmp_path / "experiments" / "ablations"
    folder.mkdir(parents=True)
    package = importlib.import_module("experiments.ablations")
    monkeypatch.setattr(package, "__path__", [str(folder)])
    identity.mechanism_fingerprint.cache_clear()

    def write(text: str) -> Path:
        file = folder / f"mine_{tmp_path.name}.py"
        file.write_text(text)
        return file

    yield write
    identity.mechanism_fingerprint.cache_clear()


@pytest.fixture
def acting() -> type[NoPosition]:
    """What stands in for no positions, and does tell positions apart."""

    class Acts(NoPosition):
        def bias(self, queries: int, keys: int) -> torch.Tensor:
            return torch.arange(keys, dtype=torch.float64).expand(1, queries, keys)

    return Acts
