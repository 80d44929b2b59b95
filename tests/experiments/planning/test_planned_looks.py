"""Looks: planned numbers of seeds, and the runs that they add for a claim and for no other."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from sweeps import CORPUS

from experiments.ablation import Ablation, Beats, Claim, Trains, Variant
from experiments.claim import LOOKS, check_looks, look_number
from experiments.errors import UserError
from experiments.gates import Gate
from experiments.planning.plan import YARDSTICKS, plan
from experiments.profiles import PROFILES


def claim(name: str, arms: Sequence[str], gate: Gate) -> Claim:
    return Claim(
        id=name,
        sentence="It is so.",
        said_by="somebody",
        effect=dict.fromkeys(arms, 1.0),
        margin=0.1,
        why_margin="a test",
        requires=[gate],
    )


# "narrow" weighs a and needs d; "wide" weighs a and b, and needs the bigram.
CLAIMS = [claim("narrow", ["a"], Trains("d")), claim("wide", ["a", "b"], Beats("b", "bigram"))]
VARIANTS = [Variant(name, {"recipe.weight_decay": i / 10}) for i, name in enumerate("abcd", 1)]
ABLATION = Ablation(
    title="", question="", baseline="a", variants=VARIANTS, claims=CLAIMS, core=True
)


def counts(added: dict[str, dict[str, int]], **changes: Any) -> Counter[tuple[str, int]]:
    """Number of compared runs by variant and budget."""
    options: dict[str, Any] = {"seeds": 5, "fewer_seeds": 3, "budgets": (1, 4), "score": None}
    options |= changes
    runs = plan(PROFILES["cpu"], {"one": ABLATION}, CORPUS, added=added, **options).comparison_runs
    for run in runs:
        assert run.ablation == (YARDSTICKS if run.variant == "bigram" else "one")
    seeds = Counter[tuple[str, int]]()
    for run in sorted(runs, key=lambda run: run.spec.seed):
        assert run.spec.seed == 200 + seeds[run.variant, run.budget]  # none is left out
        seeds[run.variant, run.budget] += 1
    return seeds


def at(budget: int, **numbers: int) -> dict[tuple[str, int], int]:
    return {(variant, budget): n for variant, n in numbers.items()}


USUAL = at(1, a=5, b=5, c=5, d=5, bigram=5) | at(4, a=5, b=5, c=5, d=5, bigram=5)


def test_the_planned_looks_increase():
    check_looks(LOOKS)
    assert LOOKS == (8, 12, 20)


@pytest.mark.parametrize("looks", [(8, 8), (12, 8), (1, 2), (0,), (8, -1), (8, 12.0), ("8",)])
def test_looks_that_do_not_increase_are_refused_before_anything_is_planned(
    looks: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("experiments.planning.plan.LOOKS", looks)
    with pytest.raises(UserError, match=r"^LOOKS=\(.*\) of .*claim.py cannot work: .*$"):
        counts({})


@pytest.mark.parametrize(
    ("n", "looks", "number"), [(0, 1, 1), (8, 1, 2), (12, 1, 3), (20, 1, 4), (0, 2, 2), (12, 2, 4)]
)
def test_a_look_counts_those_that_were_skipped(n: int, looks: int, number: int):
    assert look_number(n, looks) == number


def test_a_study_without_added_seeds_is_planned_as_before():
    assert counts({}) == USUAL


def test_a_claim_adds_its_arms_and_the_arms_of_its_gates_at_its_budget_and_nothing_else():
    assert counts({"narrow": {"1": 8}}) == USUAL | at(1, a=8, d=8)


def test_a_claim_whose_gate_is_about_the_bigram_adds_the_bigram():
    assert counts({"wide": {"4": 12}}) == USUAL | at(4, a=12, b=12, bigram=12)


def test_an_arm_of_two_claims_has_the_seeds_of_the_claim_with_most():
    added = {"narrow": {"1": 20}, "wide": {"1": 8}}
    assert counts(added) == USUAL | at(1, a=20, d=20, b=8, bigram=8)


def test_no_more_seeds_than_usual_and_unknown_claims_add_nothing():
    assert counts({"wide": {"1": 8}, "gone": {"1": 8}}, seeds=9) == dict.fromkeys(USUAL, 9)


def test_at_a_budget_where_the_ablation_is_not_trained_a_claim_adds_its_arms_alone():
    assert counts({"wide": {"16": 3}}) == USUAL | at(16, a=3, b=3, bigram=3)
    assert counts({"narrow": {"16": 3}}) == USUAL | at(16, a=3, d=3)


def test_added_seeds_change_no_other_run():
    options: dict[str, Any] = {"seeds": 5, "fewer_seeds": 3, "budgets": (1,), "score": None}
    before, after = (
        {
            run.spec.run_id
            for run in plan(PROFILES["cpu"], {"one": ABLATION}, CORPUS, added=added, **options).runs
        }
        for added in ({}, {"wide": {"1": 8}})
    )
    assert before < after
    assert len(after - before) == 3 * 3  # seeds 205 to 207 of a, b and the bigram
