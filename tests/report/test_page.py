"""The page: built from planted tables, whole, escaped, and sufficient unto itself."""

import dataclasses
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from planted import plant

from experiments.errors import UserError
from report import page as pages
from report.freshness import is_fresh
from report.page import build, execute, sections_of


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


ROOT = Path(pages.__file__).parent.parent


def build_in(checkout: Path, results: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "report", str(results), *options]
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    return subprocess.run(
        command, cwd=checkout, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory):
    """The page of a study with an odd name, a diverged run, a failed one and a missing one.

    It is built in a copy of the code in which the planted ablation is the only one, as a user
    would have added it: one file more in the folder.
    """
    checkout = tmp_path_factory.mktemp("checkout")
    for package in ("model", "experiments", "report"):
        shutil.copytree(ROOT / package, checkout / package)
    for file in (checkout / "experiments" / "ablations").glob("[a-z]*.py"):
        file.unlink()
    source = (Path(__file__).parent / "planted.py").read_text()
    (checkout / "experiments" / "ablations" / "planted.py").write_text(source)
    results = tmp_path_factory.mktemp("results")
    with pytest.MonkeyPatch.context() as monkeypatch:
        plant(results, monkeypatch, [0.5, 0.52, "diverged", "failed", None, 0.48])
    done = build_in(checkout, results)
    return (results / "report.html").read_text(), done, checkout, results


def test_notebooks_run(page):
    text, done, _, results = page
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"report: {results / 'report.html'}\n"
    assert "broke off" not in text


def test_nothing_is_fetched(page):
    """No reference leaves the file, and no script or style could load one."""
    text, *_ = page
    reader = Reader(text)
    assert reader.references
    for reference in reader.references:
        assert reference.startswith(("#", "data:")), reference
    assert not {"script", "link", "iframe", "object", "embed"} & set(reader.tags)
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
    images = Reader(page[0]).images
    assert len(images) == 3
    for image in images:
        assert "odd <script>" in image["alt"]
        assert re.search(r"\d\.\d", image["alt"])


def test_it_says_what_is_missing_and_why(page):
    text, *_ = page
    assert "1 run failed" in text
    assert "1 run diverged" in text
    assert "The study is not complete" in text
    assert "This page rests on 4 complete seeds of 6 planned" in text
    assert "4/6" in text


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
    from report.tables import Tables

    found, middle, _, _, made = sections_of(Tables.load(results))
    assert middle.anchor == "planted"
    broken, whole = execute(
        [dataclasses.replace(middle, parameters={"ablation": "no-such"}), made], results
    )
    assert broken.error == "KeyError: 'no-such'"
    assert "This section broke off: KeyError" in broken.body
    assert (found.anchor, whole.anchor, whole.error) == ("findings", "method", "")
    assert "No run failed" in whole.body


def test_a_kernel_that_dies_takes_its_section_alone(tmp_path, monkeypatch):
    results = plant(tmp_path, monkeypatch, [0.5, 0.4])
    pages.collect(results)
    pages.judge_all(results)
    from report.tables import Tables

    *_, made = sections_of(Tables.load(results))
    source = (ROOT / "report" / "notebooks" / "method.py").read_text()
    (tmp_path / "dying.py").write_text(source + "\n# %%\nimport os\n\nos._exit(1)\n")
    dying = dataclasses.replace(made, anchor="dying", notebook=str(tmp_path / "dying"))
    monkeypatch.setattr(pages, "usable_cores", lambda: 1)  # one kernel for both
    dead, whole = execute([dying, made], results)
    assert "DeadKernelError" in dead.error
    assert "This section broke off: DeadKernelError" in dead.body
    assert whole.error == ""
    assert "No run failed" in whole.body


def test_no_results_is_an_error_of_the_user(tmp_path: Path):
    with pytest.raises(UserError, match="run `make all` first"):
        build(tmp_path)


def test_a_page_is_stale_once_anything_it_is_made_from_changes(page, monkeypatch):
    _, _, checkout, results = page
    monkeypatch.setattr("report.freshness.ROOT", checkout)  # whose code built it
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
