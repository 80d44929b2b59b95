"""Blocks of measurements: what claims compare, when a block is due, and that a study gets five."""

import dataclasses
import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helping import damage, planted

from experiments.ablation import Ablation, Claim, Variant
from experiments.benchmarks import blocks
from experiments.benchmarks.blocks import Blocks, compared_names, complete_blocks, is_due
from experiments.catalogue import load_ablations
from experiments.data.corpus import Corpus
from experiments.errors import UserError
from experiments.profiles import PROFILES
from experiments.records.collect import append_rows, read_table
from experiments.records.study import Study

NOON = datetime.datetime(2026, 11, 27, 12, tzinfo=datetime.UTC)


def after(seconds: float) -> datetime.datetime:
    return NOON + datetime.timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("starts", "now", "due"),
    [
        ([], 0, True),
        ([0], 479, False),
        ([0], 480, True),
        ([0, 1000], 1479, False),  # counted from the last one
        ([1000, 0], 1479, False),
        ([0, 1000], 1480, True),
        ([0, 480, 960, 1440], 1920, True),
        ([0, 480, 960, 1440, 1920], 9000, False),  # there are five
    ],
)
def test_a_block_is_due_some_minutes_after_the_last_one_until_there_are_five(
    starts: list[float], now: float, due: bool
):
    assert is_due([after(start) for start in starts], after(now), 480.0) is due


def test_a_number_of_blocks_can_be_asked_for():
    assert is_due([NOON], NOON, 0.0, number=2)
    assert not is_due([NOON, NOON], NOON, 0.0, number=2)


def claim(metric: str, *effect: str) -> Claim:
    return Claim(
        id=f"{metric}-{'-'.join(effect)}",
        sentence="It is so.",
        said_by="nobody",
        effect={name: 1.0 if i == 0 else -1.0 for i, name in enumerate(effect)},
        metric=metric,
        margin=0.1,
        why_margin="a test",
    )


def ablation(*claims: Claim) -> Ablation:
    return planted(*(Variant(name) for name in "abcd"), claims=claims)


def test_claims_compare_operations_and_the_training_steps_of_variants():
    stated = {
        "one": ablation(
            claim("tokens_per_second", "a", "b"),
            claim("measured_seconds", "layernorm", "rmsnorm"),
            claim("memory_exponent", "model fused"),
            claim("tokens_per_second", "c", "d"),
        ),
        "two": ablation(claim("tokens_per_second", "a", "b")),
    }
    assert compared_names(stated) == [
        ["step one/a", "step one/b"],
        ["layernorm", "rmsnorm"],
        ["step one/c", "step one/d"],
        ["step two/a", "step two/b"],
    ]


def test_claims_that_share_a_variant_share_a_group():
    speeds = [claim("tokens_per_second", *pair) for pair in ("ab", "cd", "ca")]
    (group,) = compared_names({"one": ablation(*speeds)})
    assert sorted(group) == [f"step one/{name}" for name in "abcd"]


def test_every_variant_that_a_claim_of_the_catalogue_compares_by_speed_has_a_step():
    names = {name for group in compared_names(load_ablations()) for name in group}
    for variant in ("lstm", "transformer"):  # by tokens per second, and by seconds to a loss
        assert f"step lstm-baseline/{variant}" in names
    assert "generation multi-query" in names


