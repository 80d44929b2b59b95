"""Tasks that are solved or not: steps to solve, with censoring, and the verdicts from them."""

import dataclasses
from pathlib import Path

import pandas as pd
import pytest
from by_hand import Run, ablation, claim, write_study

from experiments.ablation import Solves
from report.study.cost_to_target import steps_to_solve
from report.study.judge import judge

SOONER = claim(
    metric="steps_to_solve",
    effect={"slow": 1, "quick": -1},
    margin=0.5,
    requires=[Solves(("slow", "quick"))],
)
STEPS = 400
CURVES = {
    "quick": [0.0, 0.9, 1.0, 1.0],
    "slow": [0.0, 0.0, 0.9, 1.0],
    "never": [0.0, 0.1, 0.2, 0.94],
}
POINTS = (0, 100, 200, 400)


def curves(run_id: str, accuracies: list[float]) -> list[dict]:
    return [
        {"run_id": run_id, "step": step, "split": "val", "accuracy": accuracy}
        for step, accuracy in zip(POINTS, accuracies, strict=True)
    ]


def test_steps_to_solve_are_those_of_an_evaluation_and_a_run_that_never_solves_comes_last():
    runs = pd.DataFrame(
        {"run_id": name, "seed": 7, "variant": name, "recipe.steps": STEPS}
        for name in (*CURVES, "diverged")
    )
    points = [point for name, values in CURVES.items() for point in curves(name, values)]
    steps = steps_to_solve(pd.DataFrame(points), runs)
    assert steps.loc[7].to_dict() == {
        "quick": 200,
        "slow": 400,
        "never": STEPS + 1,
        "diverged": STEPS + 1,
    }


@pytest.fixture
def verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Returns a function that judges SOONER from the names of the curves of both arms, by seed."""

    def judged(slow: list[str], quick: list[str]) -> dict:
        arms = {"slow": slow, "quick": quick}
        runs = [
            Run(
                arm,
                seed,
                1.0,
                status="diverged" if name == "diverged" else "done",
                task="repeat",
                values={"recipe.steps": STEPS, "val_accuracy": CURVES.get(name, [0.0])[-1]},
            )
            for arm, names in arms.items()
            for seed, name in enumerate(names)
        ]
        planted = ablation(SOONER, variants=("slow", "quick"))
        tables = write_study(tmp_path, monkeypatch, planted, runs)
        points = [
            point
            for run, name in zip(runs, slow + quick, strict=True)
            for point in curves(run.run_id, CURVES.get(name, [0.0] * 4))
        ]
        tables = dataclasses.replace(tables, curves=pd.DataFrame(points))
        return judge(tables, "planted", SOONER)

    return judged


@pytest.mark.parametrize(
    ("slow", "quick", "expected"),
    [
        (["slow"] * 6, ["quick"] * 6, "supported"),
        (["quick"] * 6, ["slow"] * 6, "reversed"),
        (["never"] * 6, ["slow"] * 6, "supported"),
        (["diverged"] * 6, ["slow"] * 6, "supported"),
        (["slow"] * 5, ["quick"] * 5, "undecided"),  # as often as five tosses of a coin agree
        (["slow", "slow", "quick"], ["quick", "quick", "slow"], "undecided"),
        (["quick"] * 20, ["quick"] * 20, "negligible"),
        (["slow", "never", "slow"], ["quick", "never", "quick"], "not testable"),
    ],
)
def test_the_arm_that_solves_the_task_first_wins_a_seed(verdict, slow, quick, expected):
    row = verdict(slow, quick)
    assert row["verdict"] == expected
    assert row["unit"] == "share of seeds"


def test_a_diverged_run_counts_as_not_solved(verdict):
    assert (
        "; 3 runs diverged, counted as not solved" in verdict(["diverged"] * 3, ["slow"] * 3)["why"]
    )
