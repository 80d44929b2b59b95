"""Gates, on tables whose numbers are computed by hand."""

import math
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest
from by_hand import UNIGRAM, VOCABULARY, Run, ablation, bigrams, runs_of, write_study

from experiments.ablation import Beats, SeesTokens, Solves, Trains, UsesContext
from experiments.gates import Gate
from report.study.gates import GateResult, judge_gate

UNIFORM = math.log(VOCABULARY)
# Mean 0.3 and standard deviation 0.01: with t = 4.303, the interval begins at 0.3 - 0.0248.
GAINS = [0.29, 0.30, 0.31]
BELOW, ABOVE = 0.275, 0.2753  # thresholds on both sides of that bound; the mean is beyond both
# Losses that differ between seeds by far more than the gains, and are a yardstick's.
UNEQUAL = [2.5, 2.0, 3.0]


@pytest.fixture
def judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A function that writes runs at budget 1 and judges a gate on seeds."""

    def judge(
        gate: Gate, runs: Sequence[Run], seeds: Sequence[int] = (0, 1, 2), characters: int = 100
    ) -> GateResult:
        planted = ablation(variants=("a", "b", "c"))
        tables = write_study(tmp_path, monkeypatch, planted, runs, characters=characters)
        return judge_gate(tables.at(1), "planted", gate, pd.Index(seeds))

    return judge


def minus(losses: Sequence[float] | float, gains: Sequence[float]) -> list[float]:
    """Losses below a yardstick's by gains."""
    of_seed = losses if isinstance(losses, Sequence) else [losses] * len(gains)
    return [loss - gain for loss, gain in zip(of_seed, gains, strict=True)]


YARDSTICKS = {
    "uniform": runs_of({"a": minus(UNIFORM, GAINS)}),
    "unigram": runs_of({"a": minus(UNIGRAM, GAINS)}),
    "bigram": [*runs_of({"a": minus(UNEQUAL, GAINS)}), *bigrams(UNEQUAL)],
    "b": runs_of({"a": minus(UNEQUAL, GAINS), "b": UNEQUAL}),
}


@pytest.mark.parametrize("yardstick", YARDSTICKS)
def test_an_arm_beats_a_yardstick_by_its_interval_and_not_by_its_mean(judged, yardstick: str):
    runs = YARDSTICKS[yardstick]
    assert judged(Beats("a", yardstick, BELOW), runs).holds is True
    failed = judged(Beats("a", yardstick, ABOVE), runs)
    assert failed.holds is False
    assert "0.300\u00a0±\u00a00.025, and 0.2753 is required" in failed.why


def test_an_arm_that_is_worse_than_its_yardstick_does_not_beat_it(judged):
    runs = runs_of({"a": UNEQUAL, "b": minus(UNEQUAL, GAINS)})
    assert judged(Beats("a", "b", 0), runs).holds is False


def test_yardsticks_are_in_nats_per_character(judged):
    """Two characters to a token: gains in nats per token are halved."""
    double = [2 * gain for gain in GAINS]
    for yardstick, runs in {
        "uniform": runs_of({"a": minus(UNIFORM, double)}),
        "unigram": runs_of({"a": minus(UNIGRAM, double)}),
        "bigram": [*runs_of({"a": minus(UNEQUAL, double)}), *bigrams(UNEQUAL)],
    }.items():
        assert judged(Beats("a", yardstick, BELOW), runs, characters=200).holds is True
        assert judged(Beats("a", yardstick, ABOVE), runs, characters=200).holds is False


@pytest.mark.parametrize(("by", "holds"), [(0.29, True), (0.31, False)])
def test_a_single_seed_is_judged_by_its_value(judged, by: float, holds: bool):
    result = judged(Beats("a", "uniform", by), runs_of({"a": [UNIFORM - 0.3]}), seeds=[0])
    assert result.holds is holds
    assert "±" not in result.why


