"""Tables keep their schema whatever the rows, and lose no run."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helping import leave_finished, leave_tuned, planted

from experiments.ablation import vary
from experiments.data.corpus import Corpus
from experiments.errors import UserError
from experiments.files import write_sealed
from experiments.planning.plan import unique_runs
from experiments.profiles import PROFILES
from experiments.records.calls import record_call
from experiments.records.collect import collect, read_table, write_table
from experiments.records.run_folder import RunFolder
from experiments.records.schema import COLUMNS, VERSION, schema
from experiments.records.study import Study


@pytest.fixture
def study(corpus: Corpus, tmp_path: Path) -> Study:
    study = Study.of(PROFILES["smoke"], corpus, seeds=2)
    study.save(tmp_path)
    return study


def test_failed_diverged_and_unfinished_runs_have_their_rows(study: Study, tmp_path: Path):
    specs = unique_runs(study.plan(tmp_path).comparison_runs)
    summaries = [
        {"status": "done", "val_loss": 1.0},
        {"status": "diverged", "reason": "the loss was nan"},
        {"status": "failed", "reason": "RuntimeError: no"},
        None,
    ]
    for spec, summary in zip(specs, summaries, strict=False):
        folder = RunFolder(tmp_path, spec.run_id)
        folder.start(spec)
        if summary:
            folder.finish(summary)
    collect(tmp_path)
    statuses = sorted(read_table(tmp_path, "runs")["status"])
    assert statuses == ["diverged", "done", "failed", "in flight"]
    (folder.path / "worker.json").write_text('{"pid": 1, "began": 0.0}')  # of another process
    collect(tmp_path)
    runs = read_table(tmp_path, "runs")
    assert sorted(runs["status"]) == ["diverged", "done", "failed", "unfinished"]
    assert set(runs["reason"].dropna()) == {"the loss was nan", "RuntimeError: no"}
    assert runs["val_loss"].notna().sum() == 1
    assert runs["perplexity"].dropna().item() == pytest.approx(2.718281828)
    planned, membership = study.plan(tmp_path), read_table(tmp_path, "membership")
    assert len(membership) == len(planned.comparison_runs) + len(planned.untuned)
    assert membership["run_id"].isna().sum() == len(planned.untuned) > 0


def test_a_run_of_two_ablations_has_one_row_and_two_memberships(study: Study, tmp_path: Path):
    members = leave_tuned(tmp_path, study, ["lstm-baseline"]).comparison_runs
    shared = next(member.spec for member in members if member.variant == "transformer")
    RunFolder(tmp_path, shared.run_id).start(shared)
    collect(tmp_path)
    runs = read_table(tmp_path, "runs")
    assert len(runs[~runs["tuning"]]) == 1
    membership = read_table(tmp_path, "membership")
    assert (membership["run_id"] == shared.run_id).sum() > 1


def test_runs_of_another_study_are_not_collected(study: Study, tmp_path: Path):
    (tmp_path / "runs" / "0123456789abcdef").mkdir(parents=True)
    collect(tmp_path)
    assert len(read_table(tmp_path, "runs")) == 0


def test_a_truncated_line_of_metrics_is_left_out(study: Study, tmp_path: Path):
    spec = study.plan(tmp_path).comparison_runs[0].spec
    folder = RunFolder(tmp_path, spec.run_id)
    folder.start(spec)
    point = {"step": 1, "tokens": 2, "seconds": 0.5, "split": "val", "loss": None}
    folder.metrics.write_text(json.dumps(point) + "\n" + '{"step": 2, "tok')
    collect(tmp_path)
    assert len(read_table(tmp_path, "curves")) == 0  # what nothing vouches for yet
    folder.finish({"status": "failed", "reason": "killed"})
    collect(tmp_path)
    curves = read_table(tmp_path, "curves")
    assert curves["step"].tolist() == [1]
    assert curves["loss"].isna().all()


RUBBISH = (
    *(b"", b"\0\xff\xfe", b"{", b"[]", b"null", b"1e400", b'{"step": NaN}\n', b"[" * 100_000),
    *(b'{"status": "done", "val_loss": -1e999, "files": {"../../x": ""}}', b'{"seal": {}}\n'),
)


def test_a_damaged_file_changes_the_row_of_its_own_run_only(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Whatever any file of a results folder turns into, it is read as before or said to be bad."""
    few = {"few": planted(*vary("n_layers", [1, 2, 3]), probes=["heads"])}  # quickly planned
    monkeypatch.setattr("experiments.records.study.load_ablations", lambda: few)
    for member in study.plan(tmp_path).comparison_runs[:3]:
        probes = {"heads": '{"heads": [{"layer": 0, "head": 0}]}'}
        leave_finished(tmp_path, member.spec, metrics='{"step": 1, "loss": 2.5}\n', probes=probes)
    record_call(tmp_path, trained=3)
    collect(tmp_path)
    whole = read_table(tmp_path, "runs")
    for file in [file for file in tmp_path.rglob("*") if file.is_file()]:
        content, (top, *below) = file.read_bytes(), file.relative_to(tmp_path).parts
        for rubbish in RUBBISH:
            file.write_bytes(rubbish)
            if file.name == "study.json":
                with pytest.raises(UserError, match=r"study\.json is damaged, or of another"):
                    collect(tmp_path)
                continue
            collect(tmp_path)
            runs = read_table(tmp_path, "runs")
            same = runs["run_id"] != below[0] if top == "runs" else slice(None)
            assert len(runs) == 3
            assert runs.loc[same].equals(whole.loc[same])
            assert (top == "runs") == ("damaged" in runs["status"].tolist())
        file.write_bytes(content)
    assert len(read_table(tmp_path, "calls")) == 1


@pytest.mark.parametrize("table", COLUMNS)
def test_columns_keep_their_types_when_rows_lack_them(tmp_path: Path, table: str):
    for rows in ([], [{}], [{}, {COLUMNS[table][0][0]: "x"}]):
        write_table(tmp_path, table, rows)
        written = pq.read_schema(tmp_path / f"{table}.parquet")
        assert written.equals(schema(table))
        assert written.metadata[b"version"] == schema(table).metadata[b"version"]
        assert pa.null() not in written.types


def test_every_column_except_versions_is_described():
    for columns in COLUMNS.values():
        for name, _, meaning in columns:
            assert meaning or name.endswith("_version")


def test_an_unknown_column_is_refused(tmp_path: Path):
    with pytest.raises(KeyError, match="no columns"):
        write_table(tmp_path, "curves", [{"los": 1.0}])


def test_another_schema_version_is_refused(tmp_path: Path):
    write_table(tmp_path, "curves", [])
    table = pq.read_table(tmp_path / "curves.parquet")
    changed = table.replace_schema_metadata({"version": str(VERSION + 1)})
    pq.write_table(changed, tmp_path / "curves.parquet")
    with pytest.raises(UserError, match=f"version {VERSION + 1}, this code reads {VERSION}"):
        read_table(tmp_path, "curves")


def test_a_study_of_another_version_is_refused(tmp_path: Path):
    write_sealed(tmp_path / "study.json", {"profile_name": "cpu", "seeds": 5})
    with pytest.raises(UserError, match=r"study\.json is of another version"):
        Study.load(tmp_path)
