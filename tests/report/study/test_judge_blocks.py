"""Claims about time: judged by blocks of measurements, and named with their machine."""

import math
from pathlib import Path
from typing import Any

import pytest
from by_hand import Run, ablation, bigrams, blocks, claim, judged, runs_of, write_study

from experiments.ablation import Beats, Claim
from experiments.records.collect import write_table

# Half of the interval of five values that differ from their mean by -2, -1, 0, 1 and 2: Student's t
# for four degrees of freedom, times their standard error, sqrt(2.5 / 5).
HALF = 2.776445 * math.sqrt(0.5)

SPEED = claim(metric="tokens_per_second", effect={"b": 1, "a": -1}, requires=[], margin=10)
SECONDS = claim(
    metric="measured_seconds", effect={"layernorm": 1, "rmsnorm": -1}, requires=[], margin=1
)


def row_of(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stated: Claim,
    costs: list[dict[str, Any]],
    runs: list[Run] | None = None,
) -> dict[str, Any]:
    """The only row of a claim."""
    runs = runs_of({"a": [2.0] * 3, "b": [2.5] * 3}) if runs is None else runs
    write_study(tmp_path, monkeypatch, ablation(stated), runs, costs=costs)
    (row,) = judged(tmp_path)
    return row


def steps(a: list[float], b: list[float]) -> list[dict[str, Any]]:
    """Training steps of 1000 tokens, in seconds by block."""
    return blocks({"step planted/a": a, "step planted/b": b}, tokens=1000)


def test_a_speed_is_tokens_divided_by_seconds_of_a_step_in_each_block(tmp_path, monkeypatch):
    """1000 tokens in 10 s are 100 a second; the other variant does 150 and 2 to each side."""
    speeds = [148.0, 149, 150, 151, 152]
    costs = steps([10.0] * 5, [1000 / speed for speed in speeds])
    row = row_of(tmp_path, monkeypatch, SPEED, costs)
    assert (row["verdict"], row["n"], row["planned"], row["budget"]) == ("supported", 5, 5, None)
    assert row["effect"] == pytest.approx(50)
    assert (row["low"], row["high"]) == pytest.approx((50 - HALF, 50 + HALF), rel=1e-6)
    assert (row["diverged"], row["trend"]) == (0, None)


def test_a_speed_never_comes_from_runs(tmp_path, monkeypatch):
    """The runs say that "b" is slower, and one of them diverged."""
    runs = [
        Run(name, seed, 2.0, values={"tokens_per_second": speed})
        for name, speed in (("a", 900.0), ("b", 100.0))
        for seed in range(3)
    ]
    runs[-1] = Run("b", 2, status="diverged", values={"tokens_per_second": 100.0})
    row = row_of(tmp_path, monkeypatch, SPEED, steps([10.0] * 5, [5.0] * 5), runs)
    assert (row["verdict"], row["effect"]) == ("supported", 100)
    row = row_of(tmp_path / "none", monkeypatch, SPEED, [], runs)
    assert (row["verdict"], row["why"]) == (
        "not run",
        "the training steps have not been measured",
    )


def test_measured_seconds_have_one_value_per_block_without_forward_passes(tmp_path, monkeypatch):
    costs = blocks({"layernorm": [9.0, 10, 11, 12, 13], "rmsnorm": [1.0] * 5}, direction="both")
    costs += blocks({"layernorm": [1.0] * 5, "rmsnorm": [90.0] * 5}, direction="forward")
    row = row_of(tmp_path, monkeypatch, SECONDS, costs)
    assert (row["verdict"], row["n"]) == ("supported", 5)
    assert row["effect"] == pytest.approx(10)
    assert (row["low"], row["high"]) == pytest.approx((10 - HALF, 10 + HALF), rel=1e-6)
    assert " over 5 blocks; measured on Planted & Sons, one thread" in row["why"]


