"""Identities: those that hold, hold; and each check notices when it does not."""

import dataclasses
from pathlib import Path

import pytest
import torch

from experiments.catalogue import load_ablations
from experiments.metrics import IDENTITIES
from experiments.records.collect import read_table
from experiments.theory import checks as identities
from experiments.theory.checks import CHECKS, main
from model.presets import PRESETS


def test_every_identity_is_checked_and_claimed():
    assert tuple(CHECKS) == IDENTITIES
    claimed = [c.check for a in load_ablations().values() for c in a.claims if c.check]
    assert sorted(claimed) == sorted(IDENTITIES)


def test_the_table(tmp_path: Path):
    main(tmp_path)
    table = read_table(tmp_path, "identities").set_index("check")
    assert table["holds"].to_dict() == {name: name != "base-size-untied" for name in IDENTITIES}
    assert "63,082,496" in table.loc["base-size", "why"]
    assert "93,290,496" in table.loc["base-size-untied", "why"]


def test_a_position_that_acts_breaks_permutation(acting, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(identities, "NoPosition", acting)
    with torch.no_grad():
        assert not CHECKS["permutation"]().holds


def test_a_mask_that_leaks_is_noticed(monkeypatch: pytest.MonkeyPatch):
    replace = dataclasses.replace

    def always_after(config, **changes):
        return replace(config, **changes | {"masking": "after_softmax"})

    monkeypatch.setattr(identities.dataclasses, "replace", always_after)
    with torch.no_grad():
        assert not CHECKS["mask-place"]().holds


def test_heads_that_cost_more_are_noticed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(identities, "parameter_count", lambda config: config.n_heads)
    assert not CHECKS["head-cost"]().holds


@pytest.mark.parametrize(("layers", "tied", "untied"), [(6, True, False), (2, False, True)])
def test_a_size_that_is_not_as_said_is_noticed(
    monkeypatch: pytest.MonkeyPatch, layers: int, tied: bool, untied: bool
):
    """A third of the layers are too few with shared words, and with none shared about as said."""
    base = dataclasses.replace(PRESETS["vaswani-base"], n_layers=layers)
    monkeypatch.setitem(PRESETS, "vaswani-base", base)
    assert CHECKS["base-size"]().holds == tied
    assert CHECKS["base-size-untied"]().holds == untied


@pytest.mark.parametrize("scale", [0.97, 1.03])
def test_scores_of_another_variance_are_noticed(monkeypatch: pytest.MonkeyPatch, scale: float):
    draw = torch.randn
    monkeypatch.setattr(identities.torch, "randn", lambda *size: scale * draw(*size))
    assert not CHECKS["score-variance"]().holds


def test_a_cache_that_holds_all_heads_is_noticed(monkeypatch: pytest.MonkeyPatch):
    build = identities.build
    all_heads = {"n_kv_heads": None}
    monkeypatch.setattr(
        identities, "build", lambda config: build(dataclasses.replace(config, **all_heads))
    )
    with torch.no_grad():
        assert not CHECKS["kv-cache"]().holds
