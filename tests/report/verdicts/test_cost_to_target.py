"""Training that it takes to reach a loss, against cases worked out by hand."""

import math

import numpy as np
import pandas as pd
import pytest

from report.verdicts.cost_to_target import first_reach, spent_to_loss


@pytest.mark.parametrize(("target", "spent"), [(2.5, 15), (4.0, 0), (2.0, 20), (1.9, math.nan)])
def test_amount_spent_is_interpolated_between_the_points_of_a_curve(target: float, spent: float):
    amounts, losses = np.array([0.0, 10, 20, 30]), np.array([4.0, 3, 2, 2.5])
    assert first_reach(amounts, losses, target) == pytest.approx(spent, nan_ok=True)


def test_target_is_the_highest_of_the_lowest_losses_of_the_compared_variants():
    losses = {"quick": [4, 2, 1], "slow": [4, 3, 2.5], "not compared": [9, 9]}
    curves = pd.DataFrame(
        {"variant": variant, "seed": 0, "step": step, "tokens": 100 * step, "loss": loss}
        for variant, losses_of_variant in losses.items()
        for step, loss in enumerate(losses_of_variant)
    )
    spent = spent_to_loss(curves, ["quick", "slow"], "tokens")
    assert spent.loc[0].to_dict() == {"quick": 75, "slow": 200}


def test_no_curves_give_no_amounts():
    curves = pd.DataFrame(columns=["variant", "seed", "step", "tokens", "loss"])
    assert spent_to_loss(curves, ["quick", "slow"], "tokens").empty
