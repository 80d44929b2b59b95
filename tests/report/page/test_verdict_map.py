"""The verdict map: a row for each claim, a column for each budget, and no verdict left out."""

import re

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from by_hand import LEARNT, ablation, bigrams, claim, judged, runs_of, write_study
from helping import ROOT

from experiments.ablation import Beats
from experiments.records.collect import read_table
from report.page.claims import claims_of, with_texts
from report.page.verdict_map import MARKS, Course, MapRow, draw_verdict_map, map_rows, verdict_map
from report.study.tables import Tables
from report.verdicts.outcomes import Verdict

NONE = pd.DataFrame(columns=["claim", "budget", "verdict"])  # no second study
CLAIMS = [
    claim(id="late", sentence="It needs <b>training</b>.", requires=[LEARNT, Beats("a")]),
    claim(id="always", sentence="It always helps."),
    claim(id="never", sentence="It never helps.", effect={"a": 1, "b": -1}),
    claim(id="exact", sentence="It is exact.", effect={}, check="head-cost", requires=[]),
]


def claims_at(tmp_path, monkeypatch, budgets: tuple[int, ...] = (1, 4)) -> pd.DataFrame:
    """At budget 1 nothing beats the bigram. "b" is worse than "a" by 0.5 everywhere."""
    runs = [
        run
        for budget in budgets
        for run in (
            *runs_of({"a": [2.5 - budget / 4] * 3, "b": [3.0 - budget / 4] * 3}, budget),
            *bigrams([2.3] * 3, budget),
        )
    ]
    planted = ablation(*CLAIMS, core=True)
    write_study(tmp_path, monkeypatch, planted, runs, budgets=budgets)
    judged(tmp_path)
    return read_table(tmp_path, "claims")


def test_the_map_has_each_claim_about_training_once_ordered_by_its_deepest_verdict(
    tmp_path, monkeypatch
):
    budgets, rows = map_rows(claims_at(tmp_path, monkeypatch), NONE)
    assert budgets == [1, 4]
    verdicts = {row.claim: [cell and cell["verdict"] for cell in row.cells] for row in rows}
    assert list(verdicts.items()) == [
        ("late", ["not testable", "supported"]),
        ("always", ["supported", "supported"]),
        ("never", ["reversed", "reversed"]),
    ]


def test_the_course_of_a_claim_is_that_of_its_verdicts_over_the_budgets(tmp_path, monkeypatch):
    _, rows = map_rows(claims_at(tmp_path, monkeypatch), NONE)
    courses = {row.claim: row.course for row in rows}
    assert courses == {"late": Course.APPEARS, "always": Course.ALWAYS, "never": Course.NEVER}


@pytest.mark.parametrize(
    ("verdicts", "course"),
    [
        (["supported", None, "supported"], Course.ALWAYS),  # not trained at the second budget
        (["supported", "not run"], Course.ALWAYS),
        (["supported", "undecided", "supported"], Course.RETURNS),
        (["supported", "not testable", "supported"], Course.RETURNS),
        (["negligible", "supported"], Course.APPEARS),
        (["not testable", "supported", "supported"], Course.APPEARS),
        (["undecided", "supported"], Course.APPEARS),
        (["supported", "negligible"], Course.DISAPPEARS),
        (["supported", "reversed", "not run"], Course.DISAPPEARS),
        (["undecided", "reversed"], Course.NEVER),
        (["supported", "undecided"], Course.OPEN),
        (["supported", "not testable"], Course.OPEN),
        (["not testable", "not run"], Course.OPEN),
        (["not run"], Course.OPEN),
    ],
)
def test_courses(verdicts: list[str | None], course: Course):
    cells = [verdict and {"verdict": verdict} for verdict in verdicts]
    assert MapRow("claim", "ablation", "sentence", cells).course == course


@pytest.mark.parametrize(
    ("fragile", "course"),
    [([True, False], Course.APPEARS), ([False, True], Course.OPEN), ([True, True], Course.OPEN)],
)
def test_a_fragile_verdict_counts_as_undecided(fragile: list[bool], course: Course):
    cells = [{"verdict": "supported", "fragile": each} for each in fragile]
    assert MapRow("claim", "ablation", "sentence", cells).course == course


