"""`make list` prints what is planned, and how much of it is left."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from helping import leave_finished

from experiments.catalogue import load_ablations
from experiments.cli.listing import list_ablations
from experiments.cli.options import VARIABLES
from experiments.data.corpus import Corpus
from experiments.plan import preliminary_plan, unique_runs
from experiments.profiles import PROFILES
from experiments.records.provenance import environment
from experiments.records.study import Study
from experiments.running import estimates as estimate
from experiments.spec import RunSpec

SMOKE = PROFILES["smoke"]
ALL, LEFT = "all, shared runs once", "of these still to be made"


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """Nobody's choices, a wide terminal, and paces that were not timed."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "400")
    paces = {spec.model.family: 1e9 for spec in unique_runs(preliminary_plan(SMOKE, None))}
    monkeypatch.setattr(estimate, "paces_timed", lambda *_: paces)
    return paces


def listed(results: Path, *options: str) -> tuple[dict[str, list[str]], str]:
    """What stands in each row of the table after its name; and all that was printed."""
    words = ["--profile=smoke", "--device=cpu", "--jobs=2", f"--results={results}", *options]
    done = CliRunner().invoke(list_ablations, words)
    assert done.exit_code == 0, done.output
    rows = [line.strip("│ ").split("│") for line in done.output.splitlines() if "│" in line]
    return {name.strip(): [cell.strip() for cell in rest] for name, *rest in rows}, done.output


def minutes(specs: list[RunSpec], paces: dict[str, float]) -> str:
    return f"{estimate.seconds(specs, paces) / 2 / 60:.1f}"


@pytest.mark.parametrize("seeds", [None, 3])
def test_its_counts_are_the_plans(timed: dict[str, float], tmp_path: Path, seeds: int | None):
    rows, said = listed(tmp_path, *([] if seeds is None else [f"--seeds={seeds}"]))
    members = preliminary_plan(SMOKE, seeds)
    for name, ablation in load_ablations().items():
        its = unique_runs(member for member in members if member.ablation == name)
        variants = ", ".join(variant.name for variant in ablation.variants)
        assert rows[name] == [variants, str(len(its)), minutes(its, timed)]
    runs = unique_runs(members)
    assert sum(int(rows[name][1]) for name in load_ablations()) > len(runs)  # some are shared
    assert rows[ALL] == rows[LEFT] == ["", str(len(runs)), minutes(runs, timed)]
    assert "time for 2 at once, from timing a few steps just now:" in said
    assert f"{sum(run.flops for run in runs):.2g} floating-point operations" in said


def test_what_is_done_is_not_left(timed: dict[str, float], tmp_path: Path):
    runs = unique_runs(preliminary_plan(SMOKE, 1))
    for spec in runs[:4]:
        here = environment()["hardware"]
        leave_finished(tmp_path / "smoke", spec, hardware=here, wall_seconds=2.0)
    leave_finished(tmp_path / "smoke", runs[4], status="failed", reason="planted")
    rows, said = listed(tmp_path, "--seeds=1")
    assert [int(rows[name][1]) for name in (ALL, LEFT)] == [len(runs), len(runs) - 4]
    assert "from timing a few steps just now and finished runs:" in said


def test_a_study_that_is_begun_has_the_counts_of_its_plan(
    timed: dict[str, float], corpus: Corpus, tmp_path: Path
):
    """Of its own seeds; what still waits for a learning rate is counted as well."""
    folder = tmp_path / "smoke"
    study = Study.of(SMOKE, corpus, seeds=3)
    study.save(folder)
    plan = study.plan(folder)
    assert plan.waiting
    rows, _ = listed(tmp_path)
    for name in load_ablations():
        planned = [member for member in [*plan.trials, *plan.members] if member.ablation == name]
        waiting = [waiting for waiting in plan.waiting if waiting.ablation == name]
        assert (
            len(unique_runs(planned))
            <= int(rows[name][1])
            <= len(unique_runs(planned)) + len(waiting)
        )
        assert waiting or int(rows[name][1]) == len(unique_runs(planned))
    assert int(rows[ALL][1]) > len(unique_runs([*plan.trials, *plan.members]))