@pytest.fixture
def study(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> Study:
    speed = ablation(claim("tokens_per_second", "a", "b"))
    monkeypatch.setattr("experiments.records.study.load_ablations", lambda: {"one": speed})
    return Study.of(PROFILES["cpu"], corpus, seeds=1)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that blocks see, in seconds after noon."""
    now = [0.0]

    monkeypatch.setattr(blocks, "_now", lambda: after(now[0]))
    return now


@pytest.fixture
def made(study: Study, tmp_path: Path, clock: list[float]) -> Blocks:
    """The blocks of a study. Measuring one takes no time, and appends its steps."""

    def measure() -> None:
        there = 0
        if (tmp_path / "costs.parquet").exists():
            there = read_table(tmp_path, "costs")["block"].nunique()
        append_rows(tmp_path, "costs", block_rows(there, clock[0]))

    return Blocks(study, tmp_path, measure)


def block_rows(block: int, seconds: float, variants: str = "ab") -> list[dict[str, Any]]:
    """A block that began some seconds after noon."""
    row = {"block": block, "started": after(seconds).isoformat(timespec="seconds")}
    return [row | {"what": f"step one/{name}", "seconds": 1.0} for name in variants]


def test_blocks_spread_over_a_study_and_end_at_five(made: Blocks, clock: list[float], capsys):
    for minute in range(0, 60, 4):  # a turn takes four minutes
        clock[0] = 60.0 * minute
        made.measure_if_due()
    assert [(start - NOON).total_seconds() / 60 for start in made.starts()] == [0, 8, 16, 24, 32]
    what = "measuring what training steps, attention, norms and generation cost: block"
    assert capsys.readouterr().out.splitlines() == [f"{what} {i} of 5" for i in range(1, 6)]
    made.measure_missing()
    assert capsys.readouterr().out == ""


def test_a_resumed_study_makes_up_for_the_blocks_that_it_lacks(made: Blocks, capsys):
    append_rows(made.results, "costs", block_rows(0, 0) + block_rows(1, 600))
    made.measure_missing()
    assert len(made.starts()) == 5
    said = [line.rpartition(": ")[2] for line in capsys.readouterr().out.splitlines()]
    assert said == ["block 3 of 5", "block 4 of 5", "block 5 of 5"]
    numbers = read_table(made.results, "costs")["block"]
    assert numbers.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


def test_blocks_without_a_step_that_claims_compare_do_not_count(made: Blocks):
    """The variant "b" was added to a finished study; and a block has no time of its beginning."""
    old = [row for block in range(5) for row in block_rows(block, 0, "a")]
    unknown = [row | {"started": None} for row in block_rows(5, 0)]
    append_rows(made.results, "costs", [*old, *unknown, *block_rows(6, 60)])
    assert made.starts() == [after(60)]
    costs = read_table(made.results, "costs")
    assert len(complete_blocks(costs, [["step one/a"]])) == 6


@pytest.mark.parametrize("how", ["cut", "flipped", "empty"])
def test_a_damaged_table_is_set_aside_and_begun_anew(made: Blocks, how: str):
    made.measure_missing()
    damage(made.results / "costs.parquet", how)
    assert made.starts() == []
    append_rows(made.results, "costs", block_rows(0, 60))
    assert made.starts() == [after(60)]
    assert (made.results / "damaged" / "costs-1.parquet").exists()


def test_a_block_that_fails_stops_no_training_and_stops_a_study_without_its_blocks(
    made: Blocks, capsys
):
    def fail() -> None:
        raise UserError("planted")

    failing: Callable[[], None] = fail
    broken = dataclasses.replace(made, measure=failing)
    broken.measure_if_due()
    assert capsys.readouterr().out.splitlines()[-1] == "not measured: planted"
    with pytest.raises(UserError, match="planted"):
        broken.measure_missing()


def test_appended_rows_keep_the_rows_before_them(tmp_path: Path):
    first = {"what": "matmul", "block": 0, "seconds": 0.5, "length": 128, "flops": 1e9}
    append_rows(tmp_path, "costs", [first])
    append_rows(tmp_path, "costs", [{"what": "matmul", "block": 1, "seconds": 0.25}])
    costs = read_table(tmp_path, "costs")
    assert costs["seconds"].tolist() == [0.5, 0.25]
    assert costs["block"].tolist() == [0, 1]
    assert costs["length"].tolist()[0] == 128
    assert costs["length"].isna().tolist() == [False, True]
