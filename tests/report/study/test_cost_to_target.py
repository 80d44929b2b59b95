"""Training that it takes to reach a loss, against cases worked out by hand."""

import math

import numpy as np
import pandas as pd
import pytest

from report.study.cost_to_target import first_reach, seconds_to_loss, spent_to_loss


@pytest.mark.parametrize(("target", "spent"), [(2.5, 15), (4.0, 0), (2.0, 20), (1.9, math.nan)])
def test_amount_spent_is_interpolated_between_the_points_of_a_curve(target: float, spent: float):
    amounts, losses = np.array([0.0, 10, 20, 30]), np.array([4.0, 3, 2, 2.5])
    assert first_reach(amounts, losses, target) == pytest.approx(spent, nan_ok=True)


CURVES = pd.DataFrame(
    {"variant": variant, "seed": seed, "step": step, "tokens": 100 * step, "loss": loss}
    for variant, by_seed in {
        "quick": [[4, 2, 1], [4, 2, 1], [4, 2, 1]],
        "slow": [[4, 3, 2.5], [4, 3, 2], [4, 3, 2.5]],
        "not compared": [[9, 9, 9]] * 3,
    }.items()
    for seed, losses in enumerate(by_seed)
    for step, loss in enumerate(losses)
)


def test_each_seed_has_its_own_target_and_is_nan_where_a_run_never_reaches_it():
    """Seed 2 has no target: its bigram is not counted yet."""
    spent = spent_to_loss(CURVES, ["quick", "slow"], "tokens", pd.Series({0: 3.0, 1: 2.25}))
    assert spent.loc[0].to_dict() == {"quick": 50, "slow": 100}
    assert spent.loc[1].to_dict() == {"quick": 87.5, "slow": 175}
    assert list(spent.index) == [0, 1]
    low = spent_to_loss(CURVES, ["quick", "slow"], "tokens", pd.Series({0: 2.0, 1: 2.0}))
    assert low["slow"].tolist() == [pytest.approx(math.nan, nan_ok=True), 200]


def test_no_curves_give_no_amounts():
    targets = pd.Series({0: 3.0})
    assert spent_to_loss(CURVES.iloc[:0], ["quick", "slow"], "tokens", targets).empty


def test_seconds_pair_each_seed_with_a_block_in_their_order():
    """Seed 1 never reaches the loss, so the third seed has the second block."""
    tokens = pd.DataFrame({"a": [100.0, 200, 300, 400], "b": [50.0, np.nan, 90, 80]})
    speeds = pd.DataFrame({"b": [5.0, 9, np.nan, 8], "a": [10.0, 30, 1, 40]}, index=[0, 2, 3, 4])
    seconds = seconds_to_loss(tokens, speeds)
    assert list(seconds.index) == [0, 2, 3]
    assert seconds["a"].tolist() == [10, 10, 10]
    assert seconds["b"].tolist() == [10, 10, 10]


@pytest.mark.parametrize(("seeds", "blocks"), [(3, 5), (5, 3)])
def test_there_are_as_many_pairs_as_there_are_both_seeds_and_blocks(seeds: int, blocks: int):
    tokens, speeds = pd.DataFrame({"a": [9.0] * seeds}), pd.DataFrame({"a": [3.0] * blocks})
    assert seconds_to_loss(tokens, speeds)["a"].tolist() == [3.0] * 3
    assert seconds_to_loss(tokens, speeds.iloc[:0]).empty
