"""`work` and `submit`: processes share a study, one is killed, and every run is trained once."""

import random
import re
import time
from pathlib import Path

import pytest
from helping import call, words

from experiments.cli.run import _sbatch_options
from experiments.errors import UserError
from experiments.running.leases import Member
from tests import sharing, soak

STUDY = ("norm-kind", "--profile", "smoke", "--budgets", "1")


@pytest.fixture
def text(tmp_path: Path) -> Path:
    file = tmp_path / "text.txt"
    file.write_text(words())
    return file


@pytest.mark.slow
def test_processes_share_a_study_one_is_killed_and_the_tables_equal_those_of_a_single_process(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(soak, "ABLATIONS", ["norm-kind"])
    monkeypatch.setattr(soak, "SEEDS", "1")
    soak.run_to_end(tmp_path / "alone")
    assert sharing.share(tmp_path / "shared", 2, 1, random.Random(0)) == []
    soak.run_to_end(tmp_path / "shared")
    assert list(soak.differing(tmp_path / "alone", tmp_path / "shared")) == []
    assert not (tmp_path / "shared" / "results" / "smoke" / "leases").exists()


@pytest.mark.slow
def test_submitted_tasks_train_the_study(text: Path, tmp_path: Path):
    pytest.importorskip("submitit")
    done = call(
        tmp_path, "submit", *STUDY, "--seeds=1", "--corpus", str(text), "--tasks=2", "--batch=local"
    )
    assert done.returncode == 0, done.stderr
    jobs = re.findall(r"\d+", done.stdout.partition(":")[0])
    assert len(jobs) == 2
    folder, until = tmp_path / "results" / "submitted", time.monotonic() + 120
    while len(list(folder.glob("*_result.pkl"))) < 2 and time.monotonic() < until:
        time.sleep(0.5)
    prints = [(folder / f"{job}_0_log.out").read_text() for job in jobs]
    counts = [
        re.search(r"(\d+) runs trained, (\d+) were done or trained by other", text)
        for text in prints
    ]
    trained = [int(count.group(1)) for count in counts if count]
    assert sum(trained) == len(list((tmp_path / "results" / "smoke" / "runs").iterdir())), prints


def test_submit_without_slurm_says_so(tmp_path: Path):
    pytest.importorskip("submitit")
    done = call(tmp_path, "submit", "--profile", "smoke")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "BATCH=slurm cannot be used here" in done.stderr


def test_options_of_sbatch_are_read_from_one_variable():
    options = {"partition": "gpu", "gres": "gpu:1", "exclusive": True, "nodelist": "a[1,2]"}
    assert _sbatch_options("partition=gpu,gres=gpu:1,exclusive,nodelist=a[1,2]") == options
    assert _sbatch_options("") == {}
    for text in ("partition=", "=gpu", ",", "a\n#SBATCH=b", "a=b\n#SBATCH=c", "A b=c"):
        with pytest.raises(UserError, match="is no option such as partition=gpu"):
            _sbatch_options(text)


def test_calls_that_share_a_folder_must_train_one_study(text: Path, tmp_path: Path):
    study = ["work", *STUDY, "--corpus", str(text)]
    assert call(tmp_path, *study, "--seeds=1").returncode == 0
    with Member(tmp_path / "results" / "smoke") as member:
        done = call(tmp_path, *study, "--seeds=2")
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert f"another study, which is trained by {member.name}" in done.stderr
        assert call(tmp_path, *study, "--seeds=1").returncode == 0
