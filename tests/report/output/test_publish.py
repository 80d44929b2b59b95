"""Publishing: a finished study becomes the reference, and the README agrees with its tables."""

import dataclasses
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
from experiments.identity import code_fingerprint
from experiments.records.collect import collect, read_table, write_table
from report.output import publish as publish_module
from report.output.publish import publish
from report.output.readme import cost, filled
from report.page.provenance import seconds_by_the_clock
from report.page.published import against_reference, identical_runs
from report.study.judge import judge_all
from report.study.tables import Tables, records

REFERENCE = ROOT / "results" / "reference"


def finished_study(folder: Path, monkeypatch: pytest.MonkeyPatch, **made_by: str) -> Path:
    """Tables of a study of three seeds, made by one commit of the present code."""
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


def test_published_study_has_a_manifest_of_commit_packages_runs_and_checksums(
    tmp_path, monkeypatch
):
    folder = publish(finished_study(tmp_path, monkeypatch), tmp_path / "reference")
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["git_revision"] == ["abc"]
    assert manifest["environments"] == [{"packages": ["torch==2"]}]
    assert manifest["runs"] == {"done": 6 + 6}  # and the trials
    for name, checksum in manifest["tables_sha256"].items():
        assert sha256((folder / name).read_bytes()) == checksum
    assert {"runs.parquet", "curves.parquet", "claims.parquet"} <= set(manifest["tables_sha256"])


def test_a_study_that_cannot_be_published_leaves_what_was_published(tmp_path, monkeypatch):
    results, reference = finished_study(tmp_path, monkeypatch), tmp_path / "reference"
    folder = publish(results, reference)
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    (results / "environments" / "e.json").unlink()
    with pytest.raises(FileNotFoundError):
        publish(results, reference)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


@pytest.mark.parametrize(
    ("made_by", "why"),
    [
        ({"git_revision": "abc+changes"}, "not made by a commit: 'abc"),
        ({"git_revision": ""}, "not made by a commit: ''"),
        ({"code": "another"}, "other training code than the present.*and 0 of 0 are"),
    ],
)
def test_study_of_another_or_changed_code_is_not_published(tmp_path, monkeypatch, made_by, why):
    with pytest.raises(UserError, match=why):
        publish(finished_study(tmp_path, monkeypatch, **made_by), tmp_path / "reference")
    assert not (tmp_path / "reference").exists()


def verified(results: Path, *, same: int, other: int = 0, elsewhere: int = 0) -> None:
    """Write that the present code repeated runs: the same, others on the same machine, and others
    on another machine.
    """
    kinds = [(True, True)] * same + [(False, True)] * other + [(False, False)] * elsewhere
    ids = read_table(results, "runs")["run_id"]
    rows = [
        {"run_id": run_id, "same": equal, "same_machine": here, "code": code_fingerprint()}
        for run_id, (equal, here) in zip(ids, kinds, strict=False)
    ]
    assert len(rows) == len(kinds)
    write_table(results, "verified", rows)


