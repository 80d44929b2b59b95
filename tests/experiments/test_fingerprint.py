"""Code and versions are known by what they do: comments and layout do not count."""

import dataclasses
import importlib
import json
import re
from pathlib import Path

import pytest

from experiments import fingerprint
from experiments.fingerprint import _files, code_fingerprint, fingerprint_of
from experiments.records.provenance import environment, packages
from experiments.records.run_folder import record_environment
from experiments.spec import RunSpec

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
        f"model/{file.name}" for file in Path(fingerprint.__file__).parents[1].glob("model/*.py")
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


OWN = '''"""Words."""

def kerple(config):
    """Words."""
    return config.n_heads  # words

ABLATION = "words"
'''


@pytest.fixture
def own_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of an ablation with a mechanism of its own."""
    package = importlib.import_module("experiments.ablations")
    monkeypatch.setattr(package, "__path__", [str(tmp_path / "experiments" / "ablations")])
    monkeypatch.setattr(fingerprint, "_ROOT", tmp_path)
    fingerprint.fingerprint_of_own.cache_clear()
    file = tmp_path / "experiments" / "ablations" / f"mine_{tmp_path.name}.py"
    file.parent.mkdir(parents=True)
    file.write_text(OWN)
    return file


def test_a_mechanism_of_ones_own_is_part_of_the_identity(spec: RunSpec, own_file: Path):
    def run_id(text: str) -> str:
        own_file.write_text(text)
        fingerprint.fingerprint_of_own.cache_clear()
        position = f"experiments.ablations.{own_file.stem}:kerple"
        model = dataclasses.replace(spec.model, position=position)
        return dataclasses.replace(spec, model=model).run_id

    first = run_id(OWN)
    assert run_id(OWN.replace("words", "other words").replace("Words", "Other words")) == first
    assert run_id(OWN.replace("n_heads", "n_layers")) != first


@pytest.mark.parametrize(
    ("position", "said"),
    [
        ("os:system", "it must be a function of an ablation"),
        ("experiments.records.run_folder:RunFolder", "it must be a function of an ablation"),
        ("experiments.ablations.no_such:thing", "there is no such file"),
        ("experiments.ablations.{stem}:kerpel", "has no 'kerpel', did you mean 'kerple'?"),
        ("experiments.ablations.{stem}:ABLATION", "its file has no 'ABLATION'"),
    ],
)
def test_what_is_no_mechanism_is_never_called(spec: RunSpec, own_file: Path, position, said):
    model = dataclasses.replace(spec.model, position=position.format(stem=own_file.stem))
    with pytest.raises(ValueError, match=re.escape(said)):
        dataclasses.replace(spec, model=model)
    with pytest.raises(ValueError, match="cannot work"):
        dataclasses.replace(spec.model, position="experiments.ablations.x: rm")
