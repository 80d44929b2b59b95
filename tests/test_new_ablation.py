"""An ablation is added as the README says, in a copy of the checkout."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helping import ROOT, clean_environment
from test_readme import python_block

from experiments.planning.plan import YARDSTICKS
from experiments.records.collect import read_table

pytestmark = pytest.mark.slow

KINDS = ("attention", "optimizer", "probe")  # of parts of one's own, trained in the copy


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the files that git would include, without results."""
    folder = tmp_path_factory.mktemp("clone")
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in listed.splitlines():
        if (ROOT / name).is_file():  # neither deleted nor a link to a folder
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


def make(clone: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = ["make", *words, f"PYTHON={sys.executable}"]
    return subprocess.run(
        command, cwd=clone, env=clean_environment(), capture_output=True, text=True, check=False
    )


def test_new_ablations_are_trained_judged_and_shown_on_the_page(clone: Path, text_file: Path):
    written = make(clone, "new-ablation", "NAME=my-idea")
    assert written.returncode == 0, written.stderr
    assert "wrote experiments/ablations/my_idea.py" in written.stdout
    for kind in KINDS:
        made = make(clone, "new-ablation", f"NAME=my-{kind}", f"KIND={kind}")
        assert made.returncode == 0, made.stderr
    kerple = clone / "experiments" / "ablations" / "kerple.py"
    kerple.write_text(python_block("def kerple"))
    own = [f"my-{kind}" for kind in KINDS]
    done = make(clone, "my-idea", "kerple", *own, "PROFILE=smoke", f"CORPUS={text_file}")
    assert done.returncode == 0, done.stderr
    results = clone / "results" / "smoke"
    runs, planned = read_table(results, "runs"), read_table(results, "membership")
    members = planned[planned["ablation"].isin(["my-idea", "kerple", *own])]
    assert len(members) == 5 + 2 * len(own)
    compared = runs[~runs["tuning"]]
    done_runs = set(compared.loc[compared["status"] == "done", "run_id"])
    yardsticks = set(planned.loc[planned["ablation"] == YARDSTICKS, "run_id"])
    assert set(members["run_id"]) | yardsticks == done_runs
    assert yardsticks  # the gates of both ablations are about the bigram
    parameters = compared.set_index("model.position")["parameters"]
    learned = parameters["experiments.ablations.kerple:kerple"] - parameters["none"]
    assert (
        learned == 2 * runs["model.n_heads"].dropna().iloc[0]
    )  # the mechanism has two parameters per head
    claims = read_table(results, "claims").set_index("claim")
    page = (results / "report.html").read_text()
    for name in ("my-idea", "kerple", *own):
        assert claims.loc[name, "n"] == 1
        assert f'id="{name}"' in page
    assert "own probe, my probe: " in page  # the caption of the probe's figure
    lines = read_table(results, "own_probes")
    assert set(lines["run_id"]) <= done_runs
    assert lines.groupby("run_id")["line"].unique().map(list).tolist() == [["entropy", "mean"]] * 2


def test_the_test_suite_passes_with_an_added_ablation(clone: Path):
    (clone / "experiments" / "ablations" / "kerple.py").write_text(python_block("def kerple"))
    files = ["test_variants.py", "test_house.py", "test_rooms.py", "experiments/test_catalogue.py"]
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-n",
        "0",
        *(f"tests/{file}" for file in files),
        "-k",
        "kerple or not variant",
    ]
    done = subprocess.run(command, cwd=clone, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
