"""Claims at several budgets: rows of the table `claims`, gates that fail, and the budget shown."""

import math
from pathlib import Path

import pytest
from by_hand import (
    LEARNT,
    Run,
    Trial,
    ablation,
    bigrams,
    blocks,
    claim,
    judged,
    runs_of,
    write_study,
)

from experiments.ablation import Beats, Claim, Solves, Trains, UsesContext
from experiments.records.collect import write_table
from report.study.judge import judge_budgets
from report.study.tables import Tables

BASE = [2.0, 2.1, 1.9, 2.0, 2.05]
NOISE = [0.01, -0.01, 0.02, -0.02, 0.0]


def worse(shift: float, noise: float = 1.0) -> list[float]:
    """Losses above BASE by `shift`, with a noise in every seed."""
    return [loss + shift + noise * each for loss, each in zip(BASE, NOISE, strict=True)]


def at(budget: int, shift: float, noise: float = 1.0) -> list[Run]:
    return runs_of({"a": BASE, "b": worse(shift, noise)}, budget)


def rows_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stated: Claim, runs: list[Run]):
    """Rows of the only claim, by budget."""
    write_study(tmp_path, monkeypatch, ablation(stated), runs)
    return {row["budget"]: row for row in judged(tmp_path)}


@pytest.mark.parametrize("shift", [0.5, 0.0, -0.5, 0.1])  # of any verdict
@pytest.mark.parametrize("kind", [{}, {"equal": True}, {"no_worse": True}])
def test_a_claim_whose_gate_fails_is_not_testable_whatever_its_effect_is(
    tmp_path, monkeypatch, shift: float, kind: dict
):
    failing = Beats("a", "unigram", by=3)  # the guess has 3.3, and "a" has 2.01
    row = rows_of(tmp_path, monkeypatch, claim(requires=[LEARNT, failing], **kind), at(1, shift))[1]
    assert row["verdict"] == "not testable"
    assert "the loss of a guess by frequency less that of a is 1.29" in row["why"]
    assert ", and 3 is required; effect " in row["why"]
    assert "testable at" not in row["why"]  # at no budget
    assert row["effect"] == pytest.approx(shift)
    assert (row["decidable"], row["p"]) == (None, None)
    assert "Gates: the loss of a is 0 nats below that of a uniform guess; the loss" in row["rule"]


@pytest.mark.parametrize(
    "gate", [Beats("a", "bigram"), Beats("a", "c"), UsesContext("a"), Solves(("c",)), Trains("c")]
)
def test_a_claim_whose_gate_lacks_its_runs_is_not_run(tmp_path, monkeypatch, gate):
    planned = [Run("c", seed, status="missing") for seed in range(5)]
    stated = ablation(claim(requires=[gate]), variants=("a", "b", "c"))
    write_study(tmp_path, monkeypatch, stated, [*at(1, 0.5), *planned])
    (row,) = judged(tmp_path)
    assert row["verdict"] == "not run"
    assert row["trend"] is None


def test_a_gate_is_judged_on_the_seeds_that_the_effect_has(tmp_path, monkeypatch):
    """Two seeds of the arm have learnt nothing, and there is nothing to compare them with."""
    runs = runs_of({"a": [2.0, 2.1, 1.9, 9.0, 9.0], "b": worse(0.5)[:3]})
    row = rows_of(tmp_path, monkeypatch, claim(requires=[Trains("a")]), runs)[1]
    assert (row["verdict"], row["n"], row["planned"]) == ("supported", 3, 5)


def test_the_first_gate_that_fails_is_the_reason(tmp_path, monkeypatch):
    gates = [LEARNT, Beats("a", "unigram", 2), Beats("a", "uniform", 3)]
    row = rows_of(tmp_path, monkeypatch, claim(requires=gates), at(1, 0.5))[1]
    assert "and 2 is required" in row["why"]
    assert "and 3 is required" not in row["why"]


def deepening() -> list[Run]:
    """At budget 1 nothing beats the bigram; at 4 and 16 the effects are 0.2 and 0.6."""
    first = runs_of({"a": [2.6] * 5, "b": [3.0] * 5})
    bigram = [run for budget in (1, 4, 16) for run in bigrams([2.5] * 5, budget)]
    return [*first, *at(4, 0.2), *at(16, 0.6, noise=-1), *bigram]


def test_a_claim_says_at_which_budgets_it_became_testable(tmp_path, monkeypatch):
    rows = rows_of(tmp_path, monkeypatch, claim(requires=[Beats("a")]), deepening())
    assert [row["verdict"] for row in rows.values()] == ["not testable", "supported", "supported"]
    assert list(rows) == [1, 4, 16]
    assert rows[1]["why"].endswith("; testable at budgets 4 and 16")
    assert "the loss of the bigram less that of a is −0.100, and 0.1 is required" in rows[1]["why"]
    assert "testable at" not in rows[4]["why"] + rows[16]["why"]


