"""What the page is put together from: opening, picture, figures, reference, what is set before."""

import dataclasses
import itertools
import math
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from planted import ODD_NAME, plant
from report.figures.encodings import encodings, schedules

from experiments.ablation import Variant
from experiments.catalogue import load_ablations
from experiments.records.collect import collect, write_table
from experiments.theory import encodings as measured
from model import ModelConfig
from report.figures import charts as figures
from report.figures.atlas import scores, viewer
from report.figures.model_diagram import NETWORK, NONE, PART_OF, parts_of, picture
from report.page.claims import claims_of, rules, verdict_table
from report.page.provenance import citation, failures, ledger
from report.page.published import INSIDE, OUTSIDE, SAME, against_reference, compared
from report.page.summary import opening
from report.page.variant_tables import changes_table, metrics_table
from report.verdicts.judge import judge_all
from report.verdicts.stats import Estimate
from report.verdicts.tables import Tables, records

ALL_ABLATIONS = load_ablations()  # before any test plants others


def judged(results: Path, monkeypatch: pytest.MonkeyPatch, effects: list) -> Tables:
    results.mkdir(parents=True)
    plant(results, monkeypatch, effects)
    collect(results)
    judge_all(results)
    return Tables.load(results)


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tables:
    """A variant that is half a nat worse, in five seeds."""
    return judged(tmp_path / "cpu", monkeypatch, [0.5, 0.52, 0.48, 0.51, 0.49])


def test_the_opening_counts_and_names_what_was_found(tables: Tables):
    shown = opening(tables, claims_of(tables.results)).data
    assert "Of 4 claims: 2 supported and 2 contradicted." in shown
    assert '(<a href="#planted">0.500</a>)' in shown  # the largest of those that hold
    assert shown.count("<li>") == 2  # what is contradicted
    assert "It makes no difference." in shown
    assert "5 complete of 5 planned" in shown
    assert "not complete" not in shown
    assert "<script>" not in shown


def test_one_seed_is_enough_for_every_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    tables = judged(tmp_path / "cpu", monkeypatch, [0.5])
    claims = claims_of(tables.results)
    assert "Of 4 claims: 4 undecided." in opening(tables, claims).data
    assert "an interval needs at least two" in rules(claims).data
    assert "1/1" in verdict_table(claims).data
    assert "0.500" in figures.forest(tables, ["planted"]).data
    assert "no interval" in figures.learning_curves(tables, "planted").data
    assert "±" not in metrics_table(tables, "planted").data.partition("Mean ±")[0]


def test_no_result_at_all_is_told(tables: Tables):
    lost = dataclasses.replace(tables, members=tables.members.assign(status="failed"))
    assert "No run has ended with a result yet." in figures.learning_curves(lost, "planted").data
    assert "No variant can be set against" in figures.forest(lost, ["planted"]).data
    assert figures.currency_curves(lost, "planted").data == ""
    assert "5 failed" in metrics_table(lost, "planted").data


def test_links_go_to_sections_that_are_there(tables: Tables):
    claims = claims_of(tables.results)
    assert verdict_table(claims, ["planted"]).data.count('<a href="#planted">') == 4
    assert "data-show" in verdict_table(claims, []).data
    elsewhere = dataclasses.replace(tables, members=tables.members.assign(status="missing"))
    for shown in (verdict_table(claims, []).data, opening(elsewhere, claims).data):
        assert "It makes no difference." in shown
        assert "<a" not in shown


def test_a_difference_is_per_target_where_no_text_is_predicted(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
):
    assert "differences in nats per character: " in figures.forest(tables, ["planted"]).data
    monkeypatch.setitem(tables.ablations, "sorted", tables.ablations["planted"])
    others = tables.members.assign(**{"ablation": "sorted", "recipe.task": "sort"})
    both = dataclasses.replace(tables, members=pd.concat([tables.members, others]))
    for names, unit in (
        (["sorted"], "nats per target"),
        (["planted", "sorted"], "nats per character; of sorted, per target"),
    ):
        assert f"differences in {unit}: " in figures.forest(both, names).data
        figure, _ = figures.draw_forest(both, names)
        assert f"({unit})" in figure.axes[0].get_xlabel()


