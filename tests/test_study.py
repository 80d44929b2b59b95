"""The program as its user runs it: a whole study at smoke size, and what is called after it."""

import json
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from helping import arguments, call

from experiments.benchmarks.blocks import WANTED
from experiments.catalogue import load_ablations
from experiments.cli import main as command_line
from experiments.cli.report import PageBuilder
from experiments.metrics import BLOCK_METRICS
from experiments.planning.plan import YARDSTICKS
from experiments.records.collect import read_table
from experiments.records.run_folder import RunFolder
from experiments.records.study import Study

pytestmark = pytest.mark.slow

ABLATIONS = ("heads", "ladder", "norm-kind")  # trained once, by the fixture `study`


TRACKED = ("--tracker", "wandb") if find_spec("wandb") else ()


@pytest.fixture(scope="module")
def offline() -> list[str]:
    """Words before a command that take its network away; empty where the system cannot do that."""
    prefix = ["unshare", "--map-root-user", "--net"]
    works = (
        shutil.which(prefix[0]) and not subprocess.run([*prefix, "true"], check=False).returncode
    )
    return prefix if works else []


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, text_file: Path, offline: list[str]):
    folder = tmp_path_factory.mktemp("study")
    words = ["run", *ABLATIONS, "--profile", "smoke", "--corpus", str(text_file), *TRACKED]
    return folder, call(folder, *words, before=offline)


@pytest.mark.skipif(not TRACKED, reason="not installed: make setup EXTRAS=wandb")
def test_a_tracker_shows_every_run_without_a_network(study):
    folder, _ = study
    results = folder / "results" / "smoke"
    planned, tuning = read_table(results, "membership"), read_table(results, "tuning")
    tracking = results / "tracking" / "wandb"
    tracked = [len(list(tracking.glob(f"{name}/*/seed-*[!n]"))) for name in ABLATIONS]
    wanted = [(planned["ablation"] == n).sum() + (tuning["ablation"] == n).sum() for n in ABLATIONS]
    assert tracked == wanted


def test_a_study_leaves_its_tables_and_a_page(study):
    folder, done = study
    assert done.returncode == 0, done.stderr
    results = folder / "results" / "smoke"
    assert f"report: {results / 'report.html'}" in done.stdout
    runs = read_table(results, "runs")
    assert (runs["status"] == "done").all()
    assert runs["run_id"].is_unique
    planned, tuning = read_table(results, "membership"), read_table(results, "tuning")
    members = planned[planned["ablation"].isin([*ABLATIONS, YARDSTICKS])]
    trials = set(tuning.loc[tuning["ablation"].isin(ABLATIONS), "run_id"])
    assert members["run_id"].notna().all()  # every tuned run has its learning rate
    assert set(members["run_id"]) | trials == set(runs["run_id"])
    assert set(runs["run_id"]) < set(planned["run_id"].dropna()) | set(tuning["run_id"])
    budgets = members.groupby(members["ablation"].isin(["heads", YARDSTICKS]))["budget"].agg(set)
    assert dict(budgets) == {True: {1, 2}, False: {1}}  # of the core, and of the others
    (command,) = read_table(results, "calls").to_dict("records")
    assert command["trained"] == len(runs)
    assert command["wall_seconds"] == pytest.approx(runs["wall_seconds"].sum())
    assert command["wall_seconds"] < command["workers"] * command["seconds"]
    kinds = ["train", "evaluation", "probe", "checkpoint"]
    timed = runs[[f"{kind}_seconds" for kind in kinds]]
    assert (timed[["train_seconds", "evaluation_seconds"]] > 0).all(axis=None)
    assert (timed.sum(axis=1) < runs["wall_seconds"]).all()
    assert (runs["compile_seconds"] == 0).all()
    assert (runs["peak_memory"] < 1e9).all()  # bytes, torch and all
    assert read_table(results, "costs")["block"].nunique() == WANTED["smoke"]
    assert len(read_table(results, "theory")) > 0
    assert set(read_table(results, "curves")["run_id"]) == set(runs["run_id"])
    claims = read_table(results, "claims")
    exact = claims["scale"] == "exact"  # needs no run
    assert "supported" in set(claims.loc[exact, "verdict"])
    stated = [claim for ablation in load_ablations().values() for claim in ablation.claims]
    timed = {claim.id for claim in stated if claim.metric in BLOCK_METRICS}
    trained = claims[~exact & ~claims["claim"].isin(timed)]
    verdicts = trained.groupby(trained["ablation"].isin(ABLATIONS))["verdict"].agg(set)
    # One seed decides nothing, but a gate may fail in one.
    assert "undecided" in verdicts[True]
    assert verdicts[True] <= {"undecided", "not testable"}
    own = trained[trained["ablation"].isin(ABLATIONS)]
    at = own.groupby("ablation")["budget"].agg(set)
    assert dict(at) == {"heads": {1, 2}, "ladder": {1}, "norm-kind": {1}}
    assert "not run" in verdicts[False]
    page = (results / "report.html").read_text()
    assert "<title>SMOKE TEST, numbers mean nothing" in page
    assert "incomplete because of an error" not in page


