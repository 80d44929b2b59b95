"""Further seeds: which planned number would decide an undecided claim, and what it costs.

Half widths are t · s / √n, with t of n - 1 degrees of freedom at the level of the look. For a first
look at five seeds: 2.841 · s / √8 at look 2 (97.5 %), 2.981 · s / √12 at look 3 (98.75 %), and
3.074 · s / √20 at look 4 (99.375 %), so 1.0045 s, 0.8605 s and 0.6873 s.
"""

import math

import pytest
from by_hand import Run, ablation, blocks, claim, judged, runs_of, write_study

from experiments.records.collect import read_table
from report.study.further_seeds import (
    Candidate,
    cheapest_first,
    enough_seeds,
    mean_seconds,
    undecided_claims,
)
from report.study.tables import Tables
from report.verdicts.stats import look_level

HALF_WIDTHS = {8: 1.0045, 12: 0.8605, 20: 0.6873}  # of a standard deviation of 1
COUNTED = claim(metric="trains", margin=0.25)


def values(mean: float, deviation: float, n: int = 5) -> list[float]:
    """Values with this mean and standard deviation: one on each side, and the rest at the mean."""
    apart = deviation * math.sqrt((n - 1) / 2)
    return [mean - apart, mean + apart, *[mean] * (n - 2)]


@pytest.mark.parametrize(
    ("mean", "seeds"),
    [
        (0.1 + 1.01, 8),
        (0.1 + 0.99, 12),  # between the half widths of 8 and of 12 seeds
        (0.1 + 0.84, 20),
        (0.1 + 0.67, None),
        (-0.1 - 1.01, 8),  # reversed
        (0.0, None),
    ],
)
def test_the_smallest_planned_number_whose_interval_would_lie_beyond_the_margin(
    mean: float, seeds: int | None
):
    assert enough_seeds(claim(), values(mean, 1.0), 5, 1) == seeds


def test_a_negligible_effect_can_be_decided_too():
    assert enough_seeds(claim(), values(0.0, 0.099), 5, 1) == 8  # a half width of 0.0994
    assert enough_seeds(claim(), values(0.0, 0.101), 5, 1) == 12


@pytest.mark.parametrize("n", HALF_WIDTHS)
def test_the_half_widths_above_are_those_that_decide(n: int):
    half = HALF_WIDTHS[n]
    beyond, short = (values(0.1 + half + step, 1.0) for step in (0.0001, -0.0001))
    assert enough_seeds(claim(), beyond, 5, 1) == n
    assert enough_seeds(claim(), short, 5, 1) != n


def test_only_numbers_above_the_present_one_are_asked_for():
    effect = values(0.1 + 1.2, 1.0)
    assert [enough_seeds(claim(), effect, n, 1) for n in (3, 8, 12, 20)] == [8, 12, 20, None]


def test_a_study_with_more_looks_needs_more_seeds():
    assert [enough_seeds(claim(), values(0.1 + 1.01, 1.0), 5, looks) for looks in (1, 2)] == [8, 12]


def test_one_seed_says_nothing_about_further_seeds():
    assert enough_seeds(claim(), [5.0], 1, 1) is None


def test_equal_values_beyond_the_margin_are_decided_by_the_first_planned_number():
    assert enough_seeds(claim(), [0.2, 0.2, 0.2], 3, 1) == 8


@pytest.mark.parametrize(
    ("as_claimed", "n", "seeds"),
    [
        # Of 8 seeds 6.4, so 6: P(6 or more of 8 at 1/4) = 0.0042, doubled 0.0085 < 0.025.
        (4, 5, 8),
        # Of 8 seeds 4.8, so 5: 0.0273, doubled 0.055. Of 12 7: 0.0143, doubled 0.029 > 0.0125.
        # Of 20 12: 0.00094, doubled 0.0019 < 0.00625.
        (3, 5, 20),
        # Of 20 seeds 4, and below 1/4 with P(4 or fewer) = 0.41.
        (1, 5, None),
        # Of 12 none: 0.0317, doubled 0.063. Of 20 none: 0.0032, doubled 0.0063 > 0.00625.
        (0, 5, None),
    ],
)
def test_counted_claims_are_projected_by_their_share(as_claimed: int, n: int, seeds: int | None):
    effects = [1.0] * as_claimed + [0.0] * (n - as_claimed)
    assert enough_seeds(COUNTED, effects, n, 1) == seeds


