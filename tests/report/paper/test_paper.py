"""The paper: every claim of the map, numbers from the tables alone, and safe HTML and LaTeX."""

import ast
import dataclasses
import re
import shutil
import subprocess
from collections.abc import Iterator
from html.parser import HTMLParser

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from building import judged_study
from helping import ROOT
from planted import ODD_NAME

from experiments.records.collect import write_table
from report.page.claims import claims_of
from report.page.verdict_map import map_rows
from report.paper.build import build, main
from report.paper.content import paper_of
from report.paper.document import Paper, Paragraph, Table
from report.paper.html import html
from report.paper.latex import escape, latex
from report.study.tables import Tables

HOSTILE = rf"{ODD_NAME} $x^2$ 5 % _ # ~ ^ {{ }} \input{{x}} \end{{document}} −±≈✓✗ – “ü” `--`"


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tables]:
    """A variant that is half a nat worse at budget 1, and no worse at budget 4."""
    folder = tmp_path_factory.mktemp("results") / "cpu"
    with pytest.MonkeyPatch.context() as monkeypatch:
        effects = [0.5, 0.52, 0.48, 0.51, 0.49]
        yield judged_study(folder, monkeypatch, effects, [0.01, 0.02, 0.0, -0.01, 0.03])


@pytest.fixture
def claims(tables: Tables) -> Iterator[pd.DataFrame]:
    """The table "claims", in which one sentence has every character that could do harm."""
    table = claims_of(tables.results)
    yield table.assign(sentence=table["sentence"].mask(table["claim"] == "planted", HOSTILE))
    plt.close("all")


def texts(paper: Paper) -> str:
    """All words of the paper but those of its tables."""
    parts = [part for section in paper.sections for part in section.parts]
    words = [part.text for part in parts if isinstance(part, Paragraph)]
    return "\n".join([paper.byline, paper.abstract, *words])


def rows_of(paper: Paper, caption: str) -> list[tuple[str, ...]]:
    """The rows of the table whose caption begins so."""
    parts = [part for section in paper.sections for part in section.parts]
    (table,) = (p for p in parts if isinstance(p, Table) and p.caption.startswith(caption))
    return [tuple(row) for row in table.rows]


def read(page: str) -> str:
    """The text of a page as a browser shows it, alternative texts included."""
    words: list[str] = []

    class Reader(HTMLParser):
        def handle_data(self, data: str) -> None:
            words.append(data)

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            assert tag not in ("script", "link", "iframe")
            words.append(dict(attrs).get("alt") or "")

    Reader().feed(page)
    return "\n".join(words)


def test_all_claims_of_the_map_are_in_the_figure_and_in_its_alternative_text(tables, claims):
    paper = paper_of(tables, claims)
    (picture,) = paper.pictures
    _, rows = map_rows(claims)
    labels = [label.get_text() for label in picture.figure.axes[0].get_yticklabels()]
    assert labels == [row.sentence for row in rows]
    assert len(labels) == 3
    shown = read(html(paper))
    assert all(sentence in shown for sentence in labels)
    assert rf"{{{picture.name}.pdf}}" in latex(paper)


def test_a_hostile_sentence_is_text_in_html_and_in_latex(tables, claims):
    paper = paper_of(tables, claims)
    page, source = html(paper), latex(paper)
    assert HOSTILE in read(page)
    assert "<script" not in page
    assert escape(HOSTILE) in source
    assert source.count(r"\end{document}") == 1
    assert r"\input" not in source


def test_latex_escapes():
    assert escape(r"\{}$&%#_") == r"\textbackslash{}\{\}\$\&\%\#\_"
    assert escape("a\n\n b\x00") == "a b "
    assert escape("−1.0\u00a0±\u00a00.5, ≈ ✓ ✗") == (
        r"\ensuremath{-}1.0~±~0.5, \ensuremath{\approx} \ding{51} \ding{55}"
    )
    assert escape("--seeds “é” 中") == "-{}-seeds “é” U+4E2D"