@pytest.mark.parametrize("span", [8, 90, 1e3, 1e9])
def test_the_labels_of_costs_do_not_touch(tables: Tables, monkeypatch: pytest.MonkeyPatch, span):
    rows = [
        {"variant": "base", "seed": 0, "step": step, "loss": 3.0 - step}
        | {"seconds": span**step, "flops": 1e9 * span**step}
        for step in (0.01, 1.0)
    ]
    monkeypatch.setattr(Tables, "points", lambda *_: pd.DataFrame(rows))
    drawn: list[Figure] = []
    monkeypatch.setattr(figures, "show", lambda figure, **_: drawn.append(figure))
    figures.currency_curves(tables, "planted")
    drawn[0].canvas.draw()
    for axes in drawn[0].axes:
        low, high = axes.get_xlim()
        ticks = zip(axes.get_xticks(), axes.get_xticklabels(), strict=True)
        boxes = [label.get_window_extent() for tick, label in ticks if low <= tick <= high]
        assert len(boxes) >= 2
        assert all(one.x1 + 4 < next_.x0 for one, next_ in itertools.pairwise(boxes))


def test_the_atlas_names_its_networks_and_tokens(tables: Tables):
    assert "Every head of “base” and “odd &lt;script&gt;" in viewer(tables).data
    pairs = dataclasses.replace(tables.study, tokenizer="bpe")
    shown = viewer(dataclasses.replace(tables, study=pairs)).data
    assert "Point at a byte pair" in shown
    assert "haracter" not in shown
    assert "Of seed 0. Previous" in scores(tables).data


def test_what_differs_is_told_by_field(tables: Tables):
    shown = changes_table(tables, "planted").data
    assert "the base itself" in shown
    assert "<td>model.position = none</td>" in shown


def test_every_field_of_a_network_has_its_part():
    fields = {f"model.{field.name}" for field in dataclasses.fields(ModelConfig)}
    assert fields == {field for field in PART_OF if field.startswith("model.")}


@pytest.mark.parametrize(
    ("ablation", "parts"),
    [
        ("positional-encoding", ["positions"]),
        ("heads", ["attention"]),
        ("activation", ["feed-forward"]),
        ("norm-kind", ["norm"]),
        ("residual-norm", ["norm", "residual path"]),
        ("schedule", ["training"]),
        ("lstm-baseline", [NETWORK]),
        ("sorting", [NETWORK, "task"]),
        ("tying", ["output"]),
    ],
)
def test_an_ablation_stands_beside_what_it_changes(tables: Tables, ablation, parts):
    found = parts_of(ALL_ABLATIONS[ablation], tables)
    assert [part for part in found if part in parts] == parts
    if NETWORK not in parts:
        assert found == parts


def test_the_picture_links_each_ablation(tables: Tables):
    assert picture(tables).data.count('<a href="#planted"') == 1
    nothing = dataclasses.replace(ALL_ABLATIONS["heads"], variants=[Variant("base")])
    assert parts_of(nothing, tables) == [NONE]


def test_a_figure_is_drawn_as_what_is_smaller():
    kinds = []
    for points in (10, 20_000):
        figure, axes = plt.subplots()
        axes.plot(*np.random.default_rng(0).random((2, points)), "o")
        shown = figures.show(figure, alt="<b>", caption="<i>").data
        kinds.append(shown.partition("data:image/")[2].partition(";")[0])
        assert 'alt="&lt;b&gt;"' in shown
        assert "&lt;i&gt;" in shown
    assert kinds == ["svg+xml", "png"]


