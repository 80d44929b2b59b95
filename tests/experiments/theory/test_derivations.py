"""Derivations agree with measurements, within tolerances that would reveal a wrong formula."""

import math

import pytest
import torch

from experiments.records.schema import COLUMNS
from experiments.theory import derivations
from experiments.theory.derivations import TOPICS, rows
from experiments.theory.random_models import saturation, through_maps

Row = dict[str, object]

EXACT = ("head-cost", "quadratic-cost", "parameter-counts", "factorisation")
WITHIN = {"scaled-dot-products": 0.03, "softmax-saturation": 0.08, "residual-path": 0.08}


@pytest.fixture(scope="module")
def table() -> list[Row]:
    with torch.no_grad():  # gradients are enabled by `rows` itself
        return rows()


def select(table: list[Row], topic: str, word: str = "") -> dict[tuple[str, str], Row]:
    """Rows of a topic whose setting contains `word`, by setting and quantity."""
    return {
        (row["setting"], row["quantity"]): row
        for row in table
        if row["topic"] == topic and word in row["setting"]
    }


def test_table_has_every_topic_and_the_columns_of_the_schema(table: list[Row]):
    assert list(dict.fromkeys(row["topic"] for row in table)) == list(TOPICS)
    assert {tuple(row) for row in table} == {tuple(name for name, _, _ in COLUMNS["theory"])}
    assert all(math.isfinite(row["measured"]) for row in table)
    assert len({(r["topic"], r["setting"], r["quantity"]) for r in table}) == len(table)


def test_measurements_agree_with_predictions(table: list[Row]):
    derived = [r for r in table if r["predicted"] is not None and r["quantity"] != "said"]
    assert len(derived) > 60
    for row in derived:
        if row["topic"] == "permutation":
            assert row["predicted"] == 0
            assert row["measured"] < 1e-12
        else:
            within = 1e-12 if row["topic"] in EXACT else WITHIN[row["topic"]]
            assert row["measured"] == pytest.approx(row["predicted"], rel=within), row


def test_small_deviations_of_the_jacobian_trace_from_one_agree(table: list[Row]):
    scaled = select(table, "softmax-saturation", ", scaled")
    for (_, quantity), row in scaled.items():
        if quantity.startswith("trace"):
            assert 1 - row["measured"] == pytest.approx(1 - row["predicted"], rel=0.15)


@pytest.mark.parametrize("keys", [32, 1000])
def test_saturation_agrees_for_other_numbers_of_keys(keys: int):
    torch.manual_seed(1)
    normal = torch.randn(4000, keys, dtype=torch.float64)
    for spread in (0.7, 9.0, 20.0):
        weights = (spread * normal).softmax(-1)
        largest, trace = saturation(spread, keys)
        assert weights.amax(-1).mean().item() == pytest.approx(largest, rel=0.06)
        measured_trace = 1 - (weights**2).sum(-1).mean().item()
        assert 1 - measured_trace == pytest.approx(1 - trace, rel=0.06)
    assert saturation(math.sqrt(1.5 * math.log(keys)), keys) == (None, None)


def test_random_maps_match_hand_calculations():
    torch.manual_seed(1)
    assert through_maps(3, 0.0, residual=True) == 1
    assert through_maps(3, 2.0, residual=False) == pytest.approx(2**3, rel=0.02)
    assert through_maps(1, 3.0, residual=True) == pytest.approx(math.sqrt(10), rel=0.02)


def test_measurements_without_a_prediction_have_the_expected_size(table: list[Row]):
    permuted = select(table, "permutation")
    assert permuted["causal mask", "largest difference"]["measured"] > 0.01
    assert permuted["sinusoidal positions", "largest difference"]["measured"] > 0.01
    (leak,) = select(table, "factorisation", "after").values()
    assert abs(leak["measured"] - 1) > 0.01
    assert {row["predicted"] for row in select(table, "residual-path", "network").values()} == {
        None
    }
    shrunk = [r["measured"] for r in select(table, "residual-path", "(gpt2), residual").values()]
    assert shrunk == pytest.approx([1.0] * 5, abs=0.05)
    for scheme in ("gpt2", "xavier"):
        without = select(table, "residual-path", f"({scheme}), no residual").values()
        ratios = [row["measured"] for row in without]
        assert ratios == sorted(ratios, reverse=True)
        assert ratios[-1] < 1e-6


def test_parameter_counts_agree_with_the_published_ones(table: list[Row]):
    published = [r for r in table if r["quantity"] == "said"]
    assert [row["predicted"] for row in published] == [65e6, 213e6, 65e6]
    assert [row["measured"] for row in published] == [63_082_496, 214_245_376, 93_290_496]


def test_permutation_measures_a_difference_with_positions(acting, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(derivations, "NoPosition", acting)
    assert next(derivations.permutation()).measured > 0.01


def test_parameter_counts_include_parameters_that_the_formula_lacks(
    monkeypatch: pytest.MonkeyPatch,
):
    build = derivations.build

    def with_more(config):
        model = build(config)
        model.extra = torch.nn.Linear(1, 1)
        return model

    monkeypatch.setattr(derivations, "build", with_more)
    counts = {row.quantity: row for row in list(derivations.parameter_counts())[:6]}
    assert counts["embeddings"].measured == counts["embeddings"].predicted + 2
    assert counts["total"].measured == counts["total"].predicted + 2


def test_rows_neither_depend_on_the_random_state_nor_change_it(monkeypatch: pytest.MonkeyPatch):
    topics = {name: TOPICS[name] for name in ("permutation", "factorisation")}
    monkeypatch.setattr(derivations, "TOPICS", topics)
    state = torch.get_rng_state()
    first = rows()
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(123)
    assert rows() == first