def test_budgets_at_which_a_claim_is_not_testable_are_left_out_of_its_trend(tmp_path, monkeypatch):
    """From 0.2 at budget 4 to 0.6 at 16: two doublings. With the 0.4 at budget 1 it would be 0.05
    for each.
    """
    rows = rows_of(tmp_path, monkeypatch, claim(requires=[Beats("a")]), deepening())
    for row in rows.values():
        assert row["trend"] == "growing"
        assert row["change"] == pytest.approx(0.2)
        # The slope of each seed is 0.2 less its noise; t = 2.776, standard deviation 0.0158.
        half = 2.776445 * 0.0158114 / math.sqrt(5)
        ends = row["change_low"], row["change_high"]
        assert ends == pytest.approx((0.2 - half, 0.2 + half), rel=1e-4)


def test_a_claim_that_is_testable_at_one_budget_has_no_trend(tmp_path, monkeypatch):
    shallow = [run for run in deepening() if run.budget < 16]
    rows = rows_of(tmp_path, monkeypatch, claim(requires=[Beats("a")]), shallow)
    assert [row["verdict"] for row in rows.values()] == ["not testable", "supported"]
    assert all(row["trend"] is row["change"] is row["change_low"] is None for row in rows.values())


BETTER = claim(metric="val_accuracy", log=True)


def at_ratio(budget: int, ratio: float) -> list[Run]:
    """Runs in which "b" is more accurate than "a" by a ratio."""
    return [
        Run(name, seed, 2.0, budget, values={"val_accuracy": accuracy})
        for name, accuracy in (("a", 0.1), ("b", 0.1 * ratio))
        for seed in range(3)
    ]


def test_the_change_of_a_ratio_is_a_ratio(tmp_path, monkeypatch):
    """The ratio grows from 2 to 8 within two doublings: by 2 with each."""
    rows = rows_of(tmp_path, monkeypatch, BETTER, [*at_ratio(1, 2), *at_ratio(4, 8)])
    assert [row["effect"] for row in rows.values()] == pytest.approx([2, 8])
    for row in rows.values():
        assert (row["trend"], row["scale"]) == ("growing", "ratio")
        assert row["change"] == row["change_low"] == row["change_high"] == pytest.approx(2)


@pytest.mark.parametrize(("last", "trend"), [(2.19, "stable"), (2.204, "growing")])
def test_the_margin_of_a_ratios_trend_is_a_ratio_too(tmp_path, monkeypatch, last: float, trend):
    """From 2: by 9.5 % and by 10.2 % in all, with a margin of 10 %. The logarithm of 1.102 is below
    0.1, and the differences are above 0.1.
    """
    rows = rows_of(tmp_path, monkeypatch, BETTER, [*at_ratio(1, 2), *at_ratio(4, last)])
    assert rows[4]["trend"] == trend


def test_there_is_a_row_for_each_claim_and_budget_and_one_for_what_needs_no_training(
    tmp_path, monkeypatch
):
    stated = {"sentence": "It is so.", "said_by": "nobody"}
    check = Claim(id="check", check="head-cost", **stated)
    cost = Claim(
        id="cost",
        effect={"rmsnorm": -1, "layernorm": 1},
        metric="measured_seconds",
        margin=0.05,
        why_margin="it is a test",
        **stated,
    )
    speed = claim(id="speed", metric="tokens_per_second", requires=[])
    planted = ablation(claim(), check, cost, speed, claim(id="again"))
    write_study(tmp_path, monkeypatch, planted, [*at(1, 0.5), *at(4, 0.5)])
    seconds = {"rmsnorm": [1.0] * 5, "layernorm": [2.0] * 5}
    steps = {"step planted/a": [2.0] * 5, "step planted/b": [1.0] * 5}
    rows = [*blocks(seconds, direction="both"), *blocks(steps, tokens=1000)]
    write_table(tmp_path, "costs", rows)
    write_table(tmp_path, "identities", [{"check": "head-cost", "holds": True, "why": "so"}])
    rows = judged(tmp_path)
    assert [(row["claim"], row["budget"]) for row in rows] == [
        *(("b-is-worse", budget) for budget in (1, 4)),
        ("check", None),
        ("cost", None),
        ("speed", None),
        *(("again", budget) for budget in (1, 4)),
    ]
    assert {row["verdict"] for row in rows} == {"supported"}
    assert [row["trend"] for row in rows] == ["stable", "stable", *[None] * 3, "stable", "stable"]


def test_each_budget_is_judged_by_its_own_runs(tmp_path, monkeypatch):
    rows = rows_of(tmp_path, monkeypatch, claim(), [*at(1, 0.5), *at(4, 0.0), *at(16, 0.1)])
    verdicts = [row["verdict"] for row in rows.values()]
    assert verdicts == ["supported", "negligible", "undecided"]
    assert [row["effect"] for row in rows.values()] == pytest.approx([0.5, 0.0, 0.1])
    assert [row["n"] for row in rows.values()] == [5, 5, 5]