def test_runs_of_an_older_code_are_published_once_the_present_code_repeats_enough_of_them(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(publish_module, "REPEATED", 5)
    results = finished_study(tmp_path, monkeypatch, code="another")
    for made, words in (
        ({"same": 4}, "4 of 4 are"),
        ({"same": 6, "other": 1}, "6 of 7 are"),
        ({"same": 4, "elsewhere": 3}, "4 of 4 are"),
    ):
        verified(results, **made)
        with pytest.raises(UserError, match=words):
            publish(results, tmp_path / "reference")
    monkeypatch.setattr(publish_module, "REPEATED", 20)  # more than there are
    verified(results, same=11)
    with pytest.raises(UserError, match=r"at least 12 of them.*and 11 of 11 are"):
        publish(results, tmp_path / "reference")
    monkeypatch.setattr(publish_module, "REPEATED", 5)
    verified(results, same=5, elsewhere=3)
    folder = publish(results, tmp_path / "reference")
    assert json.loads((folder / "manifest.json").read_text())["code"] == ["another"]


def test_study_with_a_failed_run_is_not_published(tmp_path, monkeypatch):
    results = plant(tmp_path / "cpu", monkeypatch, [0.5, "failed", 0.48])
    with pytest.raises(UserError, match="is incomplete: 1 planned"):
        publish(results, tmp_path / "reference")


def test_a_deeper_budget_at_which_an_ablation_waits_for_runs_is_published_later(
    tmp_path, monkeypatch
):
    results = finished_study(tmp_path, monkeypatch)
    planned = records(read_table(results, "membership"))
    later = [row | {"budget": 4} for row in planned]  # the first is shared, and over
    later = [later[0], *(row | {"run_id": f"later-{row['run_id']}"} for row in later[1:])]
    write_table(results, "membership", planned + later)
    folder = publish(results, tmp_path / "reference")
    assert records(read_table(folder, "membership")) == planned
    assert {row["budget"] for row in records(read_table(folder, "claims"))} == {1, None}
    assert len(read_table(results, "membership")) == 2 * len(planned)  # the study's own


def test_last_bit_of_one_point_makes_a_run_differ_from_the_published_run(tmp_path, monkeypatch):
    results = finished_study(tmp_path, monkeypatch)
    publish(results, tmp_path / "reference")
    tables = Tables.load(results)
    assert identical_runs(tables, Tables.load(tmp_path / "reference" / "cpu")) == (12, 12)
    assert (
        "Of 12 runs in both studies, 12 gave bit-for-bit identical"
        in against_reference(tables).data
    )
    points = read_table(results, "curves")
    points.loc[0, "loss"] *= 1 + 2**-52  # the last bit of one point
    write_table(results, "curves", records(points))
    assert identical_runs(tables, Tables.load(tmp_path / "reference" / "cpu")) == (11, 12)


def test_computed_part_of_the_readme_is_replaced_and_stays_the_same_when_repeated(
    tmp_path, monkeypatch
):
    tables = Tables.load(finished_study(tmp_path, monkeypatch))
    readme = "before\n<!-- findings -->\nold words\n<!-- end -->\nafter"
    once = filled(readme, tables)
    assert "old words" not in once
    assert "**Of 4 claims: 2 supported and 2 reversed**" in once
    assert once.startswith("before")
    assert once.endswith("after")
    assert filled(once, tables) == once
    with pytest.raises(KeyError):
        filled("<!-- unknown -->\n<!-- end -->", tables)


@pytest.mark.parametrize(
    ("recorded", "seconds"),
    [([300.0, 100.0], 210.0), ([300.0], 110.0 + 50.0), ([], 400.0), ([900.0], 110.0)],
)
def test_runs_of_a_call_that_was_killed_count_with_their_own_time(
    recorded: list[float], seconds: float
):
    """Two workers; the runs took 400 seconds. A recorded call took ten seconds more and half of the
    time of its runs.
    """
    runs = pd.DataFrame({"wall_seconds": [250.0, 150.0, None]})
    took = {300.0: 110.0, 100.0: 100.0, 900.0: 110.0}
    calls = pd.DataFrame(
        [{"wall_seconds": each, "workers": 2, "seconds": took[each]} for each in recorded],
        columns=["wall_seconds", "workers", "seconds"],
    )
    assert seconds_by_the_clock(runs, calls) == seconds


def test_cost_on_cards_is_the_steps_of_all_runs_by_the_measured_speed(tmp_path, monkeypatch):
    tables = Tables.load(finished_study(tmp_path, monkeypatch))
    runs = tables.runs.assign(steps=[6040, *[0] * (len(tables.runs) - 1)])
    monkeypatch.setattr("report.output.readme.SMALL_STEPS", {"CARD": 10})
    text = cost(dataclasses.replace(tables, runs=runs))
    assert "have 6,040 training steps; one CARD trains 10 steps" in text
    assert text.endswith("about 10 min 4 s, and eight of them 1 min 16 s.")


def test_readme_agrees_with_the_published_tables():
    readme = (ROOT / "README.md").read_text()
    assert filled(readme, Tables.load(REFERENCE / "cpu")) == readme


@pytest.mark.parametrize("folder", sorted(REFERENCE.glob("*/manifest.json")))
def test_published_tables_have_the_checksums_of_the_manifest(folder: Path):
    manifest = json.loads(folder.read_text())
    checksums = {
        name: sha256((folder.parent / name).read_bytes()) for name in manifest["tables_sha256"]
    }
    assert checksums == manifest["tables_sha256"]
    assert checksums.keys() == {file.name for file in folder.parent.glob("*.parquet")}
    for name in checksums:
        assert isinstance(read_table(folder.parent, name.removesuffix(".parquet")), pd.DataFrame)


def test_page_of_published_results_is_written_outside_the_reference_folder(tmp_path, monkeypatch):
    publish(finished_study(tmp_path, monkeypatch), tmp_path / "reference")
    built: list[Path] = []

    def build(page: PageBuilder, *, only_if_changed: bool) -> int:
        built.append(page.results)
        return 0

    monkeypatch.setattr(PageBuilder, "build", build)
    study = StudyOptions(profile="cpu", results=tmp_path)
    assert report(study=study, reference=True) == 0
    assert report(study=study) == 0
    assert built == [tmp_path / "published" / "cpu", tmp_path / "cpu"]
    published = Tables.load(built[0])
    assert "These are the published results." in against_reference(published).data
    with pytest.raises(UserError, match="there are cpu"):
        report(study=StudyOptions(profile="gpu", results=tmp_path), reference=True)
