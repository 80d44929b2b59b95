"""The figure of the learning-rate search, before, during and after the search."""

import dataclasses
import math
import re
from collections.abc import Sequence
from pathlib import Path

import planted
import pytest
from by_hand import Trial, ablation, claim, runs_of, write_study
from IPython.display import HTML
from planted import ODD_NAME, finish_trial, start, unfinished_trials
from reading import words

from experiments.ablation import Variant
from experiments.planning.plan import unique_runs
from experiments.planning.tuning import TUNING_SEEDS
from experiments.records.collect import collect
from experiments.records.study import Study
from report.figures.learning_rates import rate_search
from report.page.variant_tables import changes_table
from report.study.tables import Tables

CAPTION = (
    "Loss after training at each learning rate with one seed, and where a rate is tuned at the best"
    " two with two more seeds. No seed is used in a comparison. Rings mark the chosen rates."
)
AT_AN_END = " The best rate is at an end of the range, so that a better rate may lie outside, for: "


def collected(results: Path) -> Tables:
    collect(results)
    return Tables.load(results)


def train(study: Study, results: Path) -> int:
    """Finish all trials, with the lowest loss nearest to a rate of 0.4; a rate of 2 diverges.

    Returns the number of trials.
    """
    new = unfinished_trials(study, results)
    for trial in new:
        loss = 2 + 0.2 * abs(math.log2(trial.rate or 1) - math.log2(0.4))
        finish_trial(results, trial, None if trial.rate == 2 else loss)
    return len(new)


def test_runs_are_missing_until_trials_with_three_seeds_choose_a_rate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    variants = [*planted.ABLATION.variants, Variant("as-the-base", tuned_for="base")]
    core = dataclasses.replace(planted.ABLATION, variants=variants, core=True)
    monkeypatch.setattr(planted, "ABLATION", core)
    study = start(tmp_path, monkeypatch, seeds=2)

    tables = collected(tmp_path)
    assert set(tables.members["status"]) == {"missing"}
    assert rate_search(tables, "planted").data == ""
    assert "not chosen yet, that of base" in changes_table(tables, "planted").data

    assert len(study.plan(tmp_path).untuned) == 3 * 2  # variants and seeds
    assert train(study, tmp_path) == 2 * 3  # arms, and half, the same and twice their rates
    assert rate_search(collected(tmp_path), "planted").data
    assert train(study, tmp_path) == 2  # a quarter: half was the best, and at the edge
    assert train(study, tmp_path) == 2 * 2 * 2  # arms, the best two, and two more seeds
    assert len(study.plan(tmp_path).untuned) == 0

    tables = collected(tmp_path)
    assert set(tables.tuning["seed"]) == set(TUNING_SEEDS)
    shown = rate_search(tables, "planted")
    assert "base is best at 0.005" in shown.data
    assert CAPTION in words(shown)
    assert f"Diverged and not drawn: base at 1 rate, {planted.ODD_NAME[:3]}" in words(shown)
    assert "end of the range" not in words(shown)
    assert "recipe.learning_rate = 0.005, that of base" in changes_table(tables, "planted").data
    runs = study.plan(tmp_path).comparison_runs
    assert {run.spec.recipe.learning_rate for run in runs} == {0.005}
    assert len(unique_runs(runs)) == 2 * 2  # the third variant is the base at its own rate
    assert {run.variant for run in runs} == {"base", ODD_NAME, "as-the-base"}


def sweep(
    variant: str,
    losses: dict[float, float | None],
    chosen: float,
    budget: int = 1,
    method: str = "tuned",
) -> list[Trial]:
    """Trials of rates with the first seed."""
    return [
        Trial(variant, rate, loss, chosen=rate == chosen, budget=budget, method=method)
        for rate, loss in losses.items()
    ]


@pytest.fixture
def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A function that draws trials at budget 1, and returns the alternative text, the caption and
    the texts under the pointer.
    """

    def draw(trials: Sequence[Trial], budget: int = 1) -> tuple[str, str, list[str]]:
        runs = runs_of({"a": [2.0], "b": [2.0]})
        tables = write_study(tmp_path, monkeypatch, ablation(claim()), runs, trials)
        figure = rate_search(tables.at(budget), "planted")
        alt = str(figure.data).partition('aria-label="')[2].partition('"')[0]
        caption = str(figure.data).partition("<figcaption>")[2].partition("</figcaption>")[0]
        return alt, words(HTML(caption)), re.findall("<title>(.*?)</title>", str(figure.data))

    return draw


BOWL = {0.25: 3.0, 0.5: 2.5, 1: 2.0, 2: 2.5}


def test_a_search_that_found_rates_within_its_range_has_the_plain_caption(shown):
    alt, caption, _ = shown([*sweep("a", BOWL, 0.5), *sweep("b", BOWL, 1)])
    assert caption == CAPTION
    assert alt == "Learning-rate search: a is best at 0.005; b is best at 0.01."


def test_a_line_of_the_search_has_its_losses_under_the_pointer(shown):
    tips = shown([*sweep("a", BOWL, 0.5), *sweep("b", {1: 2.25, 2: None}, 1)])[2]
    assert tips == ["a: 3 at 0.0025; 2.5 at 0.005; 2 at 0.01; 2.5 at 0.02", "b: 2.25 at 0.01"]


def test_a_best_rate_at_an_end_of_its_own_range_is_named(shown):
    """The range of "b" is wider than that of "a", in which 1 is the highest rate."""
    trials = [*sweep("a", {0.5: 3.0, 1: 2.0}, 1), *sweep("b", BOWL, 1)]
    assert shown(trials)[1] == f"{CAPTION}{AT_AN_END}a."
    low = [*sweep("a", BOWL, 1), *sweep("b", {0.5: 2.0, 1: 2.4}, 0.5)]
    assert shown(low)[1] == f"{CAPTION}{AT_AN_END}b."


def test_a_rate_that_was_only_checked_is_not_said_to_be_at_an_end(shown):
    trials = sweep("a", {1: 2.0, 2: 3.0}, 1, method="checked")
    assert "end of the range" not in shown(trials)[1]


def test_a_best_rate_below_one_that_diverged_is_not_at_an_end(shown):
    """Twice the rate was tried. It is not drawn, but there is nothing to look for beyond it."""
    caption = shown(sweep("a", {0.5: 3.0, 1: 2.0, 2: None}, 1))[1]
    assert caption == f"{CAPTION} Diverged and not drawn: a at 1 rate."


def test_rates_that_diverged_are_counted_once_for_all_seeds(shown):
    trials = [*sweep("a", BOWL | {4: None, 8: None}, 1), Trial("a", 4, None, seed=1001)]
    trials += sweep("b", BOWL | {4: None}, 1)
    assert "Diverged and not drawn: a at 2 rates, b at 1 rate." in shown(trials)[1]


def test_the_search_of_the_budget_is_drawn(shown):
    trials = [*sweep("a", BOWL, 1), *sweep("a", BOWL, 0.5, budget=4)]
    assert shown(trials)[0] == "Learning-rate search: a is best at 0.01."
    assert shown(trials, budget=4)[0] == "Learning-rate search: a is best at 0.005."
