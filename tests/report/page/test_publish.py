"""A whole study becomes the reference, and the README says what its tables say."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from helping import ROOT
from planted import plant

from experiments.cli.options import StudyOptions
from experiments.cli.report import PageBuilder, report
from experiments.errors import UserError
from experiments.files import sha256
from experiments.fingerprint import code_fingerprint
from experiments.records.collect import collect, read_table, write_table
from report.page.publish import publish
from report.page.published import against_reference, bit_for_bit
from report.page.readme import drawn, filled
from report.verdicts.judge import judge_all
from report.verdicts.tables import Tables, records

REFERENCE = ROOT / "results" / "reference"


def whole(folder: Path, monkeypatch: pytest.MonkeyPatch, **made_by: str) -> Path:
    """A study of three seeds by one commit of this code, of which the tables alone are left."""
    results = plant(folder / "cpu", monkeypatch, [0.5, 0.52, 0.48])
    collect(results)
    judge_all(results)
    shutil.rmtree(results / "runs")
    stated = {"code": code_fingerprint(), "git_revision": "abc", "environment": "e"} | made_by
    rows = [row | stated for row in records(read_table(results, "runs"))]
    rows = [row | {"hardware": "a machine", "device_name": "a processor"} for row in rows]
    write_table(results, "runs", rows)
    (results / "environments").mkdir()
    (results / "environments" / "e.json").write_text('{"packages": ["torch==2"]}')
    return results


def test_a_whole_study_is_published_with_what_made_it(tmp_path, monkeypatch):
    folder = publish(whole(tmp_path, monkeypatch), tmp_path / "reference")
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["git_revision"] == ["abc"]
    assert manifest["environments"] == [{"packages": ["torch==2"]}]
    assert manifest["runs"] == {"done": 6}
    for name, checksum in manifest["tables_sha256"].items():
        assert sha256((folder / name).read_bytes()) == checksum
    assert {"runs.parquet", "curves.parquet", "claims.parquet"} <= set(manifest["tables_sha256"])


@pytest.mark.parametrize(
    ("made_by", "why"),
    [
        ({"git_revision": "abc+changes"}, "not made by one commit"),
        ({"git_revision": ""}, "not made by one commit"),
        ({"code": "another"}, "other code"),
    ],
)
def test_what_cannot_be_repeated_is_not_published(tmp_path, monkeypatch, made_by, why):
    with pytest.raises(UserError, match=why):
        publish(whole(tmp_path, monkeypatch, **made_by), tmp_path / "reference")
    assert not (tmp_path / "reference").exists()


def test_a_study_with_a_failed_run_is_not_published(tmp_path, monkeypatch):
    results = plant(tmp_path / "cpu", monkeypatch, [0.5, "failed", 0.48])
    with pytest.raises(UserError, match="not whole: 1 planned"):
        publish(results, tmp_path / "reference")


def test_a_later_study_is_compared_bit_for_bit(tmp_path, monkeypatch):
    results = whole(tmp_path, monkeypatch)
    publish(results, tmp_path / "reference")
    tables = Tables.load(results)
    assert bit_for_bit(tables, Tables.load(tmp_path / "reference" / "cpu")) == (6, 6)
    assert "Of 6 runs that both studies have, 6 came out" in against_reference(tables).data
    points = read_table(results, "curves")
    points.loc[0, "loss"] *= 1 + 2**-52  # the last bit of one point
    write_table(results, "curves", records(points))
    assert bit_for_bit(tables, Tables.load(tmp_path / "reference" / "cpu")) == (5, 6)


def test_a_part_of_the_readme_is_what_the_tables_say(tmp_path, monkeypatch):
    tables = Tables.load(whole(tmp_path, monkeypatch))
    readme = "before\n<!-- found -->\nold words\n<!-- end -->\nafter"
    once = filled(readme, tables)
    assert "old words" not in once
    assert "**Of 4 claims: 2 supported and 2 contradicted**" in once
    assert once.startswith("before")
    assert once.endswith("after")
    assert filled(once, tables) == once
    with pytest.raises(KeyError):
        filled("<!-- unknown -->\n<!-- end -->", tables)


def test_the_picture_has_no_losses_of_untrained_networks():
    names = drawn(Tables.load(REFERENCE / "cpu"))
    assert {"heads", "norm-placement", "residual-norm"} < set(names)
    assert "gradient-scale" not in names


def test_the_readme_has_what_is_published():
    readme = (ROOT / "README.md").read_text()
    assert filled(readme, Tables.load(REFERENCE / "cpu")) == readme


@pytest.mark.parametrize("folder", sorted(REFERENCE.glob("*/manifest.json")))
def test_the_published_tables_are_as_they_were_written(folder: Path):
    manifest = json.loads(folder.read_text())
    found = {
        name: sha256((folder.parent / name).read_bytes()) for name in manifest["tables_sha256"]
    }
    assert found == manifest["tables_sha256"]
    assert found.keys() == {file.name for file in folder.parent.glob("*.parquet")}
    for name in found:
        assert isinstance(read_table(folder.parent, name.removesuffix(".parquet")), pd.DataFrame)


def test_the_published_page_is_written_where_nothing_is_in_git(tmp_path, monkeypatch):
    publish(whole(tmp_path, monkeypatch), tmp_path / "reference")
    built: list[Path] = []

    def build(page: PageBuilder, *, only_if_changed: bool) -> int:
        built.append(page.results)
        return 0

    monkeypatch.setattr(PageBuilder, "build", build)
    study = StudyOptions(profile="cpu", results=tmp_path)
    assert report(study=study, reference=True) == 0
    assert report(study=study) == 0
    assert built == [tmp_path / "published" / "cpu", tmp_path / "cpu"]
    theirs = Tables.load(built[0])
    assert "the published results themselves" in against_reference(theirs).data
    with pytest.raises(UserError, match="there are cpu"):
        report(study=StudyOptions(profile="gpu", results=tmp_path), reference=True)
