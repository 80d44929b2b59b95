"""Second studies: their verdicts are judged by the same rules and marked on the map."""

import dataclasses
import re
from pathlib import Path

import pytest
from by_hand import Run, ablation, claim, runs_of, write_study
from reading import words

from experiments.cli.options import StudyOptions
from experiments.cli.report import PageBuilder, compare
from experiments.errors import UserError
from experiments.records.collect import read_table, write_missing, write_table
from experiments.records.study import Study
from report.page.second_studies import (
    compared_marks,
    main,
    second_studies,
    second_verdicts,
    write_verdicts,
)
from report.page.trust import trust
from report.page.verdict_map import verdict_map
from report.study.judge import judge_all
from report.study.tables import Tables, records

CLAIMS = [
    claim(id="same"),
    claim(id="other", effect={"c": 1, "a": -1}),
    claim(id="open", effect={"d": 1, "a": -1}),
]
HERE = {"a": [2.0] * 3, "b": [2.5] * 3, "c": [2.5] * 3, "d": [2.5] * 3}
THERE = HERE | {"c": [2.0] * 3, "d": [2.0, 2.5, 2.3]}


def study(folder: Path, patch: pytest.MonkeyPatch, losses: dict[str, list[float]]) -> Path:
    """A judged study of three seeds."""
    planted = ablation(*CLAIMS, variants=tuple(HERE))
    runs: list[Run] = runs_of(losses)
    write_study(folder, patch, planted, runs)
    judge_all(folder)
    return folder