def test_the_level_is_that_of_the_look_the_number_of_seeds_belongs_to():
    assert [look_level(look) for look in (2, 3, 4)] == [0.025, 0.0125, 0.00625]


LOSSES = {"a": [2.0] * 5, "b": [2.0 + x for x in values(0.6, 0.45)], "c": [2.3] * 5}
CLAIMS = [
    claim(),  # 0.6 ± 0.559 at the first look; 0.45 · 1.004 = 0.452 at the second
    claim(id="c-is-worse", effect={"c": 1, "a": -1}),  # supported
    claim(id="b-is-faster", metric="tokens_per_second", log=True, requires=[]),
    claim(id="never", effect={"b": 1, "a": -1}, margin=0.59),
]


@pytest.fixture
def tables(tmp_path, monkeypatch) -> Tables:
    seconds = {"a": 10.0, "b": 20.0, "c": 40.0}
    runs = [
        Run(
            run.variant,
            run.seed,
            run.loss,
            values={"wall_seconds": seconds[run.variant] + run.seed},
        )
        for run in runs_of(LOSSES)
    ]
    planted = ablation(*CLAIMS, variants=("a", "b", "c"))
    steps = {"step planted/a": [1.0] * 5, "step planted/b": [1.0, 2.0, 1.0, 2.0, 1.0]}
    return write_study(tmp_path, monkeypatch, planted, runs, costs=blocks(steps, tokens=100))


def test_undecided_claims_about_runs_are_those_to_decide(tables: Tables, tmp_path):
    verdicts = {row["claim"]: row["verdict"] for row in judged(tmp_path)}
    assert verdicts["b-is-worse"] == verdicts["never"] == verdicts["b-is-faster"] == "undecided"
    found = undecided_claims(tables, read_table(tmp_path, "claims"))
    assert found == [
        Candidate("planted", "b-is-worse", 1, 5, 8),
        Candidate("planted", "never", 1, 5, None),
    ]


def test_an_interim_claim_waits_for_its_seeds(tables: Tables, tmp_path):
    judged(tmp_path)
    assert undecided_claims(tables, read_table(tmp_path, "claims").assign(interim=True)) == []


def test_the_cost_of_a_run_is_the_mean_of_the_finished_runs_of_its_variant(tables: Tables):
    assert mean_seconds(tables) == {
        ("planted", "a", 1): 12.0,
        ("planted", "b", 1): 22.0,
        ("planted", "c", 1): 42.0,
    }


def candidate(name: str, **runs: float) -> Candidate:
    return Candidate("planted", name, 1, 5, 8, runs)


DEAR = candidate("dear", base=30.0, x=50.0)
CHEAP = candidate("cheap", base=30.0, y=10.0)
MIDDLE = candidate("middle", z=60.0)


@pytest.mark.parametrize(
    ("seconds", "taken"),
    [
        (19.9, []),
        (20.0, [("cheap", 20.0)]),
        # The base is trained for the first already, so the dear one costs 25 and not 40.
        (45.0, [("cheap", 20.0), ("dear", 25.0)]),
        (74.9, [("cheap", 20.0), ("dear", 25.0)]),
        (75.0, [("cheap", 20.0), ("dear", 25.0), ("middle", 30.0)]),
    ],
)
def test_the_cheapest_come_first_and_a_shared_run_is_counted_once(
    seconds: float, taken: list[tuple[str, float]]
):
    result = cheapest_first([DEAR, MIDDLE, CHEAP], seconds, slots=2)
    assert [(each.claim, cost) for each, cost in result] == taken