def test_a_budget_without_a_result_has_no_row_unless_there_is_no_other(tmp_path, monkeypatch):
    planned = [Run(run.variant, run.seed, budget=4, status="missing") for run in at(1, 0.5)]
    assert list(rows_of(tmp_path, monkeypatch, claim(), [*at(1, 0.5), *planned])) == [1]
    untuned = [Run(run.variant, run.seed, budget=1, status="untuned") for run in at(1, 0.5)]
    (row,) = rows_of(tmp_path, monkeypatch, claim(), [*untuned, *planned]).values()
    assert (row["budget"], row["verdict"], row["planned"]) == (1, "not run", 5)
    assert "10 missing" in row["why"]
    (row,) = rows_of(tmp_path, monkeypatch, claim(), []).values()
    assert (row["budget"], row["verdict"], row["n"]) == (1, "not run", 0)


@pytest.fixture
def partial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tables:
    """Two seeds at budget 1; one at 4, the second half done; and at 16 a first that is half done.

    Another ablation has a run at budget 1 alone.
    """
    runs = runs_of({"a": [2.0, 2.1], "b": [2.5, 2.6]})
    runs += [*runs_of({"a": [1.8, 1.9], "b": [2.2]}, 4), Run("b", 1, budget=4, status="failed")]
    runs += [Run("a", 0, 1.5, 16), Run("b", 0, budget=16, status="missing")]
    runs += [Run(name, 0, 3.0, ablation="other") for name in ("a", "b")]
    trials = [Trial("a", 1, 2.0, budget=budget) for budget in (1, 4, 16)]
    other = {"other": ablation(claim(id="other"))}
    return write_study(tmp_path, monkeypatch, ablation(claim()), runs, trials, more=other)


def test_the_deepest_budget_with_a_complete_seed_is_shown(partial: Tables):
    assert partial.shown_budget("planted") == 4
    assert partial.shown_budget("other") == 1
    assert partial.budgets_of("planted") == [1, 4, 16]
    assert set(partial.of("planted")["budget"]) == {4}
    assert set(partial.trials("planted")["budget"]) == {4}
    assert len(partial.of("planted")) == 4


def test_tables_at_a_budget_show_every_ablation_there(partial: Tables):
    for budget, members in {1: 4, 4: 4, 16: 2}.items():
        at_budget = partial.at(budget)
        assert set(at_budget.of("planted")["budget"]) == {budget}
        assert len(at_budget.of("planted")) == members
        assert set(at_budget.trials("planted")["budget"]) == {budget}
        assert len(at_budget.of("other")) == (2 if budget == 1 else 0)
    assert set(partial.of("planted")["budget"]) == {4}  # the tables themselves are as before


def test_a_diverged_run_completes_a_seed_and_a_failed_one_does_not(tmp_path, monkeypatch):
    def shown(status: str) -> int:
        deep = [Run("a", 0, 1.0, 4), Run("b", 0, budget=4, status=status)]
        return write_study(
            tmp_path, monkeypatch, ablation(claim()), [*at(1, 0.5), *deep]
        ).shown_budget("planted")

    assert shown("diverged") == 4
    assert [shown(status) for status in ("failed", "missing", "untuned", "in flight")] == [1] * 4


def test_without_a_complete_seed_the_deepest_budget_with_a_result_is_shown(tmp_path, monkeypatch):
    runs = [Run("a", 0, 2.0), Run("b", 0, status="missing"), Run("a", 0, 2.0, 4)]
    runs += [Run("b", 0, budget=4, status="failed"), Run("a", 0, budget=16, status="missing")]
    tables = write_study(tmp_path, monkeypatch, ablation(claim()), runs)
    assert tables.shown_budget("planted") == 4
    missing = [Run(name, 0, budget=budget, status="missing") for name in "ab" for budget in (1, 4)]
    tables = write_study(tmp_path, monkeypatch, ablation(claim()), missing)
    assert tables.shown_budget("planted") == 1


def test_the_rows_of_a_probe_are_those_of_the_budget(tmp_path, monkeypatch):
    runs = [Run(name, 0, 2.0, budget, positions=[budget]) for name in "ab" for budget in (1, 4)]
    tables = write_study(tmp_path, monkeypatch, ablation(claim()), runs)
    assert list(tables.probe("positions", "planted")["loss"]) == [4, 4]
    assert list(tables.at(1).probe("positions", "planted")["loss"]) == [1, 1]


def test_a_claims_rows_are_the_same_at_whatever_budget_the_tables_are(partial: Tables):
    rows = judge_budgets(partial, "planted", claim())
    assert judge_budgets(partial.at(16), "planted", claim()) == rows
    assert [row["n"] for row in rows] == [2, 1, 0]