def test_the_map_of_the_page_shows_every_verdict_and_escapes_sentences(tmp_path, monkeypatch):
    claims = claims_at(tmp_path, monkeypatch)
    courses, _, html = verdict_map(Tables.load(tmp_path), claims, NONE).data.partition('"filter"')
    assert "It needs &lt;b&gt;training" in html
    lists = re.findall(r"<dt>(.*?) \((\d) of 3 .*?</dt>(.*?)(?=<dt>|</dl>)", courses, re.DOTALL)
    assert [(text, n, re.findall(r"#claim-(\w+)", links)) for text, n, links in lists] == [
        ("Holds at every budget", "1", ["always"]),
        ("Supported at the deepest budget, not at the lowest", "1", ["late"]),
        ("Negligible or reversed at the deepest budget", "1", ["never"]),
    ]
    assert [html.count(f'href="#claim-{name}"') for name in ("late", "always", "never")] == [1] * 3
    cells = re.findall(r'<td class="([a-z-]+)"', html)
    assert cells == ["not-testable", *["supported"] * 3, *["reversed"] * 2, "not-run"]
    assert "0.500" in html


def test_claims_without_training_have_one_cell_for_all_budgets(tmp_path, monkeypatch):
    claims = claims_at(tmp_path, monkeypatch)
    html = verdict_map(Tables.load(tmp_path), claims[claims["budget"].isna()], NONE).data
    assert html.count("<td") == html.count("colspan") == 1  # a verdict for all budgets


def test_open_claims_and_those_without_training_are_folded_and_counted_apart(tmp_path, monkeypatch):
    claims = claims_at(tmp_path, monkeypatch)
    claims.loc[claims["claim"] == "never", "verdict"] = "undecided"
    html = verdict_map(Tables.load(tmp_path), claims, NONE).data.partition('"filter"')[2]
    decided, is_open, untrained = html.split("<details")
    assert "1 open claim about training: " in is_open
    assert "It never helps." in is_open
    assert "1 claim about formulas, costs and times, without training" in untrained
    assert "It is exact." in untrained
    assert "It always helps." in decided
    for sentence in ("It never helps.", "It is exact."):
        assert html.count(sentence) == 1


def test_there_is_no_map_without_claims(tmp_path, monkeypatch):
    claims = claims_at(tmp_path, monkeypatch)
    assert verdict_map(Tables.load(tmp_path), claims.iloc[:0], NONE).data == ""


def test_the_drawn_map_marks_every_cell(tmp_path, monkeypatch):
    claims = claims_at(tmp_path, monkeypatch)
    figure = draw_verdict_map(Tables.load(tmp_path), claims, NONE)
    (axes,) = figure.axes
    texts = [text.get_text() for text in axes.texts]
    plt.close(figure)
    assert len(texts) == 6
    assert texts[0] == MARKS[Verdict.NOT_TESTABLE][0]
    assert all(text.startswith(("✓", "✗", "–")) for text in texts)
    heads = [label.get_text().split("\n") for label in axes.get_xticklabels()]
    assert [head[:2] for head in heads] == [
        ["budget 1", "0.26 M characters"],
        ["budget 4", "1.02 M characters"],
    ]
    assert all(head[2].endswith(" per parameter") for head in heads)


def test_every_verdict_has_a_mark_of_its_own():
    assert list(MARKS) == list(Verdict)
    marks = [mark for mark, _ in MARKS.values()]
    assert len(set(marks)) == len(marks)


def test_a_published_claim_that_no_outcome_of_its_seeds_could_support_says_how_many_it_needs():
    rows = with_texts(claims_of(ROOT / "results" / "reference" / "cpu"))
    said = {row["claim"]: row["lacking_text"] for row in rows if row["lacking_text"]}
    assert said
    assert {*said.values()} <= {f"needs {n}" for n in range(6, 21)}
    for row in rows:
        assert bool(row["lacking_text"]) == ("cannot support this claim, whatever" in row["why"])
