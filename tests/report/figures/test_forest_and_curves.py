"""The forest of an ablation, and its curves over training."""

import dataclasses
import io
import json
import math
import re
from html import escape, unescape
from pathlib import Path

import pandas as pd
import pytest
from building import judged_study
from planted import ODD_NAME

from report.figures import forest as forests
from report.figures import training_curves
from report.study.tables import Tables


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tables:
    """A variant that is half a nat worse, in five seeds."""
    return judged_study(tmp_path / "cpu", monkeypatch, [0.5, 0.52, 0.48, 0.51, 0.49])


def test_losses_of_hundreds_are_drawn_at_the_upper_edge_and_counted(tables: Tables, monkeypatch):
    """The curves fall from 802 over 402 to 2, in two variants and five seeds. A uniform guess has
    ln 84.
    """
    drawn: list[float] = []

    def draw(_: object, rows: pd.DataFrame, *__: object, y: str, **___: object) -> None:
        drawn.append(float(rows[y].max()))

    monkeypatch.setattr(training_curves, "draw_lines", draw)
    monkeypatch.setattr(training_curves, "legend_beside", lambda _: None)
    shown = training_curves.learning_curves(tables, "planted").data
    assert "20 losses above 6.6 drawn at 6.6." in shown
    assert "base ends at 2." in shown
    assert drawn == pytest.approx([1.5 * math.log(84)])


def test_forest_names_the_unit_and_the_margin(tables: Tables, monkeypatch: pytest.MonkeyPatch):
    shown = forests.forest(tables, "planted").data
    assert "differences in nats per character: " in shown
    assert "shaded: the margin" in shown
    (tip,) = re.findall("<title>(.*?)</title>", shown)
    assert re.fullmatch(rf"{re.escape(escape(ODD_NAME, quote=False))}: 0\.500\s.*, n = 5", tip)
    sorting = tables.members.assign(**{"recipe.task": "sort"})
    shown = forests.forest(dataclasses.replace(tables, members=sorting), "planted").data
    assert "differences in nats per target: " in shown
    assert "margin" not in shown  # the claims are about another loss


def test_forest_has_the_pairs_of_claims_that_are_not_against_the_baseline(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
):
    planted = tables.ablations["planted"]
    third = dataclasses.replace(planted.variants[1], name="third")
    other, *_ = planted.claims
    pair = dataclasses.replace(other, effect={"third": 1, ODD_NAME: -1})
    stated = dataclasses.replace(planted, variants=[*planted.variants, third], claims=[pair])
    monkeypatch.setitem(tables.ablations, "planted", stated)
    odd = tables.members[tables.members["variant"] == ODD_NAME]
    worse = odd.assign(variant="third", val_loss_per_character=odd["val_loss_per_character"] + 0.25)
    members = pd.concat([tables.members, worse])
    rows = forests.differences(dataclasses.replace(tables, members=members), "planted")
    assert list(rows["difference"]) == [ODD_NAME, "third", f"third less {ODD_NAME}"]
    assert rows["mean"].iloc[2] == pytest.approx(0.25)


def test_no_losses_are_compared_where_no_claim_is_about_what_is_learnt(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
):
    planted = tables.ablations["planted"]
    speed = [claim for claim in planted.claims if not claim.learnt]
    assert speed
    monkeypatch.setitem(tables.ablations, "planted", dataclasses.replace(planted, claims=speed))
    assert forests.forest(tables, "planted").data == ""
    assert training_curves.difference_curves(tables, "planted").data == ""


def test_difference_curves_leave_out_and_name_what_diverged(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
):
    rows = [
        {"variant": name, "seed": seed, "step": step, "tokens": step, "loss_per_character": loss}
        for name, losses in (("base", (5, 3, 2)), (ODD_NAME, (5, 3.5, 2.5)), ("high", (5, 9, 99)))
        for seed in range(2)
        for step, loss in enumerate(losses)
    ]
    planted = tables.ablations["planted"]
    high = dataclasses.replace(planted.variants[1], name="high")
    stated = dataclasses.replace(planted, variants=[*planted.variants, high])
    monkeypatch.setitem(tables.ablations, "planted", stated)
    monkeypatch.setattr(training_curves, "curve_points", lambda *_: pd.DataFrame(rows))
    shown = training_curves.difference_curves(tables, "planted").data
    assert "Not drawn, since a run diverged or ended above a uniform guess: high." in shown
    assert "At the end: odd" in shown
    name, note = escape(ODD_NAME, quote=False), "lines say their names under the pointer"
    monkeypatch.setattr(training_curves, "_MOST_IN_LEGEND", 0)
    without = training_curves.difference_curves(tables, "planted").data
    assert without.count(name) == shown.count(name) - 1  # that of the legend
    assert note in without
    assert note not in shown
    assert "0.500." in shown
    assert f"<title>{escape(ODD_NAME, quote=False)} 0.500</title>" in shown


def test_the_chart_of_a_figure_has_a_line_for_each_variant(tables: Tables):
    """The page's script takes the first column of the data for the names of the lines."""
    html = training_curves.learning_curves(tables, "planted").data
    chart = json.loads(html.partition("data-chart='")[2].partition("'>")[0])
    rows = pd.read_csv(io.StringIO(unescape(re.findall("<pre>(.*?)</pre>", html, re.S)[0])))
    assert [*rows.columns[: 1 + len(chart["x"])]] == ["variant", *chart["x"]]
    assert [*rows["variant"].unique()] == [*chart["colours"]] == ["base", ODD_NAME]
