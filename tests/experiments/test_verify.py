"""Runs are known by the code and versions that made them, and come out the same again."""

import dataclasses
import json
from pathlib import Path

import pytest

from experiments import verify
from experiments.corpus import Corpus
from experiments.executor import Local, run_local
from experiments.fingerprint import _files, code_fingerprint, fingerprint_of
from experiments.hardware import environment, packages
from experiments.job import Job
from experiments.spec import RunSpec
from experiments.store import RunFolder, record_environment

CODE = '''
"""A module."""
import math

def area(r: float) -> float:
    """Of a circle."""
    return math.pi * r**2  # πr²

class Empty:
    """Nothing."""
'''


def test_comments_docstrings_and_layout_do_not_count():
    plain = fingerprint_of({"a": CODE})
    bare = "import math\ndef area(r:float)->float: return (math.pi*r ** 2)\nclass Empty: pass"
    assert len(plain) == 12
    assert fingerprint_of({"a": CODE.replace("circle", "disc").replace("πr²", "")}) == plain
    assert fingerprint_of({"a": CODE.replace("    return", "\n    return")}) == plain
    assert fingerprint_of({"a": bare.replace(": pass", ":\n    'Nothing.'")}) == plain
    for changed in (CODE.replace("**2", "**3"), CODE.replace("area", "size")):
        assert fingerprint_of({"a": changed}) != plain
    assert fingerprint_of({"b": CODE}) != plain


def test_what_decides_a_runs_numbers_counts_and_the_rest_does_not():
    files = _files()
    networks = {
        f"model/{file.name}" for file in Path(verify.__file__).parents[1].glob("model/*.py")
    }
    assert networks - files <= {"model/__main__.py", "model/presets.py", "model/trace.py"}
    assert {f"experiments/{name}.py" for name in ("train", "tasks", "loss", "probes")} <= files
    assert not {f"experiments/{name}.py" for name in ("runner", "progress", "__main__")} & files
    assert environment()["code"] == code_fingerprint()


def test_all_versions_are_left_with_the_results(tmp_path: Path):
    record_environment(tmp_path)
    (file,) = (tmp_path / "environments").iterdir()
    assert file.stem == environment()["environment"]
    assert json.loads(file.read_text())["packages"] == packages()
    assert any(name.startswith("torch==") for name in packages())


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


def test_a_sample_is_spread(spec: RunSpec):
    specs = [dataclasses.replace(spec, seed=seed) for seed in range(100)]
    assert [one.seed for one in verify.sample(specs)] == [0, 24, 49, 74, 99]
    assert verify.sample(specs[:3]) == specs[:3]
