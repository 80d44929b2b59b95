"""`list` prints the planned runs and how many are left; options come from words and variables."""

import json
from pathlib import Path

import pytest
from helping import leave_finished, leave_tuned

from experiments.catalogue import load_ablations
from experiments.cli.main import command_line
from experiments.cli.options import VARIABLES
from experiments.data.corpus import Corpus
from experiments.planning.plan import preliminary_plan, unique_runs
from experiments.profiles import CARD_SPEEDS, PROFILES
from experiments.records.provenance import machine
from experiments.records.study import Study
from experiments.running import estimates
from experiments.spec import RunSpec

SMOKE = PROFILES["smoke"]
ALL, LEFT = "this study, shared runs once", "of these not finished"


@pytest.fixture
def speeds(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """FLOPs per second by family, in place of timed ones. Sets a wide terminal and no option."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "2000")
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
        command_line()(["list", *words], exit_on_error=False)
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


@pytest.mark.parametrize(("seeds", "profile"), [(None, "smoke"), (3, "smoke"), (None, "cpu")])
def test_list_says_what_each_budget_of_the_profile_adds_to_the_budgets_before_it(
    listed, speeds, seeds: int | None, profile: str
):
    chosen = PROFILES[profile]
    options = [f"--profile={profile}", *([] if seeds is None else [f"--seeds={seeds}"])]
    for budgets in ((), (chosen.budgets[0],)):  # whatever the study is about
        rows, _ = listed(*options, *(f"--budgets={budget}" for budget in budgets))
        before: set[str] = set()
        for i, budget in enumerate(chosen.budgets):
            runs = unique_runs(preliminary_plan(chosen, seeds, chosen.budgets[: i + 1]))
            added = [run for run in runs if run.run_id not in before]
            cells = ["", str(len(added)), minutes(added, speeds)]
            assert rows[f"budget {budget}, shared runs once"] == cells
            before |= {run.run_id for run in runs}
        named = [name for name in rows if name.startswith("budget ")]
        assert len(named) == len(chosen.budgets)
        assert sum(int(rows[name][1]) for name in named) == len(before)


def test_list_counts_the_runs_at_the_budgets_that_are_chosen(listed):
    counts = {budgets: int(listed(f"--budgets={budgets}")[0][ALL][1]) for budgets in ("1", "1,2")}
    for budgets, count in counts.items():
        chosen = [int(word) for word in budgets.split(",")]
        assert count == len(unique_runs(preliminary_plan(SMOKE, None, chosen)))
    assert counts["1"] < counts["1,2"] == int(listed()[0][ALL][1])


def test_list_uses_the_budgets_of_the_study_in_the_folder(listed, corpus: Corpus, tmp_path: Path):
    study = Study.of(SMOKE, corpus, seeds=None, budgets=[1])
    study.save(tmp_path / "smoke")
    plan = leave_tuned(tmp_path / "smoke", study)
    runs = unique_runs(plan.runs)
    assert int(listed()[0][ALL][1]) == len(runs)
    assert int(listed("--budgets=1")[0][ALL][1]) == len(runs)
    assert int(listed("--budgets=1,2")[0][ALL][1]) > len(runs)


def test_list_counts_finished_runs_as_done_and_uses_their_speeds(listed, tmp_path: Path):
    runs = unique_runs(preliminary_plan(SMOKE, 1))
    for spec in runs[:4]:
        leave_finished(tmp_path / "smoke", spec, hardware=machine(), wall_seconds=2.0)
    leave_finished(tmp_path / "smoke", runs[4], status="failed", reason="planted")
    rows, output = listed("--seeds=1")
    assert [int(rows[name][1]) for name in (ALL, LEFT)] == [len(runs), len(runs) - 4]
    assert "from timing a few steps just now and finished runs:" in output


def test_list_uses_the_seeds_of_the_study_and_counts_what_waits_for_a_learning_rate(
    listed, corpus: Corpus, tmp_path: Path
):
    """A study that has just begun has as many runs left as one that has not begun."""
    before, _ = listed("--seeds=3")
    study = Study.of(SMOKE, corpus, seeds=3)
    study.save(tmp_path / "smoke")
    assert study.plan(tmp_path / "smoke").untuned
    rows, _ = listed()
    without = int(before["genre"][1])  # the corpus has no genres
    for name in (*load_ablations(), ALL, LEFT):
        fewer = without if name in ("genre", ALL, LEFT) else 0
        assert (name, int(rows[name][1])) == (name, int(before[name][1]) - fewer)


def test_list_counts_what_still_waits_after_some_trials(listed, corpus: Corpus, tmp_path: Path):
    before, _ = listed("--seeds=2")
    study = Study.of(SMOKE, corpus, seeds=2)
    study.save(tmp_path / "smoke")
    trials = unique_runs(study.plan(tmp_path / "smoke").trials)
    for spec in trials:
        rate = spec.recipe.learning_rate
        leave_finished(tmp_path / "smoke", spec, val_loss=0.5 + rate, hardware="planted")
    rows, _ = listed()
    without = int(before["genre"][1])  # the corpus has no genres
    assert int(rows[ALL][1]) >= int(before[ALL][1]) - without  # more where a lower rate is better
    assert int(rows[LEFT][1]) == int(rows[ALL][1]) - len(trials)


def test_without_a_card_the_time_of_the_profile_gpu_is_computed_from_card_speeds(listed):
    rows, output = listed("--profile=gpu")
    runs = unique_runs(preliminary_plan(PROFILES["gpu"], None))
    flops = sum(spec.flops + spec.evaluation_flops for spec in runs)
    for card, speed in CARD_SPEEDS.items():
        hours = (flops / speed + 0.1 * len(runs)) / 3600
        assert f"one {card} at {speed:.2g} FLOP/s: {hours:.1f} hours" in output
        assert hours <= 8.0 or card != "H200"
    h200 = (flops / CARD_SPEEDS["H200"] + 0.1 * len(runs)) / 60
    assert rows[ALL][-1] == f"{h200:.1f}"  # on one card, whatever the number of slots


def test_list_as_json_has_the_numbers_of_the_table(listed, speeds):
    rows, _ = listed()
    content = json.loads(listed("--json")[1])
    assert (content["version"], content["profile"], content["at_once"]) == (1, "smoke", 2)
    assert {each["name"]: str(each["runs"]) for each in content["ablations"]} == {
        name: rows[name][1] for name in load_ablations()
    }
    for part, name in (("study", ALL), ("unfinished", LEFT)):
        assert [str(content[part]["runs"]), f"{content[part]['minutes']:.1f}"] == rows[name][1:]
    assert [each["budget"] for each in content["budgets"]] == [*SMOKE.budgets]
