"""Theory section of the page: derivations as MathML, and numbers from the table "theory" only."""

import re
import xml.dom.minidom
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from experiments.catalogue import load_ablations
from experiments.records.collect import read_table, write_table
from experiments.theory import random_models as theory_drawn
from experiments.theory.derivations import TOPICS, rows
from report.figures import theory
from report.html import TEMPLATES

COLUMNS = ["topic", "setting", "quantity", "predicted", "measured"]
FORMULA = re.compile(r"{% filter mathml %}.*?{% endfilter %}", re.DOTALL)


def template(topic: str) -> str:
    return (TEMPLATES / "derivations" / f"{topic}.html.j2").read_text()


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    with pytest.MonkeyPatch.context() as patch:  # fewer draws, because agreement is not tested here
        patch.setattr(theory_drawn, "_PAIRS", 1000)
        patch.setattr(theory_drawn, "_DRAWS", 2)
        write_table(folder, "theory", rows())
    return folder


@pytest.fixture
def table(results: Path) -> pd.DataFrame:
    return read_table(results, "theory")


def planted(*values: tuple[str, str, float | None, float], topic: str = "permutation"):
    return pd.DataFrame([(topic, *value) for value in values], columns=COLUMNS)


def test_each_topic_has_a_derivation_and_each_derivation_a_topic():
    names = [file.name.removesuffix(".html.j2") for file in (TEMPLATES / "derivations").iterdir()]
    assert sorted(names) == sorted(TOPICS)


@pytest.mark.parametrize("name", TOPICS)
def test_a_topic_shows_its_formulas_and_every_number(name: str, table: pd.DataFrame):
    html = theory.topic(table, name).data
    assert html.count("<math ") == len(FORMULA.findall(template(name))) > 0
    for formula in re.findall(r"<math.*?</math>", html):
        xml.dom.minidom.parseString(formula)
        assert "\\" not in formula  # a LaTeX command that was not converted
    without = html.replace('xmlns="http://www.w3.org/1998/Math/MathML"', "")
    assert not re.search(r"http|src=|href=(?!\"#)|url\(|<script", without)
    assert html.count("<tr>") == 1 + (table["topic"] == name).sum()
    assert "nan" not in html


@pytest.mark.parametrize("name", TOPICS)
def test_the_text_of_a_derivation_contains_no_number(name: str):
    text = FORMULA.sub("", template(name)).replace("html.j2", "")
    assert not re.search(r"\d", re.sub(r"GPT-2|\w+ \d{4}\)", "", text))  # except names and years


def test_agreement_states_the_largest_relative_error():
    text = theory.agreement(
        planted(("a", "x", 10.0, 10.1), ("b", "x", 2.0, 1.9), ("c", "x", None, 7.0))
    )
    assert text == (
        "The largest relative error of 2 predictions is −5 %, for “x” at b."
        " No prediction exists for 1 measurement."
    )
    exact = theory.agreement(planted(("a", "x", 3.0, 3.0)))
    assert exact == "The only prediction is met exactly."
    zero = theory.agreement(planted(("a", "x", 0.0, 2e-16)))
    assert zero == "The prediction is zero, the measured value 2e−16."
    published = theory.agreement(
        planted(
            ("odd", "total", 94.0, 94.0), ("odd", "parts", 9.0, 9.0), ("odd", "said", 65.0, 94.0)
        )
    )
    assert published == (
        "All 2 predictions are met exactly. odd: 65 published, 94 counted (+45 %)."
    )


def test_cells_are_escaped_and_missing_predictions_are_dashes():
    html = theory.topic(planted(("<b>", "x & y", None, 1234567.0)), "permutation").data
    assert ">&lt;b&gt;</th><td>x &amp; y</td><td>–</td><td>1,234,567</td><td>–</td>" in html
    html = theory.topic(planted(("a", "x", 2.0, 2.5), ("b", "x", 3.0, 3.0)), "permutation").data
    assert "<td>2</td><td>2.5</td><td>+25 %</td>" in html
    assert "<td>3</td><td>3</td><td>none</td>" in html


def test_an_empty_table_gives_no_output():
    empty = pd.DataFrame([], columns=COLUMNS)
    assert theory.topic(empty, "permutation").data == ""
    assert theory.scores_figure(empty).data == theory.gradient_figure(empty).data == ""


def test_every_topic_explains_one_ablation_and_figures_are_described(
    results: Path, table: pd.DataFrame
):
    tables = SimpleNamespace(results=results)
    assert sorted(name for names in theory.TOPICS.values() for name in names) == sorted(TOPICS)
    assert {*theory.TOPICS} <= {*load_ablations()}
    html = "".join(theory.theory_of(tables, name).data for name in theory.TOPICS)
    assert html.count("<h4>Theory: ") == len(TOPICS)
    for setting, name in (
        ("d_k = 256", "variance of q · k"),
        ("depth = 24, network (gpt2), residual", "network (gpt2), residual"),
    ):
        measured = table.loc[table["setting"] == setting, "measured"].iloc[0]
        assert f"{name} {measured:.4g}" in html  # alternative text of the figure
    assert theory.theory_of(tables, "masking").data == ""
    assert theory.theory_of(SimpleNamespace(results=results / "none"), "heads").data == ""


def test_measurements_and_predictions_have_their_values_under_the_pointer(table: pd.DataFrame):
    tips = re.findall("<title>(.*?)</title>", theory.gradient_figure(table).data)
    series = {tip.partition(": ")[0] for tip in tips}
    assert len(tips) == 2 * len(series) >= 4  # points and a line each
    of_one = table[
        (table["topic"] == "residual-path")
        & table["setting"].str.startswith("depth = 24, network (gpt2), residual")
    ]
    assert any(f"{of_one['measured'].iloc[0]:.3g} at 24" in tip for tip in tips)
