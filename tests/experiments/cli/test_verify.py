"""`verify` trains runs again and compares them bit for bit with the first training."""

import dataclasses
import json
from pathlib import Path

import pytest
from helping import TIMED

from experiments.cli import verify
from experiments.cli.verify import Agreement
from experiments.data.corpus import Corpus
from experiments.records.provenance import environment
from experiments.records.run_folder import RunFolder
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


def test_verify_ignores_the_columns_that_tests_ignore():
    """Tests leave out less: on one machine with one version of the code, the rest is the same."""
    assert TIMED - {"seconds"} < verify._NOT_COMPARED


def test_the_sample_of_runs_is_spread_evenly_over_the_study(spec: RunSpec):
    specs = [dataclasses.replace(spec, seed=seed) for seed in range(100)]
    assert [chosen.seed for chosen in verify.sample(specs)] == [0, 24, 49, 74, 99]
    assert verify.sample(specs[:3]) == specs[:3]