@pytest.mark.parametrize("stated", [SPEED, SECONDS], ids=["speed", "seconds"])
def test_nothing_about_time_is_decided_below_five_blocks(tmp_path, monkeypatch, stated: Claim):
    costs = steps([10.0] * 4, [5.0] * 4)
    costs += blocks({"layernorm": [9.0] * 4, "rmsnorm": [1.0] * 4}, direction="both")
    row = row_of(tmp_path, monkeypatch, stated, costs)
    assert (row["verdict"], row["interim"]) == ("undecided", True)
    assert (row["n"], row["planned"], row["p"], row["decidable"]) == (4, 5, None, None)
    assert row["why"].startswith("interim, with 4 of 5 blocks: effect ")
    assert row["why"].endswith(" over 4 blocks; measured on Planted & Sons, one thread")


def test_a_block_that_lacks_a_step_does_not_count(tmp_path, monkeypatch):
    """The variant "b" was added after two blocks."""
    costs = steps([10.0] * 6, [5.0] * 6)
    costs = [row for row in costs if row["what"].endswith("/a") or row["block"] >= 2]
    row = row_of(tmp_path, monkeypatch, SPEED, costs)
    assert (row["n"], row["planned"], row["interim"]) == (4, 5, True)


def test_all_machines_and_numbers_of_threads_are_named(tmp_path, monkeypatch):
    costs = steps([10.0] * 5, [5.0] * 5)
    other = {"device_name": "Other", "threads": 2}
    costs = [row | other if row["block"] == 4 else row for row in costs]
    row = row_of(tmp_path, monkeypatch, SPEED, costs)
    assert row["why"].endswith("; measured on Other and Planted & Sons, one thread, 2 threads")


def test_a_gate_of_a_claim_about_speed_is_judged_on_seeds(tmp_path, monkeypatch):
    """There are three seeds and five blocks."""
    gated = claim(metric="tokens_per_second", requires=[Beats("a", "unigram", 1)], margin=10)
    row = row_of(tmp_path, monkeypatch, gated, steps([10.0] * 5, [5.0] * 5))
    assert row["verdict"] == "supported"
    failing = claim(metric="tokens_per_second", requires=[Beats("a", "unigram", 2)], margin=10)
    row = row_of(tmp_path / "2", monkeypatch, failing, steps([10.0] * 5, [5.0] * 5))
    assert row["verdict"] == "not testable"


def curves(ends: int = 5) -> list[Run]:
    """Runs that reach 2.5 nats, the loss of the bigram, after 1500 and 3500 tokens, and the first
    `ends` of the bigrams.
    """
    runs = [
        Run(name, seed, curve[-1], curve=curve)
        for name, curve in (("a", [4.0, 3, 2, 1.5, 1]), ("b", [4.0, 3.75, 3.5, 3, 2]))
        for seed in range(5)
    ]
    return [*runs, *bigrams([2.5] * ends)]


def about(metric: str) -> Claim:
    return claim(metric=metric, log=True, requires=[Beats("a"), Beats("b")])


def test_the_loss_to_be_reached_is_that_of_the_bigram(tmp_path, monkeypatch):
    row = row_of(tmp_path, monkeypatch, about("tokens_to_loss"), [], curves())
    assert (row["verdict"], row["n"]) == ("supported", 5)
    assert row["effect"] == pytest.approx(3500 / 1500)
    row = row_of(tmp_path / "flops", monkeypatch, about("flops_to_loss"), [], curves())
    assert row["effect"] == pytest.approx(3500 / 1500)
    assert "measured on" not in row["why"]


def test_seconds_to_the_loss_pair_each_seed_with_a_block(tmp_path, monkeypatch):
    """3.5 steps of "b" to 1.5 of "a", of 2 and 1 seconds, and slower together in each block."""
    slower = [1.0, 2.0, 3.0, 4.0, 5.0]
    costs = steps(slower, [2 * each for each in slower])
    row = row_of(tmp_path, monkeypatch, about("seconds_to_loss"), costs, curves())
    assert (row["verdict"], row["n"], row["planned"], row["budget"]) == ("supported", 5, 5, 1)
    assert row["effect"] == pytest.approx(2 * 3500 / 1500)
    assert row["why"].endswith(" over 5 paired seeds; measured on Planted & Sons, one thread")


