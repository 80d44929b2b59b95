"""The program as its user runs it: whole, at smoke size, and with everything that goes wrong."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner

from experiments import __main__ as command_line
from experiments.catalogue import load_ablations
from experiments.collect import read_table
from experiments.metrics import COST_METRICS
from experiments.options import VARIABLES
from experiments.store import RunFolder
from report.__main__ import main as write_page

ROOT = Path(__file__).parent.parent
SOME = ("heads", "ladder", "norm-kind")  # all of them are trained once, by `make all` itself
TRACKED = ("--tracker", "wandb") if find_spec("wandb") else ()


def call(
    folder: Path, *words: str, before: Sequence[str] = (), **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*before, *arguments(folder, *words)],
        cwd=ROOT,
        env=clean_environment() | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def arguments(folder: Path, *words: str) -> list[str]:
    where = ["--results", str(folder / "results")]
    if words[0] == "new-ablation":  # it writes no results
        where = []
    if words[0] in ("run", "retry", "verify", "bench"):
        where += ["--data", str(folder / "data")]
    return [sys.executable, "-m", "experiments", *words, *where]


def clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in VARIABLES}


@pytest.fixture(scope="module")
def offline() -> list[str]:
    """What to put before a command so that it has no network at all, where the system has that."""
    words = ["unshare", "--map-root-user", "--net"]
    able = shutil.which(words[0]) and not subprocess.run([*words, "true"], check=False).returncode
    return words if able else []


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, text_file: Path, offline: list[str]):
    folder = tmp_path_factory.mktemp("study")
    words = ["run", *SOME, "--profile", "smoke", "--corpus", str(text_file), *TRACKED]
    return folder, call(folder, *words, before=offline)


@pytest.mark.skipif(not TRACKED, reason="not installed: make setup EXTRAS=wandb")
def test_a_tracker_shows_every_run_without_a_network(study):
    folder, _ = study
    results = folder / "results" / "smoke"
    planned, tuning = read_table(results, "membership"), read_table(results, "tuning")
    tracking = results / "tracking" / "wandb"
    tracked = [len(list(tracking.glob(f"{name}/*/seed-*[!n]"))) for name in SOME]
    wanted = [(planned["ablation"] == n).sum() + (tuning["ablation"] == n).sum() for n in SOME]
    assert tracked == wanted


def test_a_study_runs_and_leaves_four_tables_and_a_page(study):
    folder, done = study
    assert done.returncode == 0, done.stderr
    results = folder / "results" / "smoke"
    assert f"report: {results / 'report.html'}" in done.stdout
    runs = read_table(results, "runs")
    assert (runs["status"] == "done").all()
    assert runs["run_id"].is_unique
    planned, tuning = read_table(results, "membership"), read_table(results, "tuning")
    asked = planned[planned["ablation"].isin(SOME)]
    tried = set(tuning.loc[tuning["ablation"].isin(SOME), "run_id"])
    assert asked["run_id"].notna().all()  # what waited for a learning rate has it
    assert set(asked["run_id"]) | tried == set(runs["run_id"])
    assert set(runs["run_id"]) < set(planned["run_id"].dropna()) | set(tuning["run_id"])
    (called,) = read_table(results, "calls").to_dict("records")
    assert called["trained"] == len(runs)
    assert called["wall_seconds"] == pytest.approx(runs["wall_seconds"].sum())
    assert called["wall_seconds"] < called["workers"] * called["seconds"]
    timed = runs[["train_seconds", "probe_seconds"]].sum(axis=1)
    assert ((timed > 0) & (timed < runs["wall_seconds"])).all()
    assert (runs["peak_memory"] < 1e9).all()  # bytes, torch and all
    assert len(read_table(results, "costs")) > 0
    assert len(read_table(results, "theory")) > 0
    assert set(read_table(results, "curves")["run_id"]) == set(runs["run_id"])
    claims = read_table(results, "claims")
    exact = claims["scale"] == "exact"  # needs no run
    assert "supported" in set(claims.loc[exact, "verdict"])
    stated = [claim for ablation in load_ablations().values() for claim in ablation.claims]
    timed = {claim.id for claim in stated if claim.metric in COST_METRICS}  # of two repeats
    trained = claims[~exact & ~claims["claim"].isin(timed)]
    verdicts = trained.groupby(trained["ablation"].isin(SOME))["verdict"].agg(set)
    assert verdicts[True] == {"undecided"}  # one seed decides nothing
    assert "not tested" in verdicts[False]
    page = (results / "report.html").read_text()
    assert "<title>SMOKE TEST, numbers mean nothing" in page
    assert "broke off" not in page


def test_nothing_but_fetching_a_corpus_needs_a_network(study, offline: list[str], tmp_path: Path):
    """All that the study does is done without one; and there is none: a fetch finds that out."""
    if not offline:
        pytest.skip("this system takes no network away from a command")
    _, done = study
    assert done.returncode == 0
    fetch = call(tmp_path, "run", "--corpus", "tinyshakespeare", before=offline)
    assert fetch.returncode == 2
    assert fetch.stderr.startswith("error: corpus 'tinyshakespeare' cannot be fetched")
    assert fetch.stderr.count("\n") == 1


def test_a_second_call_trains_nothing_and_leaves_the_page(study, text_file: Path, tmp_path: Path):
    """And loads no torch, in no process: whoever tries finds one that breaks."""
    folder, _ = study
    page = folder / "results" / "smoke" / "report.html"
    stamp = page.stat().st_mtime_ns
    (tmp_path / "torch.py").write_text("raise RuntimeError('torch was loaded')")
    own = {"PROFILE": "smoke", "CORPUS": str(text_file), "PYTHONPATH": str(tmp_path)}
    again = call(folder, "run", *SOME, **own)
    assert again.returncode == 0, again.stderr
    assert " 0 runs trained" in again.stdout
    assert page.stat().st_mtime_ns == stamp


def test_a_failed_run_is_told_and_trained_again(study, text_file: Path):
    """Reads and mends what the study left, so it comes after the tests of that."""
    folder, _ = study
    results = folder / "results" / "smoke"
    runs = read_table(results, "runs")
    heads = runs[runs["ablation"] == "heads"].iloc[0]
    run = RunFolder(results, heads["run_id"])
    run.finish(run.summary() | {"status": "failed", "reason": "planted"})
    told = call(folder, "report", "--profile", "smoke")
    assert told.returncode == 0
    assert "planted" in (results / "report.html").read_text()
    mended = call(folder, "retry", "--profile", "smoke", "--corpus", str(text_file))
    assert mended.returncode == 0, mended.stderr
    assert "1 runs trained" in mended.stdout
    after = read_table(results, "runs").set_index("run_id")
    assert (after["status"] == "done").all()
    assert after.loc[heads["run_id"], "val_loss"] == heads["val_loss"]  # the same, bit for bit


def test_one_ablation_alone(tmp_path: Path, text_file: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(command_line.PageRefresher, "build", lambda *_, **__: 0)
    words = arguments(tmp_path, "run", "positional-encoding", "--profile", "smoke")[3:]
    monkeypatch.setattr(sys, "argv", ["experiments", *words, "--corpus", str(text_file)])
    with pytest.raises(SystemExit) as left:
        command_line.main()
    assert left.value.code == 0
    assert len(list((tmp_path / "results" / "smoke" / "runs").iterdir())) == 5


BAD = {
    "ablation": (["run", "positional-encodin"], "did you mean 'positional-encoding'?"),
    "profile": (["run", "--profile", "huge"], "there are auto, smoke, cpu, gpu"),
    "device": (["run", "--device", "tpu"], "there are auto, cuda, mps, cpu"),
    "executor": (["run", "--executor", "slurm"], "there are local"),
    "precision": (["run", "--precision", "fp8"], "there are auto, fp32, bf16"),
    "compile": (["run", "--compile", "perhaps"], "--compile"),
    "slots": (["run", "--slots-per-gpu", "2", "--device", "cpu"], "for the device cuda"),
    "seeds": (["run", "--seeds", "0"], "--seeds"),
    "jobs": (["run", "--jobs", "many"], "--jobs"),
    "option": (["run", "--no-such-option"], "No such option"),
    "benchmark": (["bench", "--corpus", "no/such/file.txt"], "does not exist"),
    "corpus": (["run", "--corpus", "no/such/file.txt"], "does not exist"),
    "tokenizer": (["run", "--tokenizer", "bytes"], "there are characters, bpe"),
    "bench": (["bench", "--tokenizer", "bpe"], "a benchmark is by character"),
    "vocabulary": (["run", "--vocab-size", "300"], "VOCAB_SIZE is for TOKENIZER=bpe"),
    "tracker": (["run", "--tracker", "tensorbord"], "did you mean 'tensorboard'?"),
    "new ablation": (["new-ablation", "../heads"], "must be words of a to z"),
    "no name": (["new-ablation", ""], "NAME is missing"),
    "an old name": (["new-ablation", "heads"], "there is an ablation 'heads' already"),
    "a target": (["new-ablation", "list"], "'list' is a target of make already"),
    "no study": (["status", "--profile", "gpu"], "run `make all` first"),
    "no run": (["sample", "abc", "--profile", "gpu"], "'abc' is no run in"),
    "timeout": (["run", "--run-timeout", "nan"], "is no number of seconds"),
    "checkpoints": (["run", "--checkpoint-seconds", "-1"], "--checkpoint-seconds"),
    "nothing to verify": (["verify", "--profile", "gpu"], "run `make all` first"),
    "nothing to report": (["report", "--profile", "gpu"], "run `make all` first"),
    "nothing named to delete": (["clean"], "unknown profile to delete 'auto'"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_status_2_and_changes_nothing(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    words, expected = BAD[case]
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "argv", ["experiments", *arguments(tmp_path, *words)[3:]])
    with pytest.raises(SystemExit) as left:
        command_line.main()
    said = capfd.readouterr().err
    assert left.value.code == 2
    assert expected in said
    assert said.startswith("error: ")
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []


def test_no_such_device_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr("experiments.hardware.devices_present", lambda: ["cpu"])
    monkeypatch.setattr(sys, "argv", ["x", *arguments(tmp_path, "run", "--device", "cuda")[3:]])
    with pytest.raises(SystemExit) as left:
        command_line.main()
    assert left.value.code == 2
    assert "device 'cuda' is not on this machine: it has cpu" in capsys.readouterr().err


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_disk_that_takes_nothing_is_one_line(
    number: int,
    tmp_path: Path,
    text_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    def refuse(*_: object):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("experiments.study.write_sealed", refuse)
    words = arguments(tmp_path, "run", "--profile", "smoke", "--corpus", str(text_file))[3:]
    monkeypatch.setattr(sys, "argv", ["x", *words])
    with pytest.raises(SystemExit) as left:
        command_line.main()
    assert left.value.code == 2
    assert capsys.readouterr().err == f"error: {os.strerror(number)}: while writing results\n"


def test_a_page_that_no_disk_takes_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    def refuse(_: object):
        raise OSError(errno.ENOSPC, "No space left on device", "report.html")

    monkeypatch.setattr("report.page.build", refuse)
    done = CliRunner().invoke(write_page, [str(tmp_path)])
    assert done.exit_code == 2
    assert done.stderr == "error: No space left on device: report.html\n"


@pytest.fixture
def ctrl_c_is_heard():
    """A shell starts what it puts in the background deaf to Ctrl-C, and children inherit that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c_is_heard")
