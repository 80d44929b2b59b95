"""The section on theory: formulas that need no network, and no number but the table's."""

import re
import xml.dom.minidom
from pathlib import Path

import jupytext
import pandas as pd
import pytest
from markupsafe import escape

import report
from experiments.records.collect import read_table, write_table
from experiments.theory import random_models as theory_drawn
from experiments.theory.derivations import TOPICS, rows
from report.figures import theory
from report.figures.derivations import DERIVATIONS

COLUMNS = ["topic", "setting", "quantity", "predicted", "measured"]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    with pytest.MonkeyPatch.context() as patch:  # fewer draws: here nothing need agree
        patch.setattr(theory_drawn, "_PAIRS", 1000)
        patch.setattr(theory_drawn, "_DRAWS", 2)
        write_table(folder, "theory", rows())
    return folder


@pytest.fixture
def table(results: Path) -> pd.DataFrame:
    return read_table(results, "theory")


def planted(*values: tuple[str, str, float | None, float], topic: str = "permutation"):
    return pd.DataFrame([(topic, *value) for value in values], columns=COLUMNS)


def test_every_topic_has_its_derivation():
    assert sorted(DERIVATIONS) == sorted(TOPICS)


@pytest.mark.parametrize("name", DERIVATIONS)
def test_a_topic_shows_formulas_and_every_number(name: str, table: pd.DataFrame):
    shown = theory.topic(table, name).data
    assert shown.count("<math ") == len(DERIVATIONS[name].steps)
    for formula in re.findall(r"<math.*?</math>", shown):
        xml.dom.minidom.parseString(formula)
        assert "\\" not in formula  # a command that was not understood
    without = shown.replace('xmlns="http://www.w3.org/1998/Math/MathML"', "")
    assert not re.search(r"http|src=|href=(?!\"#)|url\(|<script", without)
    assert shown.count("<tr>") == 1 + (table["topic"] == name).sum()
    assert "nan" not in shown


@pytest.mark.parametrize("name", DERIVATIONS)
def test_words_hold_no_number(name: str):
    heading, steps = DERIVATIONS[name]
    words = " ".join([heading, *(words for words, _ in steps)])
    assert not re.search(r"\d", re.sub(r"GPT-2|\w+ \d{4}\)", "", words))  # but names and years


def test_how_far_off_is_computed():
    told = theory.agreement(
        planted(("a", "x", 10.0, 10.1), ("b", "x", 2.0, 1.9), ("c", "x", None, 7.0))
    )
    assert told == (
        "Of 2 predictions, the furthest off is that of “x” at b: −5 %."
        " 1 measurement without a prediction."
    )
    assert theory.agreement(planted(("a", "x", 3.0, 3.0))) == "1 prediction, exactly met."
    zero = theory.agreement(planted(("a", "x", 0.0, 2e-16)))
    assert zero == "Where zero is predicted, 2e−16 was found."
    said = theory.agreement(planted(("odd", "total", 94.0, 94.0), ("odd", "said", 65.0, 94.0)))
    assert said == "1 prediction, exactly met. odd: 65 are said, 94 counted, +45 %."


def test_cells_and_what_is_not_known():
    shown = theory.topic(planted(("<b>", "x & y", None, 1234567.0)), "permutation").data
    assert ">&lt;b&gt;</th><td>x &amp; y</td><td>–</td><td>1,234,567</td><td>–</td>" in shown
    shown = theory.topic(planted(("a", "x", 2.0, 2.5), ("b", "x", 3.0, 3.0)), "permutation").data
    assert "<td>2</td><td>2.5</td><td>+25 %</td>" in shown
    assert "<td>3</td><td>3</td><td>none</td>" in shown


def test_an_empty_table_shows_nothing():
    empty = pd.DataFrame([], columns=COLUMNS)
    assert theory.topic(empty, "permutation").data == ""
    assert theory.scores_figure(empty).data == theory.gradient_figure(empty).data == ""


def test_the_notebook_shows_every_topic_and_tells_its_figures(results: Path, table: pd.DataFrame):
    notebook = jupytext.read(Path(report.__file__).parent / "notebooks" / "theory.py")
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    assert notebook.cells[0].metadata["tags"] == ["parameters"]
    names: dict[str, object] = {"results": str(results)}
    exec(cells[1], names)
    shown = [eval(cell, names).data for cell in cells[2:]]
    assert all(shown)
    for heading, _ in DERIVATIONS.values():
        assert sum(f">{escape(heading)} <a " in part for part in shown) == 1
    told = " ".join(shown)
    for setting, name in (
        ("d_k = 256", "variance of q · k"),
        ("depth = 24, network (gpt2), residual", "network (gpt2), residual"),
    ):
        measured = table.loc[table["setting"] == setting, "measured"].iloc[0]
        assert f"{name} {measured:.4g}" in told  # in words, beside the figure