def test_the_interval_of_seconds_to_the_loss_has_the_spread_of_the_blocks(tmp_path, monkeypatch):
    """All seeds have the same tokens, so the logarithms differ as the speeds of the blocks do."""
    ratios = [math.exp(0.1 * each) for each in (-2, -1, 0, 1, 2)]
    costs = steps([1.0] * 5, ratios)
    row = row_of(tmp_path, monkeypatch, about("seconds_to_loss"), costs, curves())
    centre = 3500 / 1500
    assert row["effect"] == pytest.approx(centre)
    ends = centre * math.exp(-0.1 * HALF), centre * math.exp(0.1 * HALF)
    assert (row["low"], row["high"]) == pytest.approx(ends, rel=1e-6)


def test_seconds_to_the_loss_wait_for_blocks_and_for_bigrams(tmp_path, monkeypatch):
    costs = steps([1.0] * 3, [2.0] * 3)
    row = row_of(tmp_path, monkeypatch, about("seconds_to_loss"), costs, curves())
    assert (row["verdict"], row["n"], row["interim"]) == ("undecided", 3, True)
    assert row["why"].startswith("interim, with 3 of 5 blocks: ")
    costs = steps([1.0] * 5, [2.0] * 5)
    row = row_of(tmp_path / "2", monkeypatch, about("seconds_to_loss"), costs, curves(ends=4))
    assert (row["verdict"], row["n"], row["interim"]) == ("undecided", 4, True)
    assert row["why"].startswith("interim, with 4 of 5 planned seeds: ")
    row = row_of(tmp_path / "3", monkeypatch, about("seconds_to_loss"), [], curves())
    assert (row["verdict"], row["n"]) == ("not run", 0)
    assert row["why"] == "the training steps have not been measured"


def test_a_seed_that_never_reaches_the_loss_is_left_out_and_counted(tmp_path, monkeypatch):
    runs = curves()
    runs[9] = Run("b", 4, 2.6, curve=[4.0, 3.75, 3.5, 3, 2.6])
    stated = claim(metric="tokens_to_loss", log=True, requires=[Beats("a")])
    row = row_of(tmp_path, monkeypatch, stated, [], runs)
    assert (row["verdict"], row["n"], row["planned"]) == ("supported", 4, 5)
    assert row["why"].endswith("; 1 seed left out, where a run never reaches the loss")


def test_the_gates_of_a_claim_about_a_loss_are_judged_with_seeds_that_never_reach_it(
    tmp_path, monkeypatch
):
    """In four seeds "b" is a nat above the bigram. The fifth alone would beat it."""
    runs = curves()
    runs[5:9] = [Run("b", seed, 3.5, curve=[4.0, 3.75, 3.5]) for seed in range(4)]
    row = row_of(tmp_path, monkeypatch, about("tokens_to_loss"), [], runs)
    assert (row["verdict"], row["n"]) == ("not testable", 1)
    assert "the loss of the bigram less that of b is −0.7" in row["why"]
    runs[9] = Run("b", 4, 3.5, curve=[4.0, 3.75, 3.5])
    row = row_of(tmp_path / "none", monkeypatch, about("tokens_to_loss"), [], runs)
    assert (row["verdict"], row["n"]) == ("not testable", 0)
    assert row["why"].endswith(
        "; no seed has a loss of the bigram that every run of the comparison reaches"
    )


def test_a_table_of_costs_that_is_empty_leaves_claims_about_it_without_a_run(tmp_path, monkeypatch):
    row = row_of(tmp_path, monkeypatch, SECONDS, [])
    assert (row["verdict"], row["why"]) == ("not run", "the costs have not been measured")
    write_table(tmp_path, "costs", blocks({"layernorm": [1.0] * 5}, direction="both"))
    (row,) = judged(tmp_path)
    assert (row["verdict"], row["n"]) == ("not run", 0)