@pytest.mark.parametrize("times", [1, 3])
def test_ctrl_c_ends_everything_and_the_next_call_goes_on(
    tmp_path: Path, text_file: Path, times: int
):
    words = ["run", "heads", "--profile", "smoke", "--seeds", "40", "--corpus", str(text_file)]
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
    assert 0 < done < 200
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
def test_ctrl_c_ends_a_page_in_the_making_with_its_kernels(study):
    folder, _ = study
    process = subprocess.Popen(
        arguments(folder, "report", "--profile", "smoke"),
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
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=20) == 130
    _, alive = psutil.wait_procs(started, timeout=10)
    assert not alive


def is_kernel(process: psutil.Process) -> bool:
    try:
        return "ipykernel" in " ".join(process.cmdline())
    except psutil.Error:  # it is over, or about to be
        return False


def test_status_tells_how_far_a_study_is(study):
    folder, _ = study
    told = call(folder, "status", "--profile", "smoke").stdout
    results = folder / "results" / "smoke"
    done = len(read_table(results, "runs"))
    assert f"{results}: profile smoke, corpus" in told
    assert f"{done} done" in told
    assert "not begun" in told
    assert " min left with" in told
    missing = call(folder, "status", "--profile", "cpu")
    assert missing.returncode == 2
    assert "there are no results in" in missing.stderr
