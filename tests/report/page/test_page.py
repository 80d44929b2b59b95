"""The page, built from planted tables: complete, escaped and without outside references."""

import dataclasses
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from building import build_in
from helping import ROOT
from planted import plant

from experiments.errors import UserError
from experiments.records.collect import collect
from report.html import render
from report.output.execute import execute
from report.output.freshness import is_fresh
from report.output.page import build
from report.output.story import arranged, page_sections
from report.study.judge import judge_all
from report.study.tables import Tables


class Reader(HTMLParser):
    """Collects the references, ids, tags and images of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.references: list[str] = []
        self.ids: set[str] = set()
        self.tags: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        values = dict(attributes)
        self.references += [values[name] or "" for name in ("href", "src") if name in values]
        if identity := values.get("id"):
            self.ids.add(identity)
        if tag == "svg" and values.get("role") == "img":
            self.images.append(values)


def test_all_notebooks_run_without_an_error(page):
    text, done, _, results = page
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"report: {results / 'report.html'}\n"
    assert "incomplete because of an error" not in text


def test_page_has_no_reference_to_another_file(page):
    """Requests that a browser makes are tested in test_browser.py."""
    text, *_ = page
    reader = Reader(text)
    assert reader.references
    for reference in reader.references:
        papers = ("https://arxiv.org/abs/", "https://doi.org/")
        assert reference.startswith(("#", "data:", *papers)), reference
    assert not {"link", "iframe", "object", "embed", "img"} & set(reader.tags)
    assert not re.search(r"@import|url\((?!#)", text)


def test_every_link_has_a_target_on_the_page(page):
    reader = Reader(page[0])
    for reference in reader.references:
        if reference.startswith("#") and not reference.startswith("#show="):
            assert reference[1:] in reader.ids


def test_names_errors_and_corpus_text_are_escaped(page):
    text, *_ = page
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text
    assert "<b>corpus</b>" not in text
    assert "<i>planted</i>" not in text
    assert "because &lt;i&gt;planted&lt;/i&gt;" in text


def test_every_figure_has_an_alt_text_with_numbers(page):
    alts = [image["aria-label"] or "" for image in Reader(page[0]).images]
    assert len(alts) == 6
    assert sum("odd <script>" in alt for alt in alts) == 4  # not the base's heads, and the tour
    assert all(re.search(r"\d\.\d", alt) for alt in alts)
    assert all(len(alt) < 300 for alt in alts)


def test_page_counts_failed_diverged_and_missing_runs(page):
    text, *_ = page
    assert "1 run failed" in text
    assert "1 run diverged" in text
    assert "The study is not complete" in text
    assert "4 complete of 6 planned" in text
    assert "4/6" in text


def test_page_shows_the_deepest_complete_budget_and_the_verdicts_at_all(page):
    text, *_ = page
    note = "Figures and tables in this section: budget 4 (1,000 steps)."
    assert f"{note} Verdicts are given for budget 1 (250 steps) too." in text
    counts = "At budget 1, of 3 claims: 3 undecided; at budget 4, of 3 claims: "
    assert f"{counts}1 supported and 2 reversed; without training, of 1 claim: 1 supported" in text
    assert "Budget 1: not decided by the data: " in text
    assert "budget 1 (250 steps)</th><td>10 of 12 runs compared</td>" in text
    assert "budget 4 (1,000 steps)</th><td>12 of 12 runs compared</td>" in text


def test_building_twice_gives_the_same_bytes(page):
    path = page.results / "report.html"
    assert build_in(page.checkout, page.results).returncode == 0
    assert path.read_text() == page.text


def test_unchanged_results_do_not_build_the_page_again(page):
    _, _, checkout, results = page
    path = results / "report.html"
    stamp = path.stat().st_mtime_ns
    assert build_in(checkout, results, "--if-changed").returncode == 0
    assert path.stat().st_mtime_ns == stamp


def test_error_in_a_notebook_affects_its_own_section_only(tmp_path, monkeypatch):
    results = plant(tmp_path, monkeypatch, [0.5, 0.4])
    collect(results)
    judge_all(results)
    first, *_, middle, _, _, method = page_sections(Tables.load(results))
    assert middle.anchor == "planted"
    broken, whole = execute(
        [dataclasses.replace(middle, parameters={"ablation": "no-such"}), method], results
    )
    assert broken.error == "KeyError: 'no-such'"
    assert (first.anchor, whole.anchor, whole.error) == ("findings", "method", "")
    assert "0 runs failed" in whole.body


def test_dying_kernel_affects_its_own_section_only(tmp_path, monkeypatch):
    results = plant(tmp_path, monkeypatch, [0.5, 0.4])
    collect(results)
    judge_all(results)
    *_, method = page_sections(Tables.load(results))
    source = (ROOT / "report" / "notebooks" / "method.py").read_text()
    (tmp_path / "dying.py").write_text(source + "\n# %%\nimport os\n\nos._exit(1)\n")
    dying = dataclasses.replace(method, anchor="dying", notebook=str(tmp_path / "dying"))
    monkeypatch.setattr("report.output.execute.usable_cores", lambda: 1)  # one kernel for both
    dead, whole = execute([dying, method], results)
    assert "DeadKernelError" in dead.error
    html = render("page", title="", groups=arranged([dead]))
    assert "This section is incomplete because of an error: DeadKernelError" in html
    assert whole.error == ""
    assert "0 runs failed" in whole.body


def test_cells_that_are_tagged_folded_are_shown_on_demand(page):
    section = page[0].partition('<section id="planted">')[2].partition("</section>")[0]
    shown, _, folded = section.partition('<details class="more">')
    assert "To run this ablation again" in folded
    assert "To run this ablation again" not in shown
    assert "It makes no difference." in shown


def test_missing_results_are_a_user_error(tmp_path: Path):
    with pytest.raises(UserError, match="run `make all` first"):
        build(tmp_path)


def test_page_is_stale_when_a_run_a_table_or_the_code_changes(page, monkeypatch):
    _, _, checkout, results = page
    monkeypatch.setattr("report.output.freshness.ROOT", checkout)  # whose code built it
    assert is_fresh(results)
    for file in (next(results.glob("runs/*/summary.json")), results / "costs.parquet"):
        before, content = file.stat(), file.read_bytes()
        file.write_bytes(content + b" ")
        assert not is_fresh(results)
        file.write_bytes(content)
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert is_fresh(results)
    added = checkout / "experiments" / "ablations" / "another.py"
    added.write_text("ABLATION = None")
    assert not is_fresh(results)
    added.unlink()
    runs = results / "runs.parquet"
    runs.rename(results / "elsewhere")
    assert not is_fresh(results)
    (results / "elsewhere").rename(runs)
