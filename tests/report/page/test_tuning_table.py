"""The table of chosen learning rates, and the gap between tuning and comparison."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest
from by_hand import Trial, ablation, claim, runs_of, write_study
from planted import plant
from reading import cells, words

from experiments.claim import Claim
from experiments.records.collect import collect, read_table
from report.page.budgets import (
    gaps_within_margin,
    least_margin,
    tuning_gaps,
    tuning_share,
    tuning_table,
)
from report.study.tables import Tables


def sweep(variant: str, losses: Sequence[float | None], **stated: Any) -> list[Trial]:
    """Trials at half, the same and twice the rate, with the same rate chosen."""
    rates = zip((0.5, 1, 2), losses, strict=True)
    return [Trial(variant, rate, loss, chosen=rate == 1, **stated) for rate, loss in rates]


def again(variant: str, rate: float, losses: Sequence[float | None], **stated: Any) -> list[Trial]:
    """Trials of a rate with the second and the third seed."""
    return [Trial(variant, rate, loss, 1001 + i, **stated) for i, loss in enumerate(losses)]


def test_the_gap_is_the_loss_of_the_comparison_less_that_of_the_chosen_trials(
    tmp_path, monkeypatch
):
    """Chosen trials of "a": 2.0, 2.1 and 2.2, whose mean is 2.1. Runs: 2.13 and 2.15."""
    trials = [*sweep("a", [3.0, 2.0, 4.0]), *again("a", 1, [2.1, 2.2], chosen=True)]
    trials += again("a", 0.5, [2.0, 2.0])
    trials += sweep("b", [2.4, 2.5, None], method="checked")
    runs = [*runs_of({"a": [2.13, 2.15], "b": [2.61, 2.63]}), *runs_of({"a": [9.0]}, budget=4)]
    tables = write_study(tmp_path, monkeypatch, ablation(claim()), runs, trials).at(1)
    shown = tuning_table(tables, "planted")
    assert cells(shown) == [
        ["a", "0.01", "tuned", "3", "0", "7", "0.040"],
        ["b", "0.01", "checked", "3", "0", "3", "0.120"],
    ]
    assert "than the margin of 0.1 nats: b (0.120 above)." in words(tuning_gaps(tables, "planted"))


def test_arms_are_counted_whose_comparison_is_within_the_margin_of_their_trials(
    tmp_path, monkeypatch
):
    trials = [*sweep("a", [3, 2.0, 3]), *sweep("b", [3, 2.0, 3]), Trial("b", 4, 2.0)]
    trials += [*sweep("a", [3, 1.5, 3], budget=4), Trial("b", 1, 1.5, budget=4)]
    runs = [*runs_of({"a": [2.09], "b": [2.11]}), *runs_of({"a": [1.35], "b": [1.6]}, budget=4)]
    tables = write_study(tmp_path, monkeypatch, ablation(claim()), runs, trials)
    assert gaps_within_margin(tables) == "1 of 2 arms at budget 1 and 0 of 1 arm at budget 4"


def test_without_trials_there_is_nothing_to_count(tmp_path, monkeypatch):
    tables = write_study(tmp_path, monkeypatch, ablation(claim()), runs_of({"a": [2.0]}))
    assert gaps_within_margin(tables) == "–"


@pytest.mark.parametrize(
    ("loss", "marked"), [(2.39, True), (2.41, False), (2.59, False), (2.61, True)]
)
def test_a_gap_is_marked_beyond_the_margin_in_either_direction(tmp_path, monkeypatch, loss, marked):
    """The margin is 0.1, and the trials at the chosen rate have a loss of 2.5."""
    runs = runs_of({"a": [loss, loss]})
    tables = write_study(tmp_path, monkeypatch, ablation(claim()), runs, sweep("a", [3, 2.5, 3]))
    assert ("than the margin" in words(tuning_gaps(tables, "planted"))) is marked


def test_refused_rates_and_an_unreliable_choice_are_shown(tmp_path, monkeypatch):
    trials = [Trial("a", 1, 2.0, chosen=True), *again("a", 1, [2.0, 2.0], chosen=True)]
    trials += [Trial("a", 0.5, 2.2), Trial("a", 2, None, refused=True)]
    trials += again("a", 2, [None, 2.0], refused=True)
    trials += [Trial("b", rate, None, refused=True, chosen=rate == 1) for rate in (0.5, 1, 2)]
    trials += [Trial("c", 1, 2.0)]
    stated = ablation(claim(), variants=("a", "b", "c"))
    tables = write_study(tmp_path, monkeypatch, stated, runs_of({"a": [2.0]}), trials)
    assert cells(tuning_table(tables, "planted")) == [
        ["a", "0.01", "tuned", "3", "1", "7", "0.000"],
        ["b", "0.01", "tuned, no rate is reliable", "3", "3", "3", "–"],
        ["c", "not chosen yet", "–", "1", "0", "1", "–"],
    ]


def test_the_table_of_rates_is_about_one_budget(tmp_path, monkeypatch):
    trials = [*sweep("a", [3, 2.0, 3]), *sweep("a", [3, 1.5, 3], budget=4)]
    runs = [*runs_of({"a": [2.0], "b": [2.0]}), *runs_of({"a": [1.6], "b": [1.6]}, budget=4)]
    tables = write_study(tmp_path, monkeypatch, ablation(claim()), runs, trials)
    assert cells(tuning_table(tables, "planted"))[0][-2:] == ["3", "0.100"]
    assert cells(tuning_table(tables.at(1), "planted"))[0][-2:] == ["3", "0.000"]
    assert tuning_table(tables.at(16), "planted").data == ""


def test_each_trial_of_a_deeper_study_is_in_the_table_of_rates_once(tmp_path, monkeypatch):
    """The trials at budget 1 are needed for budget 1, and again for budget 4."""
    results = plant(tmp_path, monkeypatch, [0.5, 0.4], deeper=[0.5, 0.4])
    collect(results)
    tuning = read_table(results, "tuning")
    assert len(tuning) == tuning["run_id"].nunique() == 2 * 2 * 3  # arms, budgets and rates
    tables = Tables.load(results)
    for budget in (1, 4):
        (first, _) = cells(tuning_table(tables.at(budget), "planted"))
        assert first[:6] == ["base", "0.01", "checked", "3", "0", "3"]


def test_the_margin_of_the_gap_is_the_least_of_claims_about_loss(tmp_path, monkeypatch):
    def margin(*claims: Claim) -> float:
        tables = write_study(tmp_path, monkeypatch, ablation(*claims), runs_of({"a": [2.0]}))
        return least_margin(tables, "planted")

    others = [
        claim(id="speed", metric="tokens_per_second", margin=0.01, requires=[]),
        claim(id="accuracy", metric="val_accuracy", margin=0.01),
        claim(id="ratio", metric="tokens_to_loss", margin=0.01, log=True),
    ]
    assert margin(claim(margin=0.05), claim(id="wide", margin=0.3), *others) == 0.05
    assert margin(*others) == 0.02


def test_the_share_of_trials_is_by_time_and_counts_each_trial_once(tmp_path, monkeypatch):
    runs = runs_of({"a": [2.0], "b": [2.0]})
    trials = sweep("a", [3, 2.0, 3])
    tables = write_study(tmp_path, monkeypatch, ablation(claim()), runs, [*trials, *trials])
    assert tuning_share(tables) == "–"  # nothing has taken time
    seconds = tables.runs["tuning"].map({True: 10.0, False: 60.0})
    timed = dataclasses.replace(tables, runs=tables.runs.assign(wall_seconds=seconds))
    assert tuning_share(timed) == "3 trials, 20 % of the time of all runs"
