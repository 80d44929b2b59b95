"""What the README shows works as it stands."""

import dataclasses
from pathlib import Path

import pytest
import torch

from experiments.recipe import Recipe
from model import ModelConfig

README = (Path(__file__).parent.parent / "README.md").read_text()


def python_block(word: str) -> str:
    (block,) = [part.split("```")[0] for part in README.split("```python\n")[1:] if word in part]
    return block


def test_readme_example_of_a_network_runs():
    names = {"tokens": torch.randint(84, (1, 100))}
    exec(python_block("recorded_attention(model)"), names)
    assert names["logits"].shape == (1, 100, 84)
    assert names["text"].shape == (1, 600)
    assert [weights.shape for weights in names["weights"].values()] == [(1, 4, 100, 100)] * 4


def test_readme_example_of_judging_runs_supports_its_claim(capsys: pytest.CaptureFixture[str]):
    exec(python_block("from report.verdicts import Claim, judge"), {})
    assert "supported" in capsys.readouterr().out


def test_readme_states_the_number_of_fields():
    fields = [len(dataclasses.fields(kind)) for kind in (ModelConfig, Recipe)]
    assert "{} fields of the network, {} of the recipe".format(*fields) in README
