"""The figure of the learning-rate search, before, during and after the search."""

import dataclasses
import math
from pathlib import Path

import planted
import pytest
from planted import plant

from experiments.ablation import Variant
from experiments.plan import TUNING_SEEDS, Plan, PlannedRun, unique_runs
from experiments.records.collect import collect
from experiments.records.run_folder import RunFolder
from experiments.records.study import Study
from report.figures.learning_rates import rate_search
from report.verdicts.tables import Tables


def planned(results: Path) -> Plan:
    return Study.load(results).plan(results)


def collected(results: Path) -> Tables:
    collect(results)
    return Tables.load(results)


def train(results: Path, trials: list[PlannedRun]) -> None:
    """Finish trials with the lowest loss nearest to a rate of 0.3; a rate of 10 diverges."""
    for trial in trials:
        folder = RunFolder(results, trial.spec.run_id)
        folder.start(trial.spec)
        if trial.rate == 10:
            folder.finish({"status": "diverged", "reason": ""})
        else:
            loss = 2 + abs(math.log(trial.rate / 0.3))
            folder.finish({"status": "done", "val_loss": loss, "steps": 400, "train_seconds": 1.0})


def test_untuned_runs_are_missing_until_trials_with_both_seeds_choose_a_rate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    variants = [*planted.ABLATION.variants, Variant("own-rate", tuned_for="base")]
    ablation = dataclasses.replace(planted.ABLATION, variants=variants)
    monkeypatch.setattr(planted, "ABLATION", ablation)
    results = plant(tmp_path, monkeypatch, [0.1, 0.2])

    tables = collected(results)
    assert set(tables.members.query("variant == 'own-rate'")["status"]) == {"missing"}
    assert rate_search(tables, "planted").data == ""

    assert len(planned(results).untuned) == 2
    train(results, planned(results).trials)
    assert rate_search(collected(results), "planted").data

    plan = planned(results)
    assert len(plan.untuned) == 2
    train(results, [trial for trial in plan.trials if trial.spec.seed == TUNING_SEEDS[1]])
    shown = rate_search(collected(results), "planted").data
    assert "base is best at 0.003." in shown
    assert "Diverged and not drawn: base at 1 rate." in shown
    assert "end of the range" not in shown

    plan = planned(results)
    assert not plan.untuned
    runs = [run.spec for run in plan.comparison_runs if run.variant == "own-rate"]
    assert [run.recipe.learning_rate for run in runs] == pytest.approx([0.003] * 2)
    assert len(unique_runs(plan.comparison_runs)) == 6