def test_encodings_are_those_of_the_papers():
    rows = measured.rows()
    value = {(row["encoding"], row["part"], row["place"]): row["value"] for row in rows}
    assert len(value) == len(rows) == 64 * 64 + 64 + 4 * 64
    for place in (0, 1, 63):
        # Vaswani 2017, section 3.5, dimensions 6 and 7 of 64
        angle = place / 10000 ** (6 / 64)
        assert value["sinusoidal", 6, place] == pytest.approx(math.sin(angle), abs=1e-5)
        assert value["sinusoidal", 7, place] == pytest.approx(math.cos(angle), abs=1e-5)
        # Su 2021: a pair turned by an angle keeps its cosine
        turned = np.mean([math.cos(place / 10000 ** (i / 8)) for i in range(8)])
        assert value["rope", 0, place] == pytest.approx(turned, abs=1e-5)
        # Press 2022: slopes of four heads
        for head, slope in enumerate((1 / 4, 1 / 16, 1 / 64, 1 / 256)):
            assert value["alibi", head, place] == pytest.approx(-slope * place)


def test_encodings_are_drawn_where_several_are_compared(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
):
    write_table(tables.results, "encodings", measured.rows())
    assert encodings(tables, "planted").data == ""
    several = ALL_ABLATIONS["positional-encoding"]
    mine = Variant("mine", {"model.position": "experiments.ablations.some:of_mine"})
    several = dataclasses.replace(several, variants=[*several.variants, mine])
    monkeypatch.setitem(tables.ablations, "planted", several)
    shown = encodings(tables, "planted").data
    assert "alibi: −15.750, −3.938, −0.984, −0.246 by head" in shown
    assert "Not drawn, for nothing is tabulated of them: none, learned and mine." in shown


def test_schedules_are_drawn_where_they_differ(tables: Tables, monkeypatch: pytest.MonkeyPatch):
    assert schedules(tables, "planted").data == ""
    moved = Variant(ODD_NAME, {"recipe.schedule": "constant"})
    stated = dataclasses.replace(tables.ablations["planted"], variants=[Variant("base"), moved])
    monkeypatch.setitem(tables.ablations, "planted", stated)
    curves = tables.curves.assign(learning_rate=1e-3, split="train")
    shown = schedules(dataclasses.replace(tables, curves=curves), "planted").data
    assert "base ends at 0.001; odd" in shown


def test_the_reference_is_compared(tables: Tables, monkeypatch: pytest.MonkeyPatch):
    assert "No reference results" in against_reference(tables).data
    folder = tables.results.parent / "reference" / "cpu"
    judged(folder, monkeypatch, [0.5, 0.52, 0.48, 0.51, 0.49])
    same = against_reference(tables).data
    assert "Of 2 variants, 0 ended outside the noise of seeds. Of 4 verdicts, 0 changed." in same
    assert same.count(f"<td>{SAME}</td>") == 2
    plant(folder, monkeypatch, [1.9, 1.92, 1.88, 1.91, 1.89])
    collect(folder)
    judge_all(folder)
    other = against_reference(tables).data
    assert other.count(f"<td>{OUTSIDE}</td>") == 1
    assert other.count(f"<td>{SAME}</td>") == 1
    turned = claims_of(folder).replace({"verdict": {"supported": "undecided"}})
    write_table(folder, "claims", records(turned))
    ours = claims_of(tables.results).set_index("claim")["verdict"]
    assert ours["planted"] == ours["planted-speed"] == "supported"
    about_time = against_reference(tables).data
    assert "Of 4 verdicts, 2 changed, 1 of them about time." in about_time


def test_two_means_are_held_against_both_intervals():
    one = Estimate(1.0, 0.7, 1.3, 3)
    assert compared(one, one) == SAME
    assert compared(one, Estimate(1.49, 1.09, 1.89, 3)) == INSIDE  # within 0.5
    assert compared(one, Estimate(1.51, 1.11, 1.91, 3)) == OUTSIDE
    assert compared(one, Estimate(1.31, None, None, 1)) == OUTSIDE


def test_ledger_and_citation_have_every_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    tables = judged(tmp_path / "cpu", monkeypatch, [0.5, "failed", None, "diverged"])
    shown = ledger(tables).data
    assert shown.count("<tr>") == 1 + 7
    assert shown.index("failed") < shown.index("diverged") < shown.index("done")
    assert "because &lt;i&gt;planted&lt;/i&gt;" in shown
    told = failures(tables).data
    assert "1 run failed and 1 run diverged. 1 planned comparison not there:" in told
    assert "7 runs" in citation(tables).data
    assert "0" * 64 in citation(tables).data
