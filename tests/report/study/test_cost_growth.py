"""Costs measured without training: their growth with the length, and claims about them."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import planted
import pytest
from planted import ODD_NAME, plant
from reading import cells

from experiments.claim import Claim
from experiments.metrics import step_name
from experiments.records.collect import collect, write_table
from report.figures.costs import cost_curves
from report.figures.costs import cost_table as table_of_costs
from report.study.cost_growth import (
    attention_share,
    cost_table,
    growth,
    overtakes,
    peak_flops,
)
from report.study.effects import weighted_sum
from report.study.judge import judge
from report.study.tables import Tables

LENGTHS = (128, 256, 512, 1024, 2048)


def cost_rows() -> list[dict[str, Any]]:
    """Rows of the table `costs`. Attention takes 1e-9 n² seconds a layer, and the model 1e-6 n plus
    four times as much as attention; reference attention holds 16 n² bytes, fused attention 100 n.
    """
    rows: list[dict[str, Any]] = []
    for block in range(5):
        noise = 1 + 0.001 * block
        seconds = 0.1 + 0.1 * block
        rows += [
            {"what": "matmul", "block": block, "seconds": seconds, "flops": 1e9},
            {"what": "layernorm", "direction": "forward", "block": block, "seconds": 9 * noise},
            {"what": "layernorm", "direction": "both", "block": block, "seconds": 2 * noise},
            {"what": "rmsnorm", "direction": "both", "block": block, "seconds": noise**2},
        ]
        for n in LENGTHS:
            for kernel, peak_bytes in (("reference", 16 * n**2), ("fused", 100 * n)):
                row = {"direction": "both", "length": n, "block": block}
                row["peak_bytes"] = peak_bytes if block == 0 else None
                seconds_of = {"attention": 1e-9 * n**2, "model": 1e-6 * n + 4e-9 * n**2}
                rows += [
                    row | {"what": f"{what} {kernel}", "seconds": seconds}
                    for what, seconds in seconds_of.items()
                ]
    return [row | {"device_name": "Planted & Sons", "threads": 1} for row in rows]


COSTS_TABLE = pd.DataFrame(cost_rows())


def test_the_exponent_of_a_square_is_two_and_that_of_a_line_is_one():
    power = growth(COSTS_TABLE, "attention reference", "both", "time_exponent")
    assert (power.mean, power.low, power.high) == pytest.approx((2, 2, 2))
    assert power.n == 5  # blocks
    memory = growth(COSTS_TABLE, "attention fused", "both", "memory_exponent")
    assert (memory.mean, memory.n) == (pytest.approx(1), 4)
    assert growth(COSTS_TABLE, "generation grouped", "both", "time_exponent") is None
    one_length = COSTS_TABLE[COSTS_TABLE["length"] == 512]
    assert growth(one_length, "attention fused", "both", "time_exponent") is None


def test_the_exponent_of_a_time_is_the_mean_over_blocks_of_slopes_through_all_lengths():
    """Two blocks in which a cost grows with the powers 1 and 2, and a third with 4 that is bent.
    The slope of the third is by numpy's own least squares. Lengths below 256 are left out.
    """
    lengths = np.array([128, 256, 512, 1024])
    costs = [lengths, lengths**2, lengths**4 * [1, 1, 2, 1]]
    costs[0] = costs[0] * [9, 1, 1, 1]
    rows = [
        {
            "what": "model fused",
            "direction": "both",
            "block": block,
            "length": n,
            "seconds": float(x),
        }
        for block, cost in enumerate(costs)
        for n, x in zip(lengths, cost, strict=True)
    ]
    bent, _ = np.polyfit(np.log(lengths[1:]), np.log(costs[2][1:]), 1)
    power = growth(pd.DataFrame(rows), "model fused", "both", "time_exponent")
    assert power.mean == pytest.approx((3 + bent) / 3)
    assert power.n == 3
    assert power.high - power.mean == pytest.approx(
        4.302653 * np.std([1, 2, bent], ddof=1) / math.sqrt(3)
    )


def test_a_claim_about_time_rests_on_its_first_five_blocks():
    """Blocks that were measured later, for an ablation that was added, are no further look."""
    later = COSTS_TABLE.assign(block=COSTS_TABLE["block"] + 5, seconds=99.0)
    both = pd.concat([COSTS_TABLE, later])
    names = ["layernorm", "rmsnorm"]
    assert cost_table(both, names).equals(cost_table(COSTS_TABLE, names))
    exponents = [
        growth(table, "model fused", "both", "time_exponent") for table in (both, COSTS_TABLE)
    ]
    assert exponents[0] == exponents[1]


def test_measured_seconds_are_paired_by_block_and_without_forward_passes():
    seconds = cost_table(COSTS_TABLE, ["layernorm", "rmsnorm"])
    effect = weighted_sum(seconds, {"layernorm": 1, "rmsnorm": -1}, log=True)
    assert list(effect) == pytest.approx([math.log(2 / (1 + 0.001 * i)) for i in range(5)])


def test_peak_is_the_highest_rate_of_any_block():
    assert peak_flops(COSTS_TABLE) == pytest.approx(1e10)
    assert peak_flops(COSTS_TABLE.iloc[:0]) is None


def test_attention_overtakes_the_rest_of_the_model_where_its_share_passes_one_half():
    share = attention_share(COSTS_TABLE, "fused", layers=4)
    # Four layers take 4e-9 n² seconds and the rest 1e-6 n: equally much at n = 250.
    assert overtakes(share) == pytest.approx(250, rel=0.02)
    assert overtakes(share[share.index < 200]) is None


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tables:
    """A study with four claims that a cost grows with the square of the length."""
    about = {
        "time": ("attention fused", "time_exponent"),
        "memory": ("attention reference", "memory_exponent"),
        "memory-fused": ("attention fused", "memory_exponent"),
        "model": ("model fused", "time_exponent"),
    }
    claims = [
        Claim(
            id=name,
            sentence="",
            said_by="nobody",
            effect={operation: 1},
            metric=metric,
            threshold=2,
            equal=True,
            margin=0.2,
            why_margin="a test",
        )
        for name, (operation, metric) in about.items()
    ]
    ablation = dataclasses.replace(planted.ABLATION, claims=claims)
    monkeypatch.setattr(planted, "ABLATION", ablation)
    results = plant(tmp_path, monkeypatch, [0.1, 0.2])
    write_table(results, "costs", cost_rows())
    collect(results)
    return Tables.load(results)


def test_claims_about_growth_are_judged_by_the_slope(tables: Tables):
    rows = {claim.id: judge(tables, "planted", claim) for claim in planted.ABLATION.claims}
    assert {name: row["verdict"] for name, row in rows.items()} == {
        "time": "supported",
        "memory": "supported",
        "memory-fused": "reversed",
        "model": "reversed",  # the exponent grows from 1.5 to 1.9: no square
    }
    assert rows["memory-fused"]["effect"] == pytest.approx(-1)
    assert "excess over 2: −1.000" in rows["memory-fused"]["why"]
    assert rows["memory-fused"]["why"].endswith("over 4 measurements")
    assert (rows["time"]["n"], rows["time"]["planned"], rows["time"]["interim"]) == (5, 5, False)
    assert rows["time"]["why"].endswith(" over 5 blocks; measured on Planted & Sons, one thread")


def test_a_growth_in_time_waits_for_five_blocks_and_one_in_memory_for_none(tables: Tables):
    first = dataclasses.replace(tables, costs=tables.costs[tables.costs["block"] < 4])
    rows = {claim.id: judge(first, "planted", claim) for claim in planted.ABLATION.claims}
    assert {name: row["verdict"] for name, row in rows.items()} == {
        "time": "undecided",
        "memory": "supported",
        "memory-fused": "reversed",
        "model": "undecided",
    }
    assert rows["time"]["why"].startswith("interim, with 4 of 5 blocks: excess over 2: ")
    assert (rows["time"]["n"], rows["time"]["planned"], rows["time"]["interim"]) == (4, 5, True)
    assert (rows["time"]["p"], rows["time"]["decidable"]) == (None, None)
    assert not rows["memory"]["interim"]


def test_claim_about_costs_that_were_not_measured_is_not_run(tables: Tables):
    without_costs = dataclasses.replace(tables, costs=tables.costs.iloc[:0])
    row = judge(without_costs, "planted", planted.ABLATION.claims[0])
    assert (row["verdict"], row["why"]) == ("not run", "the costs have not been measured")


def test_the_table_of_costs_names_a_training_step_by_its_variant(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
):
    faster = dataclasses.replace(
        planted.ABLATION.claims[0],
        effect={"base": 1, ODD_NAME: -1},
        metric="tokens_per_second",
        threshold=0.0,
        equal=False,
    )
    ablation = dataclasses.replace(planted.ABLATION, claims=[faster])
    monkeypatch.setitem(tables.ablations, "planted", ablation)
    costs = tables.costs.assign(what=step_name("planted", "base"))
    (row, *_) = cells(table_of_costs(dataclasses.replace(tables, costs=costs), "planted"))
    assert row[0] == "training step of base"


def test_growth_is_shown_only_for_an_ablation_with_a_claim_about_growth(tables: Tables):
    shown = cost_curves(tables, "planted").data
    exponents = {name: memory for name, _, memory in cells(cost_curves(tables, "planted"))}
    assert exponents["attention fused"].startswith("1.000")
    assert "from about 25" in shown  # 250 tokens, as above
    without_claims = dataclasses.replace(planted.ABLATION, claims=[])
    tables = dataclasses.replace(tables, ablations={"planted": without_claims})
    assert cost_curves(tables, "planted").data == ""
