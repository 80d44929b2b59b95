"""Variants that cannot work are refused when a study is planned, all of them in one message."""

import pytest
from helping import planted
from sweeps import plan_of

from experiments.ablation import Variant
from experiments.errors import UserError


def test_all_variants_that_cannot_work_are_named_at_once():
    with pytest.raises(UserError) as refusal:
        plan_of(
            None,
            one=planted(Variant("typo", {"model.position": "non"}), arms=["typo"]),
            two=planted(Variant("odd", {"model.n_heads": 5}), Variant("fine"), arms=["fine"]),
            three=planted(Variant("peeks", {"model.family": "encoder"})),
        )
    message = str(refusal.value)
    assert "ablations/one.py: variant 'typo': position='non' cannot work" in message
    assert "ablations/two.py: variant 'odd': n_heads=5 cannot work" in message
    assert "ablations/three.py: variant 'peeks': family='encoder' cannot work: the task" in message
    assert "fine" not in message


@pytest.mark.parametrize("order", [1, -1], ids=["after the baseline", "before the baseline"])
def test_a_variant_is_not_blamed_for_a_baseline_that_cannot_work(order: int):
    variants = [Variant("odd", {"model.n_heads": 5}), Variant("fine")][::order]
    with pytest.raises(UserError) as refusal:
        plan_of(None, one=planted(*variants, arms=["odd"], baseline="odd"))
    assert "variant 'odd': n_heads=5 cannot work" in str(refusal.value)
    assert "fine" not in str(refusal.value)


def test_a_variant_that_cannot_work_at_a_deeper_budget_alone_is_refused_as_well():
    """The warm-up of budget 16 is longer than a number of steps that the file fixes."""
    for arms in ([], ["short"]):
        short = planted(Variant("short", {"recipe.steps": 100}), arms=arms, core=True)
        plan_of(None, one=short)
        with pytest.raises(UserError, match=r"one\.py: variant 'short': warmup_steps=400 cannot"):
            plan_of(None, one=short, budgets=(1, 16))
