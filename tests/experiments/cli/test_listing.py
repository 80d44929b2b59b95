"""`list` prints the planned runs and how many are left; options come from words and variables."""

from pathlib import Path

import pytest
from helping import leave_finished

from experiments.catalogue import load_ablations
from experiments.cli.main import app
from experiments.cli.options import VARIABLES
from experiments.data.corpus import Corpus
from experiments.plan import preliminary_plan, unique_runs
from experiments.profiles import PROFILES, PUBLISHED_SPEEDS
from experiments.records.provenance import machine
from experiments.records.study import Study
from experiments.running import estimates
from experiments.spec import RunSpec

SMOKE = PROFILES["smoke"]
ALL, LEFT = "all, shared runs once", "of these not finished"


@pytest.fixture
def speeds(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """FLOPs per second by family, in place of timed ones. Sets a wide terminal and no option."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "400")
    planned = {spec.model.family: 1e9 for spec in unique_runs(preliminary_plan(SMOKE, None))}
    monkeypatch.setattr(estimates, "timed_speeds", lambda *_: planned)
    return planned


@pytest.fixture
def listed(speeds: dict[str, float], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """A function that calls `list`. It returns the rows of the table by name, and the output."""

    def call(*options: str) -> tuple[dict[str, list[str]], str]:
        words = ["--device=cpu", "--jobs=2", f"--results={tmp_path}", *options]
        if not any(option.startswith("--profile") for option in options):
            words.append("--profile=smoke")
        app(["list", *words], exit_on_error=False)
        output = capsys.readouterr().out
        rows = [line.strip("│ ").split("│") for line in output.splitlines() if "│" in line]
        return {name.strip(): [cell.strip() for cell in cells] for name, *cells in rows}, output

    return call


def minutes(specs: list[RunSpec], speeds: dict[str, float]) -> str:
    return f"{estimates.total_seconds(specs, speeds) / 2 / 60:.1f}"


@pytest.mark.parametrize("seeds", [None, 3])
def test_list_shows_the_number_of_runs_and_the_minutes_of_the_plan(
    listed, speeds, seeds: int | None
):
    rows, output = listed(*([] if seeds is None else [f"--seeds={seeds}"]))
    members = preliminary_plan(SMOKE, seeds)
    for name, ablation in load_ablations().items():
        runs = unique_runs(member for member in members if member.ablation == name)
        variants = ", ".join(variant.name for variant in ablation.variants)
        assert rows[name] == [variants, str(len(runs)), minutes(runs, speeds)]
    runs = unique_runs(members)
    assert sum(int(rows[name][1]) for name in load_ablations()) > len(runs)  # some are shared
    assert rows[ALL] == rows[LEFT] == ["", str(len(runs)), minutes(runs, speeds)]
    assert "minutes with 2 runs at once, estimated from timing a few steps just now:" in output
    assert f"{sum(run.flops for run in runs):.2g} FLOPs of training" in output


def test_list_counts_finished_runs_as_done_and_uses_their_speeds(listed, tmp_path: Path):
    runs = unique_runs(preliminary_plan(SMOKE, 1))
    for spec in runs[:4]:
        leave_finished(tmp_path / "smoke", spec, hardware=machine(), wall_seconds=2.0)
    leave_finished(tmp_path / "smoke", runs[4], status="failed", reason="planted")
    rows, output = listed("--seeds=1")
    assert [int(rows[name][1]) for name in (ALL, LEFT)] == [len(runs), len(runs) - 4]
    assert "from timing a few steps just now and finished runs:" in output


def test_list_uses_the_seeds_of_the_study_in_the_folder(listed, corpus: Corpus, tmp_path: Path):
    """Runs that wait for a learning rate are counted as well."""
    folder = tmp_path / "smoke"
    study = Study.of(SMOKE, corpus, seeds=3)
    study.save(folder)
    plan = study.plan(folder)
    assert plan.untuned
    rows, _ = listed()
    for name in load_ablations():
        runs = len(unique_runs(run for run in plan.runs if run.ablation == name))
        untuned = [run for run in plan.untuned if run.ablation == name]
        assert runs <= int(rows[name][1]) <= runs + len(untuned)
        assert untuned or int(rows[name][1]) == runs
    assert int(rows[ALL][1]) > len(unique_runs(plan.runs))


def test_without_a_card_the_time_of_the_profile_gpu_is_computed_from_published_speeds(listed):
    rows, output = listed("--profile=gpu")
    runs = unique_runs(preliminary_plan(PROFILES["gpu"], None))
    flops = sum(spec.flops + spec.evaluation_flops for spec in runs)
    for card, speed in PUBLISHED_SPEEDS.items():
        hours = (flops / speed + 0.1 * len(runs)) / 3600
        assert f"one {card} at {speed:.2g} FLOP/s: {hours:.1f} hours; not measured" in output
        assert hours <= 8.0 or card != "H100"
    h100 = (flops / PUBLISHED_SPEEDS["H100"] + 0.1 * len(runs)) / 60
    assert rows[ALL][-1] == f"{h100:.1f}"  # on one card, whatever the number of slots
