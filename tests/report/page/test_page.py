"""The page: built from planted tables, whole, escaped, and sufficient unto itself."""

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
from report.page import build as pages
from report.page.build import build, execute, sections_of
from report.page.freshness import is_fresh


class Reader(HTMLParser):
    """Collects what a page refers to and which elements it has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.references: list[str] = []
        self.ids: set[str] = set()
        self.tags: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        found = dict(attributes)
        self.references += [found[name] or "" for name in ("href", "src") if name in found]
        if identity := found.get("id"):
            self.ids.add(identity)
        if tag == "img":
            self.images.append(found)


def test_notebooks_run(page):
    text, done, _, results = page
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"report: {results / 'report.html'}\n"
    assert "broke off" not in text


def test_nothing_is_fetched(page):
    """No reference leaves the file, and no style could load one; what a browser asks for besides,
    test_browser.py listens to.
    """
    text, *_ = page
    reader = Reader(text)
    assert reader.references
    for reference in reader.references:
        assert reference.startswith(("#", "data:")), reference
    assert not {"link", "iframe", "object", "embed"} & set(reader.tags)
    assert not re.search(r"@import|url\(", text)


def test_every_link_lands(page):
    reader = Reader(page[0])
    for reference in reader.references:
        if reference.startswith("#"):
            assert reference[1:] in reader.ids


def test_text_from_outside_is_escaped(page):
    text, *_ = page
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text
    assert "<b>corpus</b>" not in text
    assert "<i>planted</i>" not in text
    assert "because &lt;i&gt;planted&lt;/i&gt;" in text


def test_figures_tell_in_words_what_they_show(page):
    told = [image["alt"] or "" for image in Reader(page[0]).images]
    assert len(told) == 5
    assert sum("odd <script>" in alt for alt in told) == 4  # the fifth shows the base's heads alone
    assert all(re.search(r"\d\.\d", alt) for alt in told)


def test_it_says_what_is_missing_and_why(page):
    text, *_ = page
    assert "1 run failed" in text
    assert "1 run diverged" in text
    assert "The study is not complete" in text
    assert "4 complete of 6 planned" in text
    assert "4/6" in text


def test_two_builds_are_the_same_to_the_byte(page):
    path = page.results / "report.html"
    assert build_in(page.checkout, page.results).returncode == 0
    assert path.read_text() == page.text


def test_nothing_is_built_in_vain(page):
    _, _, checkout, results = page
    path = results / "report.html"
    stamp = path.stat().st_mtime_ns
    assert build_in(checkout, results, "--if-changed").returncode == 0
    assert path.stat().st_mtime_ns == stamp


def test_a_broken_notebook_breaks_its_section_alone(tmp_path, monkeypatch):
    results = plant(tmp_path, monkeypatch, [0.5, 0.4])
    pages.collect(results)
    pages.judge_all(results)
    from report.verdicts.tables import Tables

    found, middle, *_, made = sections_of(Tables.load(results))
    assert middle.anchor == "planted"
    broken, whole = execute(
        [dataclasses.replace(middle, parameters={"ablation": "no-such"}), made], results
    )
    assert broken.error == "KeyError: 'no-such'"
    assert (found.anchor, whole.anchor, whole.error) == ("findings", "method", "")
    assert "0 runs failed" in whole.body


def test_a_kernel_that_dies_takes_its_section_alone(tmp_path, monkeypatch):
    results = plant(tmp_path, monkeypatch, [0.5, 0.4])
    pages.collect(results)
    pages.judge_all(results)
    from report.verdicts.tables import Tables

    *_, made = sections_of(Tables.load(results))
    source = (ROOT / "report" / "notebooks" / "method.py").read_text()
    (tmp_path / "dying.py").write_text(source + "\n# %%\nimport os\n\nos._exit(1)\n")
    dying = dataclasses.replace(made, anchor="dying", notebook=str(tmp_path / "dying"))
    monkeypatch.setattr(pages, "usable_cores", lambda: 1)  # one kernel for both
    dead, whole = execute([dying, made], results)
    assert "DeadKernelError" in dead.error
    assert "This section broke off: DeadKernelError" in pages.render(
        "page", title="", sections=[dead]
    )
    assert whole.error == ""
    assert "0 runs failed" in whole.body


def test_no_results_is_an_error_of_the_user(tmp_path: Path):
    with pytest.raises(UserError, match="run `make all` first"):
        build(tmp_path)


def test_a_page_is_stale_once_anything_it_is_made_from_changes(page, monkeypatch):
    _, _, checkout, results = page
    monkeypatch.setattr("report.page.freshness.ROOT", checkout)  # whose code built it
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
