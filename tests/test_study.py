"""The program as its user runs it: a whole study at smoke size, and what is called after it."""

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from helping import arguments, call

from experiments.catalogue import load_ablations
from experiments.cli import main as command_line
from experiments.cli.report import PageBuilder
from experiments.metrics import COST_METRICS
from experiments.records.collect import read_table
from experiments.records.run_folder import RunFolder

pytestmark = pytest.mark.slow

SOME = ("heads", "ladder", "norm-kind")  # all of them are trained once, by `make all` itself


TRACKED = ("--tracker", "wandb") if find_spec("wandb") else ()


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
    assert "incomplete because of an error" not in page


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


def test_one_ablation_alone(tmp_path: Path, text_file: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(PageBuilder, "build", lambda *_, **__: 0)
    words = arguments(tmp_path, "run", "positional-encoding", "--profile", "smoke")[3:]
    monkeypatch.setattr(sys, "argv", ["experiments", *words, "--corpus", str(text_file)])
    with pytest.raises(SystemExit) as left:
        command_line.main()
    assert left.value.code == 0
    assert len(list((tmp_path / "results" / "smoke" / "runs").iterdir())) == 5
