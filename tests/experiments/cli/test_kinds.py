"""`new-ablation` writes, for each kind of part, a file that trains as it stands."""

import dataclasses
import importlib
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from helping import ROOT
from recorded import run as train

from experiments.ablation import Ablation
from experiments.cli import new_ablation
from experiments.cli.new_ablation import write_new
from experiments.data.corpus import Corpus
from experiments.errors import UserError
from experiments.profiles import PROFILES
from experiments.recipe import _CUSTOMISABLE as RECIPE_PARTS
from experiments.spec import RunSpec
from model import ModelConfig
from model.config import _CUSTOMISABLE as MODEL_PARTS

KINDS = tomllib.loads((ROOT / "experiments" / "cli" / "kinds.toml").read_text())


def written(kind: str, ablation_file: Callable[[str], Path], patch: pytest.MonkeyPatch) -> Ablation:
    """The ablation in the file that is written for a kind."""
    file = ablation_file("")
    file.unlink()
    patch.setattr(new_ablation, "file_of", lambda _: file)
    write_new("my-idea", kind)
    module = importlib.import_module(f"experiments.ablations.{file.stem}")
    ablation: Ablation = module.ABLATION
    return ablation


def test_every_part_that_can_be_ones_own_has_a_kind():
    fields = {f"model.{name}" for name in MODEL_PARTS} | {f"recipe.{name}" for name in RECIPE_PARTS}
    assert {kind["field"] for kind in KINDS.values() if "field" in kind} == fields
    assert [name for name, kind in KINDS.items() if "field" not in kind] == ["probe"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_file_of_a_kind_trains_as_it_stands_and_differs_from_its_base(
    kind: str,
    ablation_file: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
    config: ModelConfig,
    corpus: Corpus,
):
    ablation = written(kind, ablation_file, monkeypatch)
    assert ablation.claims[0].id == "my-idea"
    base = dataclasses.replace(config, vocab_size=len(corpus.vocabulary))
    recipe = dataclasses.replace(
        PROFILES["smoke"].recipe, steps=12, eval_every=4, log_every=2, warmup_steps=3
    )
    points = {}
    for variant in ablation.variants:
        model, changed = variant.applied_to(base, recipe)
        probes = tuple(ablation.probe_names)
        spec = RunSpec(model=model, recipe=changed, corpus=corpus.hash, seed=0, probes=probes)
        summary, points[variant.name] = train(spec, corpus)
        assert summary["status"] == "done", summary["reason"]
        own = kind != "probe" and (variant.name == "mine" or kind == "task")
        assert own == bool(spec.custom)
    losses = [[point["loss"] for point in each] for each in points.values()]
    assert losses[0] != losses[1]


def test_the_contract_of_each_kind_is_in_a_comment():
    assert [kind for kind, text in KINDS.items() if "# The contract: " not in text["code"]] == []


def test_an_unknown_kind_is_refused_with_the_nearest_one():
    with pytest.raises(UserError, match="unknown kind 'atention', did you mean 'attention'"):
        write_new("my-idea", "atention")