def test_only_the_seeds_of_the_claim_count(judged):
    """The fourth seed of the arm is worse than a guess."""
    runs = runs_of({"a": [*minus(UNIFORM, GAINS), UNIFORM + 1]})
    assert judged(Beats("a", "uniform", BELOW), runs).holds is True
    assert judged(Beats("a", "uniform", BELOW), runs, seeds=[0, 1, 2, 3]).holds is False
    bad_arm = runs_of({"a": [*minus(UNEQUAL, GAINS), 9]})
    lucky = [*bad_arm, *bigrams([*UNEQUAL, 99])]  # the bigram's fourth seed makes up for it
    assert judged(Beats("a", "bigram", BELOW), lucky).holds is True
    accurate = [Run("a", seed, 1.0, values={"val_accuracy": 1.0}) for seed in range(3)]
    accurate.append(Run("a", 3, 1.0, values={"val_accuracy": 0.1}))
    assert judged(Solves(("a",)), accurate).holds is True
    assert judged(Solves(("a",)), accurate, seeds=[0, 1, 2, 3]).holds is False
    assert judged(Trains("a"), runs_of({"a": [2.0, 2.0, 2.0, 9.0]})).holds is True


def test_runs_of_another_budget_do_not_count(judged):
    deeper = [*runs_of({"a": minus(UNIFORM, GAINS)}, budget=4)]
    bad = runs_of({"a": [UNIFORM] * 3})
    assert judged(Beats("a", "uniform", 0), [*bad, *deeper]).holds is False
    arms = runs_of({"a": minus(UNEQUAL, GAINS)})
    bigram = [*bigrams(minus(UNEQUAL, [1, 1, 1])), *bigrams(UNEQUAL, budget=4)]
    assert judged(Beats("a", "bigram", 0), [*arms, *bigram]).holds is False


# Sixteen positions: the first eighth is positions 0 and 1, the last quarter is 12 to 15. All other
# losses would change the result if they were read.
ARM = [3.0, 2.8, 100.0, 90.0, *[50.0, 60.0, 70.0, 80.0, 9.0, 8.0, 7.0, 6.0], 2.0, 2.2, 2.4, 2.6]
BIGRAM = [2.5, 2.7, 80.0, 70.0, *[40.0, 30.0, 20.0, 10.0, 4.0, 5.0, 6.0, 7.0], 2.3, 2.4, 2.5, 2.6]
DROP = (2.9 - 2.3) - (2.6 - 2.45)  # of the arm, less that of the bigram: 0.45


def probed(variant: str, losses: Sequence[float], seeds: int = 3, **stated: str) -> list[Run]:
    """Runs with the losses at each position, shifted by another constant in each seed."""
    return [
        Run(variant, seed, 2.0, positions=[loss + seed for loss in losses], **stated)
        for seed in range(seeds)
    ]


def test_use_of_context_is_the_drop_of_the_loss_less_the_bigrams_drop(judged):
    runs = [*probed("a", ARM), *probed("bigram", BIGRAM, ablation="yardsticks")]
    assert pytest.approx(0.45) == DROP
    assert judged(UsesContext("a", 0.4499), runs).holds is True
    failed = judged(UsesContext("a", 0.4501), runs)
    assert failed.holds is False
    assert "0.450, and 0.4501 is required" in failed.why
    assert judged(UsesContext("a", 0.224), runs, characters=200).holds is True
    assert judged(UsesContext("a", 0.226), runs, characters=200).holds is False


def test_use_of_context_after_a_skipped_share_begins_behind_it(judged):
    """A quarter of sixteen positions is skipped: positions 4 and 5 are early."""
    skipping = [*ARM[2:4], *ARM[4:6], *ARM[:2], *ARM[6:]], [*BIGRAM[2:6], *BIGRAM[:2], *BIGRAM[6:]]
    runs = [*probed("a", skipping[0]), *probed("bigram", skipping[1], ablation="yardsticks")]
    assert judged(UsesContext("a", 0.4499, skip=0.25), runs).holds is True
    failed = judged(UsesContext("a", 0.4501, skip=0.25), runs)
    assert failed.holds is False
    assert "after the first 25 % of the window the loss of a falls further" in failed.why


