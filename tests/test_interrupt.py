"""Ctrl-C ends all that was begun, and the next call goes on."""

import os
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from helping import ROOT, arguments, call, clean_environment

from experiments.data.corpus import Corpus
from experiments.profiles import PROFILES
from experiments.records.collect import collect
from experiments.records.study import Study

pytestmark = pytest.mark.slow


@pytest.fixture
def ctrl_c_is_heard():
    """A shell starts what it puts in the background deaf to Ctrl-C, and children inherit that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c_is_heard")
@pytest.mark.parametrize("times", [1, 3])
def test_ctrl_c_ends_all_workers_and_the_next_call_continues(
    tmp_path: Path, text_file: Path, times: int
):
    words = ["run", "norm-kind", "--profile", "smoke", "--seeds", "40", "--corpus", str(text_file)]
    process = subprocess.Popen(
        arguments(tmp_path, *words),
        cwd=ROOT,
        env=clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    runs = tmp_path / "results" / "smoke" / "runs"
    deadline = time.monotonic() + 60
    while not list(runs.glob("*/summary.json")) and time.monotonic() < deadline:
        time.sleep(0.05)
    for _ in range(times):
        os.killpg(process.pid, signal.SIGINT)  # what a terminal does
        time.sleep(0.05)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert said.strip() == "stopped; the next call goes on from here"
    wait_until_gone(process.pid)
    done = len(list(runs.glob("*/summary.json")))
    assert 0 < done < 80
    assert not [file for file in runs.rglob("summary.json") if "done" not in file.read_text()]
    fewer = [word if word != "40" else "1" for word in words]
    again = call(tmp_path, *fewer)
    assert again.returncode == 0
    assert " 0 were done" not in again.stdout


def wait_until_gone(session: int) -> None:
    """Wait until no process of the session is left; fail after ten seconds."""
    deadline = time.monotonic() + 10
    left: list[int] = []
    while time.monotonic() < deadline:
        left = [pid for pid in psutil.pids() if session_of(pid) == session]
        if not left:
            return
        time.sleep(0.1)
    pytest.fail(f"processes left behind: {left}")


def session_of(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None


@pytest.mark.usefixtures("ctrl_c_is_heard")
def test_ctrl_c_ends_the_building_of_a_page_and_its_kernels(corpus: Corpus, tmp_path: Path):
    results = tmp_path / "results" / "smoke"
    results.mkdir(parents=True)
    Study.of(PROFILES["smoke"], corpus, seeds=1).save(results)
    collect(results)
    process = subprocess.Popen(
        arguments(tmp_path, "report", "--profile", "smoke"),
        cwd=ROOT,
        env=clean_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    started: list[psutil.Process] = []
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        started = psutil.Process(process.pid).children(recursive=True)
        if any(is_kernel(child) for child in started):
            break
        time.sleep(0.1)
    assert any(is_kernel(child) for child in started)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=20) == 130
    _, alive = psutil.wait_procs(started, timeout=10)
    assert not alive


def is_kernel(process: psutil.Process) -> bool:
    try:
        return "ipykernel" in " ".join(process.cmdline())
    except psutil.Error:  # it is over, or about to be
        return False