def test_only_fetching_a_corpus_needs_a_network(study, offline: list[str], tmp_path: Path):
    """The study above ran without a network. A fetch without a network fails."""
    if not offline:
        pytest.skip("this system cannot take the network away from a command")
    _, done = study
    assert done.returncode == 0
    fetch = call(tmp_path, "run", "--corpus", "tinyshakespeare", before=offline)
    assert fetch.returncode == 2
    assert fetch.stderr.startswith("error: corpus 'tinyshakespeare' cannot be fetched")
    assert fetch.stderr.count("\n") == 1


def test_a_second_call_trains_nothing_and_does_not_rebuild_the_page(
    study, text_file: Path, tmp_path: Path
):
    """No process loads torch: a module torch that raises is first on the path."""
    folder, _ = study
    page = folder / "results" / "smoke" / "report.html"
    stamp = page.stat().st_mtime_ns
    (tmp_path / "torch.py").write_text("raise RuntimeError('torch was loaded')")
    own = {"PROFILE": "smoke", "CORPUS": str(text_file), "PYTHONPATH": str(tmp_path)}
    again = call(folder, "run", *ABLATIONS, **own)
    assert again.returncode == 0, again.stderr
    assert " 0 runs trained" in again.stdout
    assert page.stat().st_mtime_ns == stamp


def test_a_failed_run_is_shown_on_the_page_and_trained_again_by_retry(study, text_file: Path):
    """Changes the results of the study, so this test comes after the tests that read them."""
    folder, _ = study
    results = folder / "results" / "smoke"
    runs = read_table(results, "runs")
    heads = runs[runs["ablation"] == "heads"].iloc[0]
    run = RunFolder(results, heads["run_id"])
    run.finish(run.summary() | {"status": "failed", "reason": "planted"})
    page = call(folder, "report", "--profile", "smoke")
    assert page.returncode == 0
    assert "planted" in (results / "report.html").read_text()
    retried = call(folder, "retry", "--profile", "smoke", "--corpus", str(text_file))
    assert retried.returncode == 0, retried.stderr
    assert "1 runs trained" in retried.stdout
    after = read_table(results, "runs").set_index("run_id")
    assert (after["status"] == "done").all()
    assert after.loc[heads["run_id"], "val_loss"] == heads["val_loss"]  # the same, bit for bit


def test_status_shows_the_progress_of_a_study(study):
    folder, _ = study
    output = call(folder, "status", "--profile", "smoke").stdout
    content = json.loads(call(folder, "status", "--profile", "smoke", "--json").stdout)
    assert content["version"] == 1
    assert ", ".join(f"{n} {state}" for state, n in sorted(content["runs"].items())) in output
    results = folder / "results" / "smoke"
    done = len(read_table(results, "runs"))
    assert f"{results}: profile smoke, corpus" in output
    assert f"{done} done" in output
    assert "not begun" in output
    assert " min left with" in output
    missing = call(folder, "status", "--profile", "cpu")
    assert missing.returncode == 2
    assert "there are no results in" in missing.stderr


def test_one_ablation_can_be_trained_alone_and_at_the_budgets_that_are_chosen(
    tmp_path: Path, text_file: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(PageBuilder, "build", lambda *_, **__: 0)
    monkeypatch.setattr(PageBuilder, "refresh", lambda *_: None)
    monkeypatch.setenv("BUDGETS", "1")
    words = arguments(tmp_path, "run", "heads", "--profile", "smoke")[3:]
    monkeypatch.setattr(sys, "argv", ["experiments", *words, "--corpus", str(text_file)])
    with pytest.raises(SystemExit) as left:
        command_line.main()
    assert left.value.code == 0
    results = tmp_path / "results" / "smoke"
    study = Study.load(results)
    assert study.budgets == [1]
    plan = study.plan(results, ["heads"])
    assert plan.untuned == []
    assert {run.budget for run in plan.runs} == {1}
    folders = {folder.name for folder in (results / "runs").iterdir()}
    assert folders == {run.spec.run_id for run in plan.runs}
    assert len(folders) >= 5 + 1 + 3 * 7  # variants, the bigram, and the trials of three arms