def test_what_changed_with_the_budget_is_computed_from_the_claims(tables, claims):
    paper = paper_of(tables, claims)
    assert "Of 3 claims that are judged at more than one budget, 3 have another" in paper.abstract
    changed = {row[0]: row[1:] for row in rows_of(paper, "Claims whose verdict differs")}
    assert changed[HOSTILE] == ("supported 0.500", "negligible 0.010")
    changing = rows_of(paper, "Effects that still change")
    (trend,) = (row for row in changing if row[0].startswith(HOSTILE))
    assert trend[1:3] == ("shrinking", "−0.245")
    assert rows_of(paper, "Verdicts at each budget")[0][:4] == ("budget 1", "1", "0", "2")
    first = claims[claims["budget"] != 4]
    alone = paper_of(tables, first)
    assert "No claim is judged at more than one budget" in texts(alone)


def test_every_number_is_computed(tables, claims):
    speed = claims["claim"] == "planted-speed"
    changed = claims.assign(effect=claims["effect"].mask(speed, 7.25), verdict="reversed")
    against = rows_of(paper_of(tables, changed), "Claims that the data speak against")
    assert [row[2] for row in against if row[0].startswith("It is faster.")] == ["×7.250"]
    assert all(count == "0" for count in rows_of(paper_of(tables, changed), "Verdicts at")[0][1:3])
    study = dataclasses.replace(tables.study, seeds=17, corpus_name="another", vocab_size=55)
    other = texts(paper_of(dataclasses.replace(tables, study=study), claims))
    assert "17 paired seeds" in other
    assert "another" in other
    assert "55 distinct ones" in other
    twice = pd.DataFrame({"agreement": ["bit for bit"] * 3 + ["not"], "same": [True] * 3 + [False]})
    assert "trained again yet" in texts(paper_of(tables, claims))
    repeated = texts(paper_of(dataclasses.replace(tables, verified=twice), claims))
    assert "Agreement of 4 finished runs" in repeated
    assert "3 bit for bit and 1 not" in repeated
    assert "not complete" not in repeated
    members = tables.members.assign(status=["missing", *tables.members["status"][1:]])
    partial = texts(paper_of(dataclasses.replace(tables, members=members), claims))
    assert "The study is not complete: 1 compared run missing." in partial


def test_no_number_is_typed_into_the_text():
    names = {"corpus SHA-256", "COMPILE=1"}  # of a fact, and of an option
    for name in ("content", "method", "results", "checks"):
        tree = ast.parse((ROOT / "report" / "paper" / f"{name}.py").read_text())
        formats = {
            part
            for node in ast.walk(tree)
            if isinstance(node, ast.FormattedValue) and node.format_spec
            for part in ast.walk(node.format_spec)
        }
        documentation = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        strings = [
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
            if node not in formats | documentation
        ]
        assert strings
        assert [text for text in strings if re.search(r"\d", text) and text not in names] == []


def test_second_studies_are_listed_with_what_they_decide_otherwise(tables, claims, monkeypatch):
    assert "judged the same claims again" not in texts(paper_of(tables, claims))
    facts = {"corpus": "other & more", "corpus_sha256": "0", "first_seed": 7, "last_seed": 9}
    facts |= {"device_name": "a card", "claim": "planted", "budget": 1, "low": -0.2, "high": -0.1}
    second = pd.DataFrame(
        [facts | {"verdict": "reversed", "fragile": False, "effect": -0.15, "n": 3}]
    )
    monkeypatch.setattr("report.paper.content.second_verdicts", lambda results: second)
    paper = paper_of(tables, claims)
    (study,) = rows_of(paper, "The same rules")
    assert study == ("other & more", "7 to 9", "a card", "1", "0", "1")
    (verdict,) = rows_of(paper, "Verdicts that a second study decides otherwise")
    assert verdict[:2] == (HOSTILE, "1")
    assert verdict[2:] == (
        *("supported", "0.500 (0.480 to 0.520)"),
        *("reversed", "−0.150 (−0.200 to −0.100)", "other & more"),
    )
    assert r"other \& more" in latex(paper)


