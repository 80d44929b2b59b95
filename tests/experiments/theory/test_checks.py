"""Checks of exact claims: they come out as they should, and each one notices a violation."""

import dataclasses
from pathlib import Path

import pytest
import torch

from experiments.catalogue import load_ablations
from experiments.metrics import IDENTITIES
from experiments.records.collect import read_table
from experiments.theory import checks, derivations
from experiments.theory.__main__ import main
from experiments.theory.checks import CHECKS
from model.attention import SelfAttention
from model.presets import PRESETS


def theory_rows(topic: str) -> list[dict]:
    return [{"topic": topic, **row._asdict()} for row in derivations.TOPICS[topic]()]


def test_every_identity_has_a_check_and_a_claim():
    assert tuple(CHECKS) == IDENTITIES
    claimed = [c.check for a in load_ablations().values() for c in a.claims if c.check]
    assert sorted(claimed) == sorted(IDENTITIES)


def test_main_writes_the_three_tables(tmp_path: Path):
    main(tmp_path)
    table = read_table(tmp_path, "identities").set_index("check")
    assert table["holds"].to_dict() == {name: name != "base-size-untied" for name in IDENTITIES}
    assert "63,082,496" in table.loc["base-size", "why"]
    assert "93,290,496" in table.loc["base-size-untied", "why"]
    assert len(read_table(tmp_path, "theory")) == len(derivations.rows())
    assert set(read_table(tmp_path, "encodings")["encoding"]) == {"sinusoidal", "rope", "alibi"}


def test_permutation_fails_with_positions(acting, monkeypatch: pytest.MonkeyPatch):
    assert CHECKS["permutation"](theory_rows("permutation")).holds
    monkeypatch.setattr(derivations, "NoPosition", acting)
    assert not CHECKS["permutation"](theory_rows("permutation")).holds


def test_mask_place_fails_with_a_leaking_mask(monkeypatch: pytest.MonkeyPatch):
    replace = dataclasses.replace

    def always_after(config, **changes):
        return replace(config, **changes | {"masking": "after_softmax"})

    monkeypatch.setattr(checks.dataclasses, "replace", always_after)
    with torch.no_grad():
        assert not CHECKS["mask-place"]([]).holds


def test_head_cost_fails_when_heads_add_parameters(monkeypatch: pytest.MonkeyPatch):
    class WithHeadParameters(SelfAttention):
        def __init__(self, config):
            super().__init__(config)
            self.extra = torch.nn.Parameter(torch.zeros(config.n_heads))

    assert CHECKS["head-cost"](theory_rows("head-cost")).holds
    monkeypatch.setattr(derivations, "SelfAttention", WithHeadParameters)
    assert not CHECKS["head-cost"](theory_rows("head-cost")).holds


def test_head_cost_fails_when_heads_add_arithmetic(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(derivations, "_flops", lambda attention, *_: attention.n_heads)
    assert not CHECKS["head-cost"](theory_rows("head-cost")).holds


@pytest.mark.parametrize(("layers", "tied", "untied"), [(6, True, False), (2, False, True)])
def test_base_sizes_fail_with_another_number_of_parameters(
    monkeypatch: pytest.MonkeyPatch, layers: int, tied: bool, untied: bool
):
    """A third of the layers is too small with tied words, and about 65 million with untied ones."""
    base = dataclasses.replace(PRESETS["vaswani-base"], n_layers=layers)
    monkeypatch.setitem(PRESETS, "vaswani-base", base)
    theory = theory_rows("parameter-counts")
    assert CHECKS["base-size"](theory).holds == tied
    assert CHECKS["base-size-untied"](theory).holds == untied


@pytest.mark.parametrize("scale", [0.97, 1.03])
def test_score_variance_fails_for_queries_of_another_variance(
    monkeypatch: pytest.MonkeyPatch, scale: float
):
    draw = torch.randn
    monkeypatch.setattr("torch.randn", lambda *size, **options: scale * draw(*size, **options))
    assert not CHECKS["score-variance"](theory_rows("scaled-dot-products")).holds


def test_kv_cache_fails_when_all_heads_are_cached(monkeypatch: pytest.MonkeyPatch):
    build = checks.build
    monkeypatch.setattr(
        checks, "build", lambda config: build(dataclasses.replace(config, n_kv_heads=None))
    )
    with torch.no_grad():
        assert not CHECKS["kv-cache"]([]).holds
