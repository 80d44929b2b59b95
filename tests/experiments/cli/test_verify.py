"""Runs are known by the code and versions that made them, and come out the same again."""

import dataclasses
import json
from pathlib import Path

import pytest
from helping import TIMED

from experiments.cli import verify
from experiments.data.corpus import Corpus
from experiments.records.provenance import environment
from experiments.records.run_folder import RunFolder
from experiments.running.job import Job
from experiments.running.local import Local, run_local
from experiments.spec import RunSpec


@pytest.fixture
def spec(spec: RunSpec) -> RunSpec:
    return dataclasses.replace(spec, probes=("heads", "positions"))


def test_a_run_comes_out_the_same_and_a_changed_number_is_found(
    spec: RunSpec, corpus: Corpus, tmp_path: Path
):
    job = Job(corpus, tmp_path, environment())
    list(run_local([spec], job, ["cpu"]))
    (same,) = verify.again([spec], job, ["cpu"], Local())
    assert (same.how, same.where, same.same_machine, same.holds) == (verify.SAME, "", True, True)

    folder = RunFolder(tmp_path, spec.run_id)
    summary = folder.summary()
    for added, how in ((0.005, verify.WITHIN), (0.5, verify.BEYOND)):
        folder.finish(summary | {"val_loss": summary["val_loss"] + added})
        (found,) = verify.again([spec], job, ["cpu"], Local())
        assert found.how == how
        assert found.where == (
            f"1 values differ, first summary.val_loss, most summary.val_loss by {added:.3g}"
        )
        assert not found.holds  # it is the same machine
        folder.finish(folder.summary() | {"hardware": "another"})
        (found,) = verify.again([spec], job, ["cpu"], Local())
        assert found.holds == (how == verify.WITHIN)


@pytest.mark.parametrize("place", ["metrics", "heads"])
def test_curves_and_probes_are_compared_too(
    spec: RunSpec, corpus: Corpus, tmp_path: Path, place: str
):
    job = Job(corpus, tmp_path, environment())
    list(run_local([spec], job, ["cpu"]))
    folder = RunFolder(tmp_path, spec.run_id)
    if place == "metrics":
        lines = folder.metrics.read_text().splitlines()
        folder.metrics.write_text("\n".join(lines[:-1]) + "\n")
    else:
        found = json.loads(folder.probe("heads").read_text())
        found["heads"][0]["value"] += 1.0
        folder.probe("heads").write_text(json.dumps(found))
    folder.finish(folder_summary(folder))
    (found,) = verify.again([spec], job, ["cpu"], Local())
    assert found.where.startswith("1 values differ, first ")
    assert not found.holds


def folder_summary(folder: RunFolder) -> dict:
    content = json.loads((folder.path / "summary.json").read_text())
    return {name: value for name, value in content.items() if name not in ("files", "seal")}


def test_what_tests_leave_out_of_comparisons_is_left_out_here():
    """Less than that: on one machine, with one code, the rest is to be the same."""
    assert TIMED - {"seconds"} < verify._ASIDE


def test_a_sample_is_spread(spec: RunSpec):
    specs = [dataclasses.replace(spec, seed=seed) for seed in range(100)]
    assert [one.seed for one in verify.sample(specs)] == [0, 24, 49, 74, 99]
    assert verify.sample(specs[:3]) == specs[:3]