@pytest.fixture
def studies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a study that was compared with a second one."""
    here = study(tmp_path / "cpu", monkeypatch, HERE)
    write_verdicts(here, [study(tmp_path / "second" / "cpu", monkeypatch, THERE)])
    return here


def test_what_speaks_for_and_against_the_verdicts_is_counted(studies: Path):
    tables, claims = Tables.load(studies), read_table(studies, "claims")
    shown = words(trust(tables, claims, second_verdicts(tables)))
    assert "0 of 3 claims were sealed with their rule before the first run" in shown
    assert "second studies decide 1 verdict alike and 1 otherwise." in shown
    assert "of 12 runs, 0 failed and 0 diverged" in shown
    failed = tables.runs.assign(status=["failed", *tables.runs["status"][1:]])
    changed = claims.assign(verdict="not testable", sealed="sealed before the first run (today)")
    none = second_verdicts(tables).iloc[:0]
    shown = words(trust(dataclasses.replace(tables, runs=failed), changed, none))
    assert "3 of 3 claims were sealed" in shown
    assert "3 verdicts are withheld, because a gate is closed" in shown
    assert "no second study decides any of these verdicts" in shown
    assert "of 12 runs, 1 failed" in shown
    assert trust(tables, claims.iloc[:0], none).data == ""


def test_verdicts_that_both_studies_decide_are_marked_alike_or_otherwise(studies):
    claims, second = read_table(studies, "claims"), second_verdicts(Tables.load(studies))
    assert compared_marks(claims, second) == {("same", 1): "=", ("other", 1): "≠"}
    html = verdict_map(Tables.load(studies), claims, second).data
    assert re.findall(r'<b title="([^"]*)">(.)</b>', html) == [
        ("decided alike by a second study", "="),
        ("decided otherwise by a second study", "≠"),
    ]


def test_a_verdict_that_one_of_two_second_studies_decides_otherwise_is_marked_so(
    tmp_path, monkeypatch, studies
):
    study(tmp_path / "third" / "cpu", monkeypatch, HERE)
    for others in (["second", "third"], ["third", "second"]):
        write_verdicts(studies, [tmp_path / name / "cpu" for name in others])
        marks = compared_marks(read_table(studies, "claims"), second_verdicts(Tables.load(studies)))
        assert marks == {("same", 1): "=", ("other", 1): "≠", ("open", 1): "="}


def test_the_page_lists_second_studies_and_what_they_decide_otherwise(studies):
    html = second_studies(read_table(studies, "claims"), second_verdicts(Tables.load(studies))).data
    assert "1 verdict decided otherwise" in html
    cells = re.findall(r"<t[dh][^>]*>([^<]*)</t[dh]>", html)
    assert cells[6:12] == ["planted", "0 to 2", "", "3", "1", "1"]
    assert [cell for cell in cells if cell in ("supported", "negligible")] == [
        "supported",
        "negligible",
    ]


def test_a_verdict_by_another_rule_is_not_shown_until_it_is_compared_again(
    tmp_path, monkeypatch, studies
):
    """The margin of every claim is ten times as large now, and every effect within it."""
    changed = [dataclasses.replace(each, margin=1.0) for each in CLAIMS]
    known = {"planted": ablation(*changed, variants=tuple(HERE))}
    monkeypatch.setattr("report.study.tables.load_ablations", lambda: known)
    judge_all(studies)
    assert len(read_table(studies, "second")) == 3
    assert second_verdicts(Tables.load(studies)).empty
    write_verdicts(studies, [tmp_path / "second" / "cpu"])
    marks = compared_marks(read_table(studies, "claims"), second_verdicts(Tables.load(studies)))
    assert marks == {("same", 1): "=", ("other", 1): "=", ("open", 1): "="}


def test_a_study_that_shares_runs_is_no_second_study(tmp_path, monkeypatch):
    """On the same device, equal runs are the same runs. On another one, they are trained again."""
    folders = [study(tmp_path / name / "cpu", monkeypatch, HERE) for name in ("one", "two", "card")]
    for folder, device in zip(folders, ("a processor", "a processor", "a card"), strict=True):
        rows = [row | {"device_name": device} for row in records(read_table(folder, "runs"))]
        write_table(folder, "runs", rows)
    for others in ([folders[0]], [folders[1]], [folders[2], folders[2]]):
        with pytest.raises(UserError, match="shares 12 runs with what it is compared with"):
            write_verdicts(folders[0], others)
        assert read_table(folders[0], "second").empty
    assert write_verdicts(folders[0], [folders[2]]) == [f"{folders[2]}: 3 verdicts"]


def test_nothing_is_written_into_the_folder_of_a_second_study(tmp_path, monkeypatch):
    here = study(tmp_path / "cpu", monkeypatch, HERE)
    other = study(tmp_path / "second" / "cpu", monkeypatch, THERE)
    before = {file: file.read_bytes() for file in other.iterdir()}
    write_verdicts(here, [other])
    assert {file: file.read_bytes() for file in other.iterdir()} == before


def test_a_study_without_verdicts_is_refused(tmp_path, monkeypatch):
    here = study(tmp_path / "cpu", monkeypatch, HERE)
    planted = ablation(*CLAIMS, variants=tuple(HERE))
    write_study(tmp_path / "empty" / "cpu", monkeypatch, planted, [])
    with pytest.raises(UserError, match="has no verdict on a claim about training"):
        write_verdicts(here, [tmp_path / "empty" / "cpu"])


def test_a_fragile_verdict_decides_nothing(studies):
    claims, second = read_table(studies, "claims"), second_verdicts(Tables.load(studies))
    for frames in ((claims.assign(fragile=True), second), (claims, second.assign(fragile=True))):
        assert compared_marks(*frames) == {}


def test_without_a_second_study_the_map_has_no_marks(tmp_path, monkeypatch):
    results = study(tmp_path / "cpu", monkeypatch, HERE)
    for _ in range(2):  # without the table, and with an empty one
        claims, second = read_table(results, "claims"), second_verdicts(Tables.load(results))
        assert second_studies(claims, second).data == ""
        assert "second study" not in verdict_map(Tables.load(results), claims, second).data
        write_missing(results)


def test_a_study_of_another_profile_is_refused(tmp_path, monkeypatch, capsys):
    here = study(tmp_path / "cpu", monkeypatch, HERE)
    other = study(tmp_path / "other", monkeypatch, HERE)
    dataclasses.replace(Study.load(other), profile_name="smoke").save(other)
    assert main(here, [other]) == 2
    assert "other is not a study of the profile cpu" in capsys.readouterr().err


def test_the_command_compares_and_then_builds_the_page(tmp_path, monkeypatch):
    here = study(tmp_path / "results" / "cpu", monkeypatch, HERE)
    asked: list[list[str]] = []
    monkeypatch.setattr(PageBuilder, "build", lambda self, only_if_changed: 0)
    monkeypatch.setattr(
        "experiments.cli.report.subprocess.run",
        lambda command, check: asked.append(command[1:]) or type("Done", (), {"returncode": 0}),
    )
    options = StudyOptions(profile="cpu", results=here.parent)
    assert compare(Path("a"), Path("b"), study=options) == 0
    assert asked == [
        ["-m", "report.page.second_studies", str(here), str(Path("a/cpu")), str(Path("b/cpu"))]
    ]
    with pytest.raises(UserError, match="compare needs second studies"):
        compare(study=options)
