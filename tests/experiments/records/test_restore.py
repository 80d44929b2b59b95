"""Run folders are made from published tables as they were trained, or not at all."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from helping import leave_finished, leave_tuned, planted

from experiments.ablation import Variant
from experiments.cli import run as command
from experiments.cli.options import StudyOptions
from experiments.data.corpus import Corpus
from experiments.errors import UserError
from experiments.files import sha256
from experiments.planning.plan import unique_runs
from experiments.profiles import PROFILES
from experiments.records.claim_seals import read_seals, seal_claims
from experiments.records.collect import collect, read_table, write_table
from experiments.records.losses import own_measures
from experiments.records.restore import _by_probe, restore
from experiments.records.run_folder import RunFolder
from experiments.records.study import Study
from experiments.running.runner import unfinished

NONE = {"model.position": "none"}
ABLATIONS = {
    "one": planted(
        Variant("base"), Variant("none", NONE), arms=["none"], probes=["heads", "lengths"]
    ),
    "two": planted(Variant("base"), Variant("rms", {"model.norm": "rmsnorm"}), arms=["rms"]),
}


def publish(results: Path, reference: Path) -> Path:
    """Copy a study's tables, as publishing does, with a manifest of two packages."""
    collect(results)
    write_table(results, "claims", [])
    reference.mkdir(parents=True)
    for file in [results / "study.json", *results.glob("*.parquet")]:
        shutil.copy(file, reference)
    environments = [{"packages": ["a==1", "b==2"], "python": "3.11"}]
    (reference / "manifest.json").write_text(json.dumps({"environments": environments}))
    return reference


@pytest.fixture
def results(corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished study, whose runs have points, two probes and a divergence."""
    monkeypatch.setattr("experiments.records.study.load_ablations", lambda: ABLATIONS)
    folder = tmp_path / "trained"
    study = Study.of(PROFILES["smoke"], corpus, seeds=2)
    study.save(folder)
    plan = leave_tuned(folder, study)
    seal_claims(folder, ABLATIONS, plan)
    for i, spec in enumerate(unique_runs(plan.comparison_runs)):
        point = {"step": 3, "split": "val", "loss": 0.1 + 0.2, "learning_rate": 1e-3}
        lengths = {"multiple": 2, "length": 8, "loss": 1.5}
        measures = [{"measure": "rise_beyond_2x", "value": 1 / 3}]
        heads = {"layer": 0, "head": 1, "score": "entropy", "value": 0.7, "untrained": None}
        rows = {
            "lengths": {"lengths": [lengths], "measures": measures},
            "heads": {"heads": [heads], "measures": [{"measure": "broadest_head", "value": 0.5}]},
        }
        run = leave_finished(
            folder,
            spec,
            metrics=json.dumps(point) + "\n",
            probes={name: json.dumps(rows.get(name, {})) for name in spec.probes},
            steps=spec.recipe.steps,
            peak_memory=2**53 + 1,  # not to be had by way of floating-point numbers
        )
        if i == 1:
            run.finish({"status": "diverged", "reason": "the loss is nan", "steps": 2})
    return folder


def values(value: Any) -> Any:
    """JSON without what is null, which a table does not tell from what is missing."""
    if isinstance(value, dict):
        return {name: values(each) for name, each in value.items() if each is not None}
    return [values(each) for each in value] if isinstance(value, list) else value


def test_every_run_is_restored_with_its_summary_its_points_and_its_probes(
    results: Path, tmp_path: Path
):
    restored = tmp_path / "restored"
    n = restore(publish(results, tmp_path / "reference"), restored)
    trained = sorted(path.name for path in (results / "runs").iterdir())
    assert sorted(path.name for path in (restored / "runs").iterdir()) == trained
    assert n == len(trained) == 12
    for run_id in trained:
        before, after = RunFolder(results, run_id), RunFolder(restored, run_id)
        assert after.summary() == values(before.summary())
        assert after.points() == before.points()
        probes = [values(tables) for tables in before.probe_tables().values() if tables]
        assert [*after.probe_tables().values()] == probes
        assert after.spec() == before.spec()
    collect(restored)
    for file in results.glob("*.parquet"):
        frames = [read_table(folder, file.stem) for folder in (results, restored)]
        pd.testing.assert_frame_equal(*frames)


def test_a_study_goes_on_from_restored_runs_and_trains_none_again(results: Path, tmp_path: Path):
    restored = tmp_path / "restored"
    restore(publish(results, tmp_path / "reference"), restored)
    study = Study.load(restored)
    assert unfinished(unique_runs(study.plan(restored).runs), restored) == []
    more = dataclasses.replace(study, seeds=3, fewer_seeds=3)
    left = unfinished(unique_runs(more.plan(restored).runs), restored)
    assert {spec.seed for spec in left} == {study.first_seed + 2}
    packages = sha256(b"a==1\nb==2")[:12]
    assert (restored / "environments" / f"{packages}.json").exists()
    assert read_seals(restored) == read_seals(results) != []


def test_a_folder_that_exists_is_not_written_to(results: Path, tmp_path: Path):
    reference = publish(results, tmp_path / "reference")
    before = sorted(results.rglob("*"))
    with pytest.raises(UserError, match=r"trained exists: choose another folder with RESULTS"):
        restore(reference, results)
    assert sorted(results.rglob("*")) == before


def test_a_study_with_runs_that_are_no_longer_planned_is_refused_and_leaves_no_folder(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    reference = publish(results, tmp_path / "reference")
    one = {"one": ABLATIONS["one"]}
    monkeypatch.setattr("experiments.records.study.load_ablations", lambda: one)
    with pytest.raises(UserError, match=r"5 published runs are not planned .* first is of two/rms"):
        restore(reference, tmp_path / "restored")
    assert {path.name for path in tmp_path.iterdir()} == {"trained", "reference"}


def test_the_command_says_what_it_restored_and_that_the_training_code_has_changed(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    publish(results, tmp_path / "reference" / "smoke")
    options = StudyOptions(profile="smoke", results=tmp_path, device="cpu")
    command.restore(study=options)
    said = capsys.readouterr().out
    assert f"restored 12 published runs in {tmp_path / 'smoke'}: `make all` goes on" in said
    assert "the code that trains has changed since" in said  # these runs name no code
    with pytest.raises(UserError, match="unknown published profile 'cpu'"):
        command.restore(study=StudyOptions(profile="cpu", results=tmp_path, device="cpu"))


def test_the_rows_of_an_own_probe_go_back_to_its_file_and_its_metrics_are_computed():
    metric = {"probe": "a.b:f@1", "line": "mean", "x": None, "y": 2.0}
    point = {"probe": "a.b:f@1", "line": "by layer", "x": 0.0, "y": None}  # not a number
    measure = {"measure": "f.mean", "value": 2.0}
    restored = _by_probe({"own_probes": [metric, point], "measures": [measure]})
    assert restored == {"a.b:f@1": {"own_probes": [metric, point]}}
    assert own_measures([metric, point]) == [measure]


def test_a_published_probe_whose_name_leads_elsewhere_is_refused(results: Path, tmp_path: Path):
    reference = publish(results, tmp_path / "reference")
    run_id = read_table(reference, "runs")["run_id"].iloc[0]
    row = {"run_id": run_id, "probe": "../../../../escaped", "line": "a", "x": 0.0, "y": 1.0}
    write_table(reference, "own_probes", [row])
    with pytest.raises(UserError, match="is no name of a probe"):
        restore(reference, tmp_path / "again" / "cpu")
    assert not list(tmp_path.rglob("escaped*"))
    assert not (tmp_path / "again" / "cpu").exists()