def test_calibration_is_beside_the_published_loss(tables, claims, tmp_path):
    assert "No published recipe was trained" in texts(paper_of(tables, claims))
    runs = [
        {"recipe": "a recipe & more", "published": 1.5, "margin": 0.05, "seed": seed}
        | {"status": "done", "reason": "", "lowest_loss": 1.5 + 0.001 * seed, "val_loss": 1.6}
        for seed in range(3)
    ]
    (tmp_path / "calibration").mkdir()
    write_table(tmp_path / "calibration", "calibration", runs)
    calibrated = dataclasses.replace(tables, results=tmp_path / "cpu")
    (row,) = rows_of(paper_of(calibrated, claims), "Validation loss")
    assert row[:2] == ("a recipe & more", "1.5 (±0.05)")
    assert "agrees" in row


def test_references_are_the_papers_that_the_claims_name(tables, claims):
    assert paper_of(tables, claims).references == []
    named = claims.assign(said_by="Xiong 2020, theorem 1; Bengio 2003; Nobody 1999")
    paper = paper_of(tables, named)
    assert [each.paper for each in paper.references] == ["Bengio 2003", "Xiong 2020"]
    assert r"\href{https://arxiv.org/abs/2002.04745}{arXiv:2002.04745}" in latex(paper)
    page = html(paper)
    assert set(re.findall(r'href="(.*?)"', page)) == {
        "https://arxiv.org/abs/2002.04745",
        "https://doi.org/10.5555/944919.944966",
    }
    assert all(source.startswith("data:image/svg") for source in re.findall(r'src="(.*?)"', page))
    assert "url(" not in page
    assert "@import" not in page


def test_the_paper_is_built_beside_the_tables_and_again_the_same(tables, capsys):
    folder = tables.results
    assert main(folder) == 0
    page, source = folder / "paper.html", folder / "paper" / "paper.tex"
    assert capsys.readouterr().out == f"paper: {page} and {source}\n"
    files = [page, source, folder / "paper" / "verdict-map.pdf"]
    first = [file.read_bytes() for file in files]
    assert first[2].startswith(b"%PDF")
    assert build(folder) == (page, source)
    assert [file.read_bytes() for file in files] == first


def test_a_folder_without_results_is_refused_in_one_line(tmp_path, capsys):
    assert main(tmp_path / "cpu") == 2
    assert capsys.readouterr().err.startswith("error: there are no results in")


@pytest.mark.parametrize("engine", ["pdflatex", "lualatex"])
def test_latex_compiles_and_nothing_is_overfull(tables, claims, tmp_path, engine):
    if not shutil.which(engine) or subprocess.run(["kpsewhich", "xltabular.sty"]).returncode:
        pytest.skip(f"there is no {engine} with xltabular")
    named = claims.assign(said_by="Xiong 2020, theorem 1; Bengio 2003")
    paper = paper_of(tables, named)
    (tmp_path / "paper.tex").write_text(latex(paper))
    for picture in paper.pictures:
        picture.figure.savefig(tmp_path / f"{picture.name}.pdf")
    command = [engine, "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
    log = (tmp_path / "paper.log").read_text(errors="replace")
    assert "Overfull" not in log
    assert "Missing character" not in log


def test_the_commands_to_rerun_a_study_have_all_that_is_not_usual(tables, claims):
    (usual,) = (
        p for s in paper_of(tables, claims).sections for p in s.parts if p.kind == "commands"
    )
    assert not any("SEED" in line for line in usual.lines)
    changes = {"first_seed": 300, "seeds": 6, "fewer_seeds": 6, "corpus_name": "words.txt"}
    added = {"planted": {"4": 3}, "planted-equal": {"1": 8}}
    study = dataclasses.replace(tables.study, **changes, added=added)
    paper = paper_of(dataclasses.replace(tables, study=study), claims)
    (commands,) = (p for s in paper.sections for p in s.parts if p.kind == "commands")
    (all_runs,) = (line for line in commands.lines if line.startswith("make all"))
    (verify,) = (line for line in commands.lines if line.startswith("make verify"))
    assert {"CORPUS=words.txt", "SEEDS=6", "FIRST_SEED=300"} <= set(all_runs.split())
    assert "CORPUS=words.txt" in verify.split()
    assert "single claims are those of “make decide” and “make trends”." in texts(paper)