def test_a_drop_that_the_text_alone_explains_is_no_use_of_context(judged):
    """The arm falls by 0.6 within the window, and so does the bigram."""
    runs = [*probed("a", ARM), *probed("bigram", ARM, ablation="yardsticks")]
    assert judged(UsesContext("a", 0.02), runs).holds is False


def test_use_of_context_is_judged_by_the_interval_over_seeds(judged):
    late = ARM[12:]
    runs = [*probed("bigram", BIGRAM, ablation="yardsticks")]
    for seed, shift in enumerate((-0.6, 0.0, 0.6)):
        positions = [*ARM[:12], *(loss + shift for loss in late)]
        runs.append(Run("a", seed, 2.0, positions=positions))
    assert judged(UsesContext("a", 0.02), runs).holds is False  # the mean is 0.45
    assert judged(UsesContext("a", 0.02), runs, seeds=[1]).holds is True


def test_a_diverged_run_uses_no_context(judged):
    """It has no losses by position, and its seed is not left out."""
    runs = [*probed("a", ARM, 2), Run("a", 2, status="diverged")]
    runs += probed("bigram", BIGRAM, ablation="yardsticks")
    assert judged(UsesContext("a", 0.02), runs).holds is False


def solving(arm: str, *accuracies: float | None, status: str = "done") -> list[Run]:
    return [
        Run(arm, seed, 1.0, status=status, task="sort", values={"val_accuracy": accuracy})
        for seed, accuracy in enumerate(accuracies)
    ]


def test_a_task_is_solved_where_one_arm_solves_it_in_every_seed(judged):
    gate = Solves(("a", "b"))
    solved, unsolved = solving("a", 0.95, 1.0, 0.97), solving("b", 0.1, 0.2, 0.3)
    assert judged(gate, [*solved, *unsolved]).holds is True
    assert judged(gate, [*solving("b", 0.95, 1.0, 0.97), *solving("a", 0.1, 0.2, 0.3)]).holds
    failed = judged(gate, [*solving("a", 0.95, 0.9499, 1.0), *unsolved])
    assert failed.holds is False
    assert "by a in 2 of 3 seeds and by b in 0 of 3 seeds" in failed.why


def test_arms_may_solve_a_task_in_different_seeds(judged):
    gate = Solves(("a", "b"))
    assert judged(gate, [*solving("a", 1.0, 1.0, 0.1), *solving("b", 0.1, 0.1, 1.0)]).holds is True
    neither = judged(gate, [*solving("a", 1.0, 0.1, 0.1), *solving("b", 0.1, 0.1, 1.0)])
    assert neither.holds is False
    assert (
        "by a in 1 of 3 seeds and by b in 1 of 3 seeds, and one of a and b is required"
        in neither.why
    )


def test_a_task_may_still_be_solved_where_a_run_is_missing(judged):
    gate = Solves(("a", "b"))
    assert judged(gate, solving("c", 1.0, 1.0, 1.0)).holds is None  # no run of either arm
    assert judged(gate, [*solving("a", 1.0, 1.0), *solving("b", 0.1, 0.1, 0.1)]).holds is None
    assert judged(gate, [*solving("a", 1.0, 1.0, 0.1), *solving("b", 0.1, 0.1)]).holds is None


@pytest.mark.parametrize(("tokens", "holds"), [(1500, True), (1499, False)])
def test_an_arm_sees_tokens_by_the_number_of_its_parameters(judged, tokens: int, holds: bool):
    counts = [{"parameters": 100, "tokens": n} for n in (4000, tokens, 4000)]
    runs = [Run("a", seed, 1.0, values=count) for seed, count in enumerate(counts)]
    result = judged(SeesTokens("a", 15), runs)
    assert result.holds is holds
    assert "tokens a parameter, and 15 are required" in result.why


def test_tokens_of_runs_that_are_missing_are_not_known(judged):
    one = Run("a", 0, 1.0, values={"parameters": 1, "tokens": 99})
    assert judged(SeesTokens("a"), [one, Run("a", 1, None, status="missing")]).holds is None


def test_a_diverged_run_solves_nothing(judged):
    runs = [*solving("a", 1.0, 1.0), Run("a", 2, status="diverged", task="sort")]
    assert judged(Solves(("a",)), runs).holds is False


