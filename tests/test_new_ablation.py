"""Adding an ablation as the README tells it, from outside: in a copy of the tree."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helping import ROOT, clean_environment
from test_readme import python_block

from experiments.records.collect import read_table


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a stranger has: the files in git, and no results."""
    folder = tmp_path_factory.mktemp("clone")
    words = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in listed.splitlines():
        if (ROOT / name).is_file():  # not deleted since, nor a link to a folder
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


def make(clone: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = ["make", *words, f"PYTHON={sys.executable}"]
    return subprocess.run(
        command, cwd=clone, env=clean_environment(), capture_output=True, text=True, check=False
    )


def test_two_commands_and_the_page_has_its_section(clone: Path, text_file: Path):
    written = make(clone, "new-ablation", "NAME=my-idea")
    assert written.returncode == 0, written.stderr
    assert "wrote experiments/ablations/my_idea.py" in written.stdout
    own = clone / "experiments" / "ablations" / "kerple.py"
    own.write_text(python_block("def kerple"))
    done = make(clone, "my-idea", "kerple", "PROFILE=smoke", f"CORPUS={text_file}")
    assert done.returncode == 0, done.stderr
    results = clone / "results" / "smoke"
    runs, planned = read_table(results, "runs"), read_table(results, "membership")
    members = planned[planned["ablation"].isin(["my-idea", "kerple"])]
    assert len(members) == 5
    assert set(members["run_id"]) == set(runs.loc[runs["status"] == "done", "run_id"])
    parameters = runs.set_index("model.position")["parameters"]
    learned = parameters["experiments.ablations.kerple:kerple"] - parameters["none"]
    assert learned == 2 * runs["model.n_heads"].iloc[0]  # so it was built, and it is trained
    claims = read_table(results, "claims").set_index("claim")
    assert claims.loc[["my-idea", "kerple"], "n"].tolist() == [1, 1]
    page = (results / "report.html").read_text()
    assert 'id="my-idea"' in page
    assert 'id="kerple"' in page


def test_the_tests_hold_for_what_was_added(clone: Path):
    (clone / "experiments" / "ablations" / "kerple.py").write_text(python_block("def kerple"))
    words = ["tests/test_variants.py", "tests/test_house.py", "tests/experiments/test_catalogue.py"]
    command = [sys.executable, "-m", "pytest", "-n", "0", *words, "-k", "kerple or not variant"]
    done = subprocess.run(command, cwd=clone, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
