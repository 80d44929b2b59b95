"""Figures and tables of the probes' results, and claims about the probes' measures."""

import dataclasses
import io
import json
import re
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import pandas as pd
import planted
import pytest
from IPython.display import HTML
from planted import ODD_NAME, plant

from experiments.claim import Claim
from experiments.planning.plan import FIRST_SEED, unique_runs
from experiments.records.collect import collect
from experiments.records.run_folder import RunFolder
from experiments.records.study import Study
from report.figures.heads import head_table, pruning_curve
from report.figures.layers import layer_gradients
from report.figures.positions import loss_by_length, loss_by_position
from report.page.variant_tables import samples
from report.study.judge import judge
from report.study.tables import Tables

PROBES = ("positions", "lengths", "heads", "pruning", "layers", "samples", "atlas")


def probe_results(*, odd: bool, share: float) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """The tables that each probe measured in one run, by probe.

    Args:
        odd: whether the run is of the variant, which cannot read beyond its training length.
        share: value of the measure `removable_heads`.
    """
    head = [{"layer": 0, "head": h} for h in range(2)]
    return {
        "positions": {"positions": [{"position": p, "loss": 3.0 / (p + 1)} for p in range(9)]},
        "lengths": {
            "lengths": [
                {"multiple": m, "length": 8 * m, "loss": None if odd and m > 1 else 2.0 + m}
                for m in (1, 2, 4, 8)
            ]
        },
        "heads": {
            "heads": [
                head[h]
                | {"score": "previous", "value": 0.1 + 0.7 * h}
                | {"untrained": 0.05, "shuffled": 0.02}
                for h in range(2)
            ]
        },
        "pruning": {
            "pruning": [
                head[h] | {"rise_alone": 0.1 * h, "order": h + 1, "rise_together": 0.2 * h}
                for h in range(2)
            ],
            "measures": [{"measure": "removable_heads", "value": share}],
        },
        "layers": {
            "layers": [
                {"step": step, "layer": layer, "part": "feed_forward"}
                | {"output_rms": 1.0, "gradient_norm": 0.5 + layer}
                for step in (0, 800)
                for layer in range(3)
            ]
        },
        "samples": {"samples": [{"kind": "greedy", "text": "to <be> & not"}]},
    }


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tables:
    """Five seeds. The share of removable heads is 0.75 ± 0.02 in the variant, 0.25 in the base."""
    claim = Claim(
        id="planted-measure",
        sentence="More than half can go.",
        said_by="nobody",
        effect={ODD_NAME: 1},
        metric="removable_heads",
        threshold=0.5,
        margin=0.1,
        why_margin="it is a test",
    )
    opposite = dataclasses.replace(claim, id="planted-other", effect={"base": 1})
    with_probes = dataclasses.replace(planted.ABLATION, probes=PROBES, claims=[claim, opposite])
    monkeypatch.setattr(planted, "ABLATION", with_probes)
    results = plant(tmp_path, monkeypatch, [0.1, 0.2, 0.3, 0.2, 0.1])
    runs = Study.load(results).plan(results).comparison_runs
    assert all(spec.probes for spec in unique_runs(runs))
    for member in runs:
        odd = member.variant == ODD_NAME
        share = (0.75 if odd else 0.25) + 0.01 * (member.spec.seed - FIRST_SEED - 2)
        folder = RunFolder(results, member.spec.run_id)
        summary = folder.summary() or {}
        for name, measured in probe_results(odd=odd, share=share).items():
            file = folder.probe(name)
            file.parent.mkdir(exist_ok=True)
            file.write_text(json.dumps(measured))
        folder.finish(summary)
    collect(results)
    return Tables.load(results)


EXPECTED = {
    loss_by_position: "Loss by position in the context",
    loss_by_length: "Limited to the training length: odd",
    layer_gradients: "mean of 5 seeds, 95 % interval.",
    head_table: "<td>0.800</td><td>0.050</td><td>0.020</td>",
    pruning_curve: "Heads switched off together",
    samples: "to &lt;be&gt; &amp; not",
}


@pytest.mark.parametrize("figure", EXPECTED, ids=lambda figure: figure.__name__)
def test_probe_results_are_shown_only_if_the_ablation_asks_for_the_probe(
    tables: Tables, figure: Callable[[Tables, str], HTML], monkeypatch: pytest.MonkeyPatch
):
    html = figure(tables, "planted").data
    assert EXPECTED[figure] in html
    assert "<script>" not in html
    without = dataclasses.replace(tables.ablations["planted"], probes=(), claims=())
    monkeypatch.setitem(tables.ablations, "planted", without)
    assert figure(tables, "planted").data == ""


def test_a_figure_with_lines_has_the_numbers_that_its_chart_is_drawn_from(tables: Tables):
    html = loss_by_length(tables, "planted").data
    chart = json.loads(html.partition("data-chart='")[2].partition("'>")[0])
    rows = pd.read_csv(io.StringIO(unescape(re.findall("<pre>(.*?)</pre>", html, re.S)[0])))
    assert chart["log"]
    assert [*chart["colours"]] == [*rows["variant"].unique()] == ["base", ODD_NAME]
    probed = tables.probe("lengths", "planted").dropna(subset=["loss_per_character"])
    means = probed.groupby(["variant", "multiple"])["loss_per_character"].mean()
    for row in rows.itertuples():
        assert row.low <= getattr(row, chart["y"]) <= row.high
        assert getattr(row, chart["y"]) == pytest.approx(means[row.variant, row.multiple], rel=1e-4)


def test_a_claim_about_a_measure_is_judged_against_its_threshold(tables: Tables):
    first, second = tables.ablations["planted"].claims
    for claim, verdict, effect in ((first, "supported", 0.25), (second, "reversed", -0.25)):
        row = judge(tables, "planted", claim)
        assert row["verdict"] == verdict
        assert row["effect"] == pytest.approx(effect)
        assert row["n"] == 5
        assert row["unit"] == "share of heads"


def test_a_claim_about_a_measure_that_was_not_taken_is_not_run(tables: Tables):
    claim = dataclasses.replace(tables.ablations["planted"].claims[0], metric="induction_excess")
    row = judge(tables, "planted", claim)
    assert row["verdict"] == "not run"
    assert row["why"] == "no seed has a value of induction excess for every run of the comparison"
