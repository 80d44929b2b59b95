"""`verify` trains runs again and compares them bit for bit with the first training."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from helping import TIMED, leave_finished

from experiments.cli import verify
from experiments.cli.options import CorpusOptions, StudyOptions
from experiments.cli.verify import Agreement, Comparison
from experiments.data.corpus import Corpus
from experiments.planning.plan import PlannedRun
from experiments.profiles import PROFILES
from experiments.records.provenance import environment
from experiments.records.run_folder import RunFolder
from experiments.records.study import Study
from experiments.running.job import Job
from experiments.running.local import Local
from experiments.spec import RunSpec


@pytest.fixture
def spec(spec: RunSpec) -> RunSpec:
    return dataclasses.replace(spec, probes=("heads", "positions"))


def test_a_run_trained_again_is_equal_and_a_changed_loss_is_detected(
    spec: RunSpec, corpus: Corpus, tmp_path: Path
):
    job = Job(corpus, tmp_path, environment())
    list(Local().run([spec], job, ["cpu"]))
    (same,) = verify.train_again([spec], job, ["cpu"], Local())
    assert (same.agreement, same.difference) == (Agreement.SAME, "")
    assert same.same_machine
    assert same.holds

    folder = RunFolder(tmp_path, spec.run_id)
    summary = folder.summary()
    for added, agreement in ((0.005, Agreement.WITHIN), (0.5, Agreement.BEYOND)):
        folder.finish(summary | {"val_loss": summary["val_loss"] + added})
        (result,) = verify.train_again([spec], job, ["cpu"], Local())
        assert result.agreement == agreement
        assert result.difference == (
            f"1 values differ, first summary.val_loss, most summary.val_loss by {added:.3g}"
        )
        assert not result.holds  # it is the same machine
        folder.finish(folder.summary() | {"hardware": "another"})
        (result,) = verify.train_again([spec], job, ["cpu"], Local())
        assert result.holds == (agreement == Agreement.WITHIN)


@pytest.mark.parametrize("place", ["metrics", "heads"])
def test_a_changed_curve_or_probe_is_detected(
    spec: RunSpec, corpus: Corpus, tmp_path: Path, place: str
):
    job = Job(corpus, tmp_path, environment())
    list(Local().run([spec], job, ["cpu"]))
    folder = RunFolder(tmp_path, spec.run_id)
    if place == "metrics":
        lines = folder.metrics.read_text().splitlines()
        folder.metrics.write_text("\n".join(lines[:-1]) + "\n")
    else:
        rows = json.loads(folder.probe("heads").read_text())
        rows["heads"][0]["value"] += 1.0
        folder.probe("heads").write_text(json.dumps(rows))
    folder.finish(folder_summary(folder))
    (result,) = verify.train_again([spec], job, ["cpu"], Local())
    assert result.difference.startswith("1 values differ, first ")
    assert not result.holds


def folder_summary(folder: RunFolder) -> dict:
    content = json.loads((folder.path / "summary.json").read_text())
    return {name: value for name, value in content.items() if name not in ("files", "seal")}


def test_a_sample_is_drawn_from_the_runs_of_this_machine_where_there_are_any(
    spec: RunSpec, corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
):
    job = Job(corpus, tmp_path, environment())
    members = []
    for seed in range(6):
        run = dataclasses.replace(spec, seed=seed)
        hardware = job.environment["hardware"] if seed < 2 else "another"
        leave_finished(tmp_path, run, hardware=hardware)
        members.append(PlannedRun("one", "base", run))
    drawn: list[int] = []

    def again(specs: Sequence[RunSpec], *_: object) -> list[Comparison]:
        drawn[:] = sorted(run.seed for run in specs)
        return []

    monkeypatch.setattr(verify, "train_again", again)
    verify.verify_study(members, job, ["cpu"], Local(), 4)
    assert drawn == [0, 1]
    assert "training 2 of 2 finished runs of this machine again" in capsys.readouterr().out
    verify.verify_study(members, job, ["cpu"], Local(), None)
    assert drawn == [0, 1, 2, 3, 4, 5]
    verify.verify_study(members[2:], job, ["cpu"], Local(), 3)
    assert len(drawn) == 3
    assert "training 3 of 4 finished runs again" in capsys.readouterr().out


def test_verify_ignores_the_columns_that_tests_ignore():
    """Tests leave out less: on one machine with one version of the code, the rest is the same."""
    assert TIMED - {"seconds"} < verify._NOT_COMPARED


@pytest.mark.parametrize(("asked", "drawn"), [(20, 20), (200, 100), (None, 100)])
def test_a_sample_is_drawn_at_random_from_all_finished_runs(
    spec: RunSpec,
    corpus: Corpus,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    asked: int | None,
    drawn: int,
):
    job = Job(corpus, tmp_path, {})
    samples: list[list[int]] = []

    def train_again(specs: Sequence[RunSpec], *_: object) -> list[Comparison]:
        samples.append([spec.seed for spec in specs])
        return []

    monkeypatch.setattr(verify, "train_again", train_again)
    monkeypatch.setattr(RunFolder, "finished", lambda self, probes: True)
    runs = [PlannedRun("a", "b", dataclasses.replace(spec, seed=seed)) for seed in range(100)]
    for _ in range(2):
        assert verify.verify_study(runs, job, ["cpu"], Local(), asked)
    assert all(len({*seeds}) == drawn and {*seeds} <= {*range(100)} for seeds in samples)
    assert samples[0] != samples[1]


def test_budgets_choose_the_runs_that_are_trained_again(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "smoke").mkdir()
    Study.of(PROFILES["smoke"], corpus, None).save(tmp_path / "smoke")
    monkeypatch.setattr(CorpusOptions, "prepare", lambda self: corpus)
    chosen: list[set[int]] = []

    def verify_study(members: Sequence[PlannedRun], *_: object, **__: object) -> bool:
        chosen.append({run.budget for run in members})
        return True

    monkeypatch.setattr(verify, "verify_study", verify_study)
    study = StudyOptions(profile="smoke", device="cpu", results=tmp_path)
    for budgets in (None, "1", "2"):
        assert verify.verify(study=study, budgets=budgets) == 0
    assert chosen == [{1}, {1}, set()]  # nothing is trained yet, so budget 2 is not tuned


def test_comparisons_are_printed_as_json_with_a_version_and_nothing_else(
    spec: RunSpec,
    corpus: Corpus,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    results = [
        Comparison(spec, Agreement.SAME, "", same_machine=True),
        Comparison(
            dataclasses.replace(spec, seed=1),
            Agreement.BEYOND,
            "1 value differs",
            same_machine=True,
        ),
    ]
    monkeypatch.setattr(verify, "train_again", lambda *_: results)
    monkeypatch.setattr(RunFolder, "finished", lambda self, probes: True)
    runs = [PlannedRun("a", "b", result.spec) for result in results]
    job = Job(corpus, tmp_path, {})
    assert not verify.verify_study(runs, job, ["cpu"], Local(), None, as_json=True)
    printed = json.loads(capsys.readouterr().out)
    assert printed["version"] == 1
    assert [(run["label"], run["agreement"], run["holds"]) for run in printed["runs"]] == [
        ("seed 0 a/b", "the same bit for bit", True),
        ("seed 1 a/b", "different", False),
    ]
