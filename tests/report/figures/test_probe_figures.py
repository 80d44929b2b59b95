"""What probes found reaches the page, and claims can be about it."""

import dataclasses
import json
from pathlib import Path

import planted
import pytest
from planted import ODD_NAME, plant

from experiments.ablation import Claim
from experiments.plan import unique_runs
from experiments.records.collect import collect
from experiments.records.run_folder import RunFolder
from experiments.records.study import Study
from report.figures import probes
from report.verdicts.judge import judge
from report.verdicts.tables import Tables

ALL = ("positions", "lengths", "heads", "pruning", "layers", "samples", "atlas")


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tables:
    """Five seeds; the variant has removable heads by a share of 0.75 ± 0.02, the base 0.25."""
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
    with_probes = dataclasses.replace(planted.ABLATION, probes=ALL, claims=[claim, opposite])
    monkeypatch.setattr(planted, "ABLATION", with_probes)
    results = plant(tmp_path, monkeypatch, [0.1, 0.2, 0.3, 0.2, 0.1])
    for member in Study.load(results).plan(results).comparison_runs:
        odd, seed = member.variant == ODD_NAME, member.spec.seed
        share = 0.75 + 0.01 * (seed - 2) if odd else 0.25 + 0.01 * (seed - 2)
        found = {
            "positions": {"positions": [{"position": p, "loss": 3.0 / (p + 1)} for p in range(9)]},
            "lengths": {
                "lengths": [
                    {"multiple": m, "length": 8 * m, "loss": None if odd and m > 1 else 2.0 + m}
                    for m in (1, 2, 4, 8)
                ]
            },
            "heads": {
                "heads": [
                    {"layer": 0, "head": h, "score": "previous"}
                    | {"value": 0.1 + 0.7 * h, "untrained": 0.05, "shuffled": 0.02}
                    for h in range(2)
                ]
            },
            "pruning": {
                "pruning": [
                    {"layer": 0, "head": h, "rise_alone": 0.1 * h, "order": h + 1}
                    | {"rise_together": 0.2 * h}
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
        folder = RunFolder(results, member.spec.run_id)
        summary = folder.summary() or {}
        for name, rows in found.items():
            file = RunFolder(results, member.spec.run_id).probe(name)
            file.parent.mkdir(exist_ok=True)
            file.write_text(json.dumps(rows))
        folder.finish(summary)
    assert all(
        spec.probes for spec in unique_runs(Study.load(results).plan(results).comparison_runs)
    )
    collect(results)
    return Tables.load(results)


SHOWN = {
    probes.position_curves: "Loss by place in the context",
    probes.length_curves: "Not to be read past its training length: odd",
    probes.layer_gradients: "mean of 5 seeds, 95 % interval.",
    probes.head_table: "<td>0.800</td><td>0.050</td><td>0.020</td>",
    probes.pruning_curve: "Heads switched off together",
    probes.samples: "to &lt;be&gt; &amp; not",
}


@pytest.mark.parametrize("show", SHOWN, ids=lambda show: show.__name__)
def test_is_shown_where_asked_for(tables: Tables, show, monkeypatch: pytest.MonkeyPatch):
    shown = show(tables, "planted").data
    assert SHOWN[show] in shown
    assert "<script>" not in shown
    without = dataclasses.replace(tables.ablations["planted"], probes=())
    monkeypatch.setitem(tables.ablations, "planted", without)
    assert show(tables, "planted").data == ""


def test_a_claim_about_a_measure_is_judged_against_its_threshold(tables: Tables):
    first, second = tables.ablations["planted"].claims
    for claim, verdict, effect in ((first, "supported", 0.25), (second, "contradicted", -0.25)):
        row = judge(tables, "planted", claim)
        assert row["verdict"] == verdict
        assert row["effect"] == pytest.approx(effect)
        assert row["n"] == 5
        assert row["unit"] == "share of heads"


def test_a_measure_that_was_not_taken_leaves_the_claim_untested(tables: Tables):
    claim = dataclasses.replace(tables.ablations["planted"].claims[0], metric="induction_excess")
    row = judge(tables, "planted", claim)
    assert row["verdict"] == "not tested"
    assert row["why"] == "no seed has a value of induction excess for every run of the comparison"
