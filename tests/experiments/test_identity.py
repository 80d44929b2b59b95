"""Fingerprints of code change with what the code does, not with comments and layout."""

import dataclasses
import json
import re
from pathlib import Path

import pytest

from experiments import identity
from experiments.files import ROOT
from experiments.identity import _files, code_fingerprint, fingerprint_of
from experiments.records.provenance import environment, packages, record_environment
from experiments.spec import RunSpec

CODE = '''
"""A module."""
import math

def area(r: float) -> float:
    """Area of a circle."""
    return math.pi * r**2  # πr²

class Empty:
    """Nothing."""
'''


def test_comments_docstrings_and_layout_do_not_change_the_fingerprint():
    plain = fingerprint_of({"a": CODE})
    bare = "import math\ndef area(r:float)->float: return (math.pi*r ** 2)\nclass Empty: pass"
    assert len(plain) == 12
    assert fingerprint_of({"a": CODE.replace("circle", "disc").replace("πr²", "")}) == plain
    assert fingerprint_of({"a": CODE.replace("    return", "\n    return")}) == plain
    assert fingerprint_of({"a": bare.replace(": pass", ":\n    'Nothing.'")}) == plain
    for changed in (CODE.replace("**2", "**3"), CODE.replace("area", "size")):
        assert fingerprint_of({"a": changed}) != plain
    assert fingerprint_of({"b": CODE}) != plain


def test_the_fingerprint_covers_networks_training_and_probes_and_nothing_else():
    files = _files()
    for folder in ("model", "experiments/training", "experiments/probes"):
        names = {
            str(path.relative_to(ROOT))
            for path in (ROOT / folder).rglob("*.py")
            if path.name != "__init__.py"
        }
        assert names - files <= {"model/presets.py", "model/networks/trace.py"}, folder
    for room in ("running", "cli", "benchmarks", "theory"):
        assert not [file for file in files if file.startswith(f"experiments/{room}/")]
    assert environment()["code"] == code_fingerprint()


def test_the_versions_of_all_packages_are_written_with_the_results(tmp_path: Path):
    record_environment(tmp_path)
    (file,) = (tmp_path / "environments").iterdir()
    assert file.stem == environment()["environment"]
    assert json.loads(file.read_text())["packages"] == packages()
    assert any(name.startswith("torch==") for name in packages())


MECHANISM = '''"""Words."""

def kerple(config):
    """Words."""
    return config.n_heads  # words

ABLATION = "words"
'''


@pytest.fixture
def mechanism_file(ablation_file) -> Path:
    """The path of an ablation's file with a custom mechanism."""
    file: Path = ablation_file(MECHANISM)
    return file


def test_editing_a_custom_mechanism_changes_the_run_id(spec: RunSpec, mechanism_file: Path):
    def run_id(text: str) -> str:
        mechanism_file.write_text(text)
        identity.mechanism_fingerprint.cache_clear()
        position = f"experiments.ablations.{mechanism_file.stem}:kerple"
        model = dataclasses.replace(spec.model, position=position)
        return dataclasses.replace(spec, model=model).run_id

    first = run_id(MECHANISM)
    assert (
        run_id(MECHANISM.replace("words", "other words").replace("Words", "Other words")) == first
    )
    assert run_id(MECHANISM.replace("n_heads", "n_layers")) != first


@pytest.mark.parametrize(
    ("position", "message"),
    [
        ("os:system", "it must be a function of an ablation"),
        ("experiments.records.run_folder:RunFolder", "it must be a function of an ablation"),
        ("experiments.ablations.no_such:thing", "there is no such file"),
        ("experiments.ablations.{stem}:kerpel", "has no 'kerpel', did you mean 'kerple'?"),
        ("experiments.ablations.{stem}:ABLATION", "its file has no 'ABLATION'"),
    ],
)
def test_a_reference_that_is_not_to_a_mechanism_is_refused(
    spec: RunSpec, mechanism_file: Path, position: str, message: str
):
    model = dataclasses.replace(spec.model, position=position.format(stem=mechanism_file.stem))
    with pytest.raises(ValueError, match=re.escape(message)):
        dataclasses.replace(spec, model=model)
    with pytest.raises(ValueError, match="cannot work"):
        dataclasses.replace(spec.model, position="experiments.ablations.x: rm")
