"""Sweeps of the learning rate, with planted losses."""

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.planning.tuning import TUNING_SEEDS, Sweep, sweep

FIRST, SECOND, THIRD = TUNING_SEEDS
FAILED = math.inf
Loss = Callable[[int, int], float]


def run(loss: Loss, centre: int = 0, **options: object) -> tuple[Sweep, list[set[tuple[int, int]]]]:
    """Train what a sweep asks for until it has chosen. Returns it and the trials by round."""
    known: dict[tuple[int, int], float] = {}
    rounds: list[set[tuple[int, int]]] = []

    def score(exponent: int, seed: int) -> float | None:
        return known.get((exponent, seed))

    while True:
        result = sweep(score, centre, **options)
        new = set(result.trials) - set(known)
        if result.chosen is not None:
            assert not new
            return result, rounds
        assert new, "a sweep that has not chosen asks for a trial"
        rounds.append(new)
        known |= {trial: loss(*trial) for trial in new}


def bowl(best: float) -> Loss:
    """Losses that rise with the distance from the best exponent."""
    return lambda exponent, seed: 2 + 0.1 * abs(exponent - best)


def test_a_sweep_tries_half_the_same_and_twice_the_rate_and_the_best_two_with_three_seeds():
    result, rounds = run(bowl(0.2))
    assert rounds == [
        {(-1, FIRST), (0, FIRST), (1, FIRST)},
        {(0, SECOND), (0, THIRD), (1, SECOND), (1, THIRD)},
    ]
    assert (result.chosen, result.reliable, result.full) == (0, True, True)


@pytest.mark.parametrize("best", [-3, -2, 2, 3])
def test_a_sweep_goes_on_while_the_best_rate_is_at_an_edge(best: int):
    result, _ = run(bowl(best))
    assert result.chosen == best
    assert {(best - 1, FIRST), (best + 1, FIRST)} <= set(result.trials)


def test_a_sweep_ends_sixteen_times_away_from_its_centre():
    assert run(bowl(9))[0].chosen == 4
    assert run(bowl(-9))[0].chosen == -4


def test_a_deeper_sweep_tries_no_rate_above_twice_the_shallower_best():
    result, _ = run(bowl(3), centre=-1, deeper=True)
    assert result.chosen == 0
    assert max(exponent for exponent, _ in result.trials) == 0
    assert run(bowl(-4), centre=-1, deeper=True)[0].chosen == -4


def test_the_mean_over_three_seeds_decides_and_not_the_first_seed():
    losses = {0: (2.0, 2.4, 2.4), -1: (2.1, 2.1, 2.1), 1: (3.0,)}
    result, _ = run(lambda k, seed: losses.get(k, (9,) * 3)[TUNING_SEEDS.index(seed)])
    assert result.chosen == -1


def test_of_two_equal_losses_the_lower_rate_is_chosen():
    result, _ = run(lambda k, seed: 2.0 if k in (0, 1) else 3.0)
    assert result.chosen == 0


def test_a_rate_with_one_failed_seed_is_refused():
    def loss(k: int, seed: int) -> float:
        return FAILED if (k, seed) == (0, THIRD) else bowl(0)(k, seed)

    result, _ = run(loss)
    assert 0 in result.refused
    assert result.chosen in (-1, 1)
    assert result.reliable


def test_a_rate_below_a_cliff_is_refused():
    """The published study chose post-LN at the edge of a cliff: 2.142 twice, then 2.479."""

    def loss(k: int, seed: int) -> float:
        return FAILED if k >= 1 else 2.142 + 0.1 * -k

    result, _ = run(loss)
    assert result.refused >= {0, 1}
    assert result.chosen == -1
    assert {(1, SECOND), (1, THIRD)} <= set(result.trials)  # two of three failures are counted


def test_a_rate_is_not_refused_for_one_failure_at_the_next_rate_up():
    result, _ = run(lambda k, seed: FAILED if (k, seed) == (1, FIRST) else bowl(0)(k, seed))
    assert result.chosen == 0
    assert 0 not in result.refused
    assert (1, THIRD) in result.trials


def test_where_every_rate_fails_the_sweep_looks_lower_and_then_keeps_the_rate_of_the_file():
    result, _ = run(lambda k, seed: FAILED)
    assert (result.chosen, result.reliable) == (0, False)
    assert {k for k, _ in result.trials} == {-4, -3, -2, -1, 0, 1}
    assert {seed for _, seed in result.trials} == {FIRST}


def test_a_check_ends_after_three_trials_where_no_other_rate_is_clearly_better():
    result, rounds = run(bowl(0.9), enough=0.1)
    assert (result.chosen, result.full, len(rounds), len(result.trials)) == (0, False, 1, 3)


def test_a_check_becomes_a_sweep_where_another_rate_is_better_by_more_than_the_margin():
    result, _ = run(bowl(1), enough=0.05)
    assert (result.chosen, result.full) == (1, True)


def test_a_check_whose_own_rate_fails_becomes_a_sweep():
    result, _ = run(lambda k, seed: FAILED if k >= 0 else bowl(-2)(k, seed), enough=9.0)
    assert result.full
    assert result.chosen == -2


@given(
    st.dictionaries(
        st.tuples(st.integers(-5, 5), st.sampled_from(TUNING_SEEDS)),
        st.one_of(st.floats(0.1, 9), st.just(FAILED)),
    ),
    st.booleans(),
    st.sampled_from([None, 0.0, 0.1]),
)
def test_every_sweep_ends_and_never_chooses_a_rate_that_failed_if_another_did_not(
    losses: dict[tuple[int, int], float], deeper: bool, enough: float | None
):
    def loss(k: int, seed: int) -> float:
        return losses.get((k, seed), 3.0)

    result, _ = run(loss, deeper=deeper, enough=enough)
    assert result.chosen is not None
    tried = {k for k, _ in result.trials}
    assert result.chosen in tried
    if result.full and result.reliable:
        assert all(math.isfinite(loss(result.chosen, seed)) for seed in TUNING_SEEDS)
        above = [loss(result.chosen + 1, seed) for seed in TUNING_SEEDS]
        if result.chosen + 1 in tried and math.isinf(above[0]):
            assert sum(map(math.isinf, above)) < 2
    if not result.reliable and result.full:
        assert tried <= result.refused
