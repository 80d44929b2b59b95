"""Ablations of a folder of the user's own are ablations as the built-in ones."""

import importlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from helping import ROOT

from experiments import catalogue
from experiments.catalogue import add_folder, file_of, load_ablations, shown_path
from experiments.cli.new_ablation import write_new
from experiments.errors import UserError
from experiments.identity import mechanism_fingerprint
from report.output.freshness import fingerprint


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with an ablation that brings a norm, added for the time of a test."""
    package = importlib.import_module("experiments.ablations")
    monkeypatch.setattr(package, "__path__", [*package.__path__])
    monkeypatch.setenv(catalogue.VARIABLE, "")
    mine = tmp_path / "mine"
    mine.mkdir()
    add_folder(mine)
    write_new("users-own", "norm")
    yield mine
    sys.modules.pop("experiments.ablations.users_own", None)


def test_a_new_ablation_is_written_into_the_folder_and_loaded_with_the_built_in_ones(folder: Path):
    assert file_of("users-own") == folder / "users_own.py"
    assert shown_path("users-own") == str(folder / "users_own.py")
    assert shown_path("heads") == "experiments/ablations/heads.py"
    loaded = load_ablations()
    assert {"users-own", "heads"} <= {*loaded}
    assert loaded["users-own"].title == "Users own"


def test_the_code_of_the_file_is_part_of_the_identity_of_its_runs(folder: Path):
    load_ablations()
    before = mechanism_fingerprint("experiments.ablations.users_own")
    file = folder / "users_own.py"
    file.write_text(file.read_text().replace("min=1e-5", "min=1e-6"))
    mechanism_fingerprint.cache_clear()
    assert mechanism_fingerprint("experiments.ablations.users_own") != before


def test_an_edit_of_the_file_makes_a_page_outdated(folder: Path, tmp_path: Path):
    (tmp_path / "results").mkdir()
    before = fingerprint(tmp_path / "results")
    assert fingerprint(tmp_path / "results") == before
    (folder / "users_own.py").write_text("")
    assert fingerprint(tmp_path / "results") != before


def test_a_file_of_the_name_of_a_built_in_one_is_refused(folder: Path):
    (folder / "heads.py").write_text("")
    with pytest.raises(UserError, match=r"heads\.py: there is a built-in ablation of this name"):
        add_folder(folder)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path):
    with pytest.raises(UserError, match="there is no folder"):
        add_folder(tmp_path / "none")


@pytest.mark.parametrize("by", ["option", "variable"])
def test_the_command_takes_the_folder_as_an_option_and_from_the_environment(folder: Path, by: str):
    environment = {name: value for name, value in os.environ.items() if name != "ABLATIONS"}
    words = [sys.executable, "-m", "experiments", "list", "--profile", "smoke", "--json"]
    if by == "option":
        words += ["--ablations", str(folder)]
    else:
        environment["ABLATIONS"] = str(folder)
    done = subprocess.run(
        words, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert "users-own" in done.stdout


def test_the_version_is_that_of_the_package():
    words = [sys.executable, "-m", "experiments", "--version"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    stated = re.search(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert stated
    assert done.stdout.strip() == stated[1]


def test_two_probes_with_a_metric_of_the_same_name_are_refused(folder: Path):
    write_new("my-probe", "probe")
    text = (folder / "my_probe.py").read_text()
    assert 'metric="my_probe.mean"' in text  # called after its file, so others differ
    (folder / "second.py").write_text(text.replace('id="my-probe"', 'id="second"'))
    with pytest.raises(UserError, match=r"metric 'my_probe\.mean' is in .*my_probe\.py already"):
        load_ablations()
    for name in ("my_probe", "second"):
        sys.modules.pop(f"experiments.ablations.{name}", None)