@pytest.mark.parametrize(
    ("losses", "holds"), [([3.0, 3.05, 2.0], True), ([1.0, 1.0, 3.15], False), ([3.4] * 3, False)]
)
def test_an_arm_trains_where_every_seed_is_below_a_guess_by_frequency(judged, losses, holds):
    """The guess has a loss of 3.3, and 0.2 is required. The mean of the second case is 1.7."""
    assert judged(Trains("a"), runs_of({"a": losses})).holds is holds


@pytest.mark.parametrize(("task", "classes", "guess"), [("sort", None, 24), ("genre", 3, 3)])
def test_a_guess_at_a_task_without_text_is_over_its_answers(judged, task, classes, guess):
    def runs(gain: float) -> list[Run]:
        of_task = {"task": task, "values": {"model.n_classes": classes}}
        return [Run("a", seed, math.log(guess) - gain, **of_task) for seed in range(3)]

    assert judged(Trains("a"), runs(0.21)).holds is True
    assert judged(Trains("a"), runs(0.19)).holds is False


@pytest.mark.parametrize("status", ["diverged", "failed"])
def test_an_arm_with_a_diverged_or_failed_run_does_not_train(judged, status: str):
    runs = [*runs_of({"a": [1.0, 1.0]}), Run("a", 2, status=status)]
    result = judged(Trains("a"), runs)
    assert result.holds is False
    assert "in 2 of 3 seeds" in result.why
    every_seed = [Run("a", seed, status=status) for seed in range(3)]
    assert judged(Trains("a"), every_seed).holds is False


WITHOUT_A_RUN = [
    (Beats("a", "uniform", 0), runs_of({"b": [1.0] * 3})),
    (Beats("a", "bigram", 0), runs_of({"a": [1.0] * 3})),
    (Beats("a", "b", 0), runs_of({"a": [1.0] * 3})),
    (UsesContext("a"), probed("a", ARM)),
    (UsesContext("a"), probed("bigram", BIGRAM, ablation="yardsticks")),
    (Solves(("a",)), solving("b", 1.0, 1.0, 1.0)),
    (Trains("a"), runs_of({"b": [1.0] * 3})),
]


@pytest.mark.parametrize(("gate", "runs"), WITHOUT_A_RUN)
def test_a_gate_without_any_run_neither_holds_nor_fails(judged, gate: Gate, runs: list[Run]):
    assert judged(gate, runs).holds is None


LACKING_A_SEED = [
    (Beats("a", "uniform", 0), runs_of({"a": [1.0] * 2})),
    (Beats("a", "bigram", 0), [*runs_of({"a": [1.0] * 3}), *bigrams([3.0] * 2)]),
    (Beats("a", "b", 0), runs_of({"a": [1.0] * 3, "b": [3.0] * 2})),
    (UsesContext("a"), [*probed("a", ARM), *probed("bigram", BIGRAM, 2, ablation="yardsticks")]),
    (Solves(("a",)), solving("a", 1.0, 1.0)),
    (Solves(("a", "b")), [*solving("a", 1.0, 1.0), *solving("b", 0.1, 0.1, 0.1)]),
    (Trains("a"), runs_of({"a": [1.0] * 2})),
]


@pytest.mark.parametrize(("gate", "runs"), LACKING_A_SEED)
def test_a_gate_that_holds_as_far_as_runs_are_finished_is_not_judged_yet(
    judged, gate: Gate, runs: list[Run]
):
    """The claim has three seeds, and a run of the third is missing."""
    assert judged(gate, runs).holds is None


def test_a_seed_that_is_missing_does_not_save_a_gate_that_has_failed_already(judged):
    assert judged(Solves(("a",)), solving("a", 0.1, 1.0)).holds is False
    assert judged(Trains("a"), runs_of({"a": [1.0, 3.2]})).holds is False


def test_a_failed_run_does_not_solve_its_task(judged):
    runs = [*solving("a", 1.0, 1.0), Run("a", 2, status="failed")]
    assert judged(Solves(("a",)), runs).holds is False
