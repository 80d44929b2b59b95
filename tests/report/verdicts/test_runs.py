"""Judging tables of anybody's runs."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helping import ROOT
from scipy import stats

from experiments.claim import LOOKS
from experiments.metrics import BLOCK_METRICS
from report.study.effects import scored
from report.study.tables import Tables
from report.verdicts import Beats, Claim, SeesTokens, Solves, judge
from report.verdicts.read_runs import read_runs

REFERENCE = ROOT / "results" / "reference" / "cpu"


def claim(**fields: object) -> Claim:
    """A claim that the loss of b is lower than that of a."""
    stated = {
        **{"id": "c", "sentence": "b is better.", "said_by": "a test", "metric": "loss"},
        **{"effect": {"a": 1, "b": -1}, "margin": 0.1, "why_margin": "a test"},
    }
    return Claim(**(stated | fields))


def table(
    values: Mapping[str, Sequence[float]], first: Mapping[str, int] | None = None, **more: float
) -> pd.DataFrame:
    """Runs of some variants with the losses `values`, and seeds from `first` on, 0 by default."""
    return pd.DataFrame(
        [
            {"variant": name, "seed": (first or {}).get(name, 0) + i, "loss": loss} | more
            for name, losses in values.items()
            for i, loss in enumerate(losses)
        ]
    )


A = [2.0, 2.1, 1.9, 2.2, 2.05]
B = [1.5, 1.55, 1.42, 1.66, 1.58]


def only(verdicts: pd.DataFrame) -> pd.Series:
    ((_, row),) = verdicts.iterrows()
    return row


def undecided(runs: pd.DataFrame, judged: Claim | None = None, **options: object) -> str:
    """The reason why the only claim is undecided."""
    row = only(judge(runs, [judged or claim()], **options))
    assert row["verdict"] == "undecided"
    return row["why"]


def test_shared_seeds_are_compared_in_pairs():
    row = only(judge(table({"a": A, "b": B}), [claim()]))
    test = stats.ttest_rel(A, B)
    interval = test.confidence_interval()
    assert (row["verdict"], row["n"], row["paired"]) == ("supported", 5, True)
    assert row["effect"] == pytest.approx(np.mean(A) - np.mean(B))
    assert (row["low"], row["high"]) == pytest.approx((interval.low, interval.high))


def test_seeds_that_are_not_shared_are_compared_by_welchs_interval():
    row = only(judge(table({"a": A, "b": B[:4]}, {"b": 100}), [claim()]))
    interval = stats.ttest_ind(A, B[:4], equal_var=False).confidence_interval()
    assert (row["verdict"], row["n"], row["paired"]) == ("supported", 4, False)
    assert (row["low"], row["high"]) == pytest.approx((interval.low, interval.high))
    assert "over 5 and 4 seeds, not paired" in row["why"]


def test_runs_in_any_order_have_the_same_verdict():
    runs = table({"a": A, "b": B})
    shuffled = runs.sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(judge(runs, [claim()]), judge(shuffled, [claim()]))


def test_a_ratio_is_judged_by_its_logarithm_and_shown_as_a_ratio():
    row = only(judge(table({"a": A, "b": B}), [claim(log=True)]))
    result = stats.ttest_1samp(np.log(A) - np.log(B), 0).confidence_interval()
    assert (row["low"], row["high"]) == pytest.approx((math.exp(result.low), math.exp(result.high)))
    assert row["unit"] == "ratio of loss"


def test_missing_runs_and_missing_values_leave_a_claim_undecided():
    """What is missing may be what diverged, and to leave it out would flatter its variant."""
    why = undecided(table({"a": A, "b": B[:4]}))
    assert why.startswith("b has no run with seed 4, which another variant has")
    for lost in (math.nan, math.inf, -math.inf, 1e200):
        why = undecided(table({"a": A, "b": [*B[:4], lost]}))
        assert why == "b has no finite loss in seed 4"
    at_one = table({"a": A, "b": B}, budget=1)
    both = pd.concat([at_one, table({"a": A}, budget=4)])
    rows = judge(both, [claim()])
    assert list(rows["verdict"]) == ["supported", "undecided"]
    assert rows["why"][1] == "there is no run of b"


def test_values_without_spread_leave_a_claim_undecided():
    why = "all 5 values of b are equal, so the seeds show no spread"
    assert undecided(table({"a": A, "b": [1.5] * 5})) == why
    counted = claim(seed_margin=0.1, margin=0.25)
    solved = table({"a": [1.0] * 5, "b": [0.0] * 5})
    assert "share 1.00" in only(judge(solved, [counted]))["why"]
    assert "all 5 values of a" in undecided(table({"a": [0.5] * 5, "b": [0.0] * 5}), counted)


def test_one_seed_decides_nothing():
    assert "an interval needs at least two" in undecided(table({"a": A[:1], "b": B[:1]}))


def test_a_loss_of_zero_has_no_logarithm():
    why = undecided(table({"a": A, "b": [*B[:4], 0.0]}), claim(log=True))
    assert why == "b has a loss of 0 or less, which has no logarithm"


def test_a_claim_that_is_counted_needs_paired_seeds():
    counted = claim(seed_margin=0.1, margin=0.25)
    assert "none in common" in undecided(table({"a": A, "b": B}, {"b": 9}), counted)
    assert only(judge(table({"a": A, "b": B}), [counted]))["effect"] == 1.0


def curves(last: Mapping[str, int]) -> pd.DataFrame:
    """Losses at steps 1, 2, ... that fall to those of A and B; `last` is the last step."""
    rows = [
        {"variant": name, "seed": seed, "step": step, "loss": loss + last[name] - step}
        for name, losses in (("a", A), ("b", B))
        for seed, loss in enumerate(losses)
        for step in range(1, last[name] + 1)
    ]
    return pd.DataFrame(rows)


def test_of_a_curve_the_last_value_counts():
    at_end = judge(table({"a": A, "b": B}), [claim()])
    shuffled = curves({"a": 3, "b": 3}).sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(judge(shuffled, [claim()]), at_end)
    later = shuffled[shuffled["step"] == 3].assign(step=4, loss=math.nan, speed=1.0)
    logged = pd.concat([shuffled, later])  # a row that says something else
    pd.testing.assert_frame_equal(judge(logged, [claim()]), at_end)


def test_runs_that_end_at_different_steps_are_not_compared():
    why = undecided(curves({"a": 3, "b": 2}))
    assert why.startswith("the runs end at different steps, from 2 to 3")


def test_with_planned_looks_another_number_of_seeds_decides_nothing():
    runs = table({"a": A, "b": B})
    assert "interim, with 5 seeds where 6 and 8" in undecided(runs, looks=[6, 8])
    assert "interim, with 5 seeds where 3 and 4" in undecided(runs, looks=[3, 4])
    row = only(judge(runs, [claim()], looks=[3, 5]))
    wide = stats.ttest_rel(A, B).confidence_interval(0.975)
    assert (row["verdict"], row["look"], row["level"]) == ("supported", 2, 0.025)
    assert (row["low"], row["high"]) == pytest.approx((wide.low, wide.high))


def test_a_gate_that_fails_makes_a_claim_untestable():
    gated = claim(requires=[Beats("b", "a", by=0.4)])
    assert only(judge(table({"a": A, "b": B}), [gated]))["verdict"] == "supported"
    row = only(judge(table({"a": A, "b": B}), [claim(requires=[Beats("b", "a", by=0.6)])]))
    assert row["verdict"] == "not testable"
    assert row["why"].startswith("the loss of b is below that of a by 0.5")
    assert pd.isna(row["p"])
    solves = table({"a": A, "b": B}).assign(val_accuracy=[0.1] * 5 + [1.0] * 4 + [0.2])
    row = only(judge(solves, [claim(requires=[Solves(("a", "b"))])]))
    assert row["why"].startswith("one of a and b solves the task (accuracy 0.95) in 4 of 5 seeds")
    tokens = table({"a": A, "b": B}, tokens=30.0, parameters=2.0)
    assert only(judge(tokens, [claim(requires=[SeesTokens("a", 15)])]))["verdict"] == "supported"
    row = only(judge(tokens, [claim(requires=[SeesTokens("a", 16)])]))
    assert row["why"].startswith("a is trained on 15.000 tokens a parameter, and 16 are required")


def test_budgets_have_a_verdict_each_and_a_trend():
    runs = [
        table({"a": A, "b": [b + shift for b in B]}, budget=budget)
        for budget, shift in ((1, 0.5), (4, 0.2), (16, 0.0))
    ]
    rows = judge(pd.concat(runs), [claim()])
    assert list(rows["budget"]) == [1, 4, 16]
    assert list(rows["verdict"]) == ["negligible", "supported", "supported"]
    assert set(rows["trend"]) == {"growing"}


MISTAKES = [
    (table({"a": A, "b": B}).drop(columns="seed"), claim(), "there is no column seed: there are v"),
    (table({"a": A, "b": B}).drop(columns="variant"), claim(), "there is no column variant"),
    (table({"a": A, "b": B}), claim(metric="los"), "claim 'c': there is no column los: there are"),
    (table({"a": A, "b": B}).assign(loss="low"), claim(), "claim 'c': the column loss must hold n"),
    (table({"a": A, "b": B}).assign(step="x"), claim(), "the column step must hold numbers"),
    (table({"a": A, "b": B}, {"b": 0}).assign(seed=0), claim(), "variant a, seed 0 occurs more"),
    (
        table({"a": A, "b": B}).assign(seed=[math.nan, *range(9)]),
        claim(),
        "run 1 of 10 has no seed",
    ),
    (table({"a": A, "c": B}), claim(), "claim 'c': there is no variant 'b': there are a, c"),
    (
        table({"a": A, "b": B}),
        claim(requires=[Beats("b", "bigram")]),
        "there is no variant 'bigram'",
    ),
    (table({"a": A, "b" * 10**7: B}), claim(), "'bbb.*…' has 10,000,000 characters: a variant or"),
    (table({"a": A, "b": B}).assign(**{"c" * 201: 1}), claim(), "has 201 characters"),
    (table({"a": A, "b": B}), claim(requires=[Solves(("a",))]), "there is no column val_accuracy"),
]


@pytest.mark.parametrize(("runs", "judged", "message"), MISTAKES)
def test_a_mistake_in_the_table_or_the_claim_is_refused(
    runs: pd.DataFrame, judged: Claim, message: str
):
    with pytest.raises(ValueError, match=message):
        judge(runs, [judged])


def test_gates_that_need_more_than_a_table_and_repeated_claims_are_refused():
    from experiments.gates import Trains, UsesContext

    runs = table({"a": A, "b": B})
    for gate in (Trains("a"), UsesContext("a")):
        with pytest.raises(ValueError, match="needs more than a table of runs: gates here are"):
            judge(runs, [claim(requires=[gate])])
    with pytest.raises(ValueError, match="there are several claims 'c'"):
        judge(runs, [claim(), claim()])
    for looks in ([8, 5], [5, 5], [1, 4]):
        with pytest.raises(ValueError, match="must be numbers of seeds, increasing, from two on"):
            judge(runs, [claim()], looks=looks)


def test_the_published_runs_have_the_published_verdicts(tmp_path: Path):
    """Exported as CSV and judged as anybody's runs, to the last digit. Of what the page judges, the
    claims whose metric is a value of each run, at budgets where all gates hold.
    """
    tables = Tables.load(REFERENCE)
    published = pd.read_parquet(REFERENCE / "claims.parquet").set_index(["claim", "budget"])
    compared = 0
    for name, ablation in tables.ablations.items():
        for judged in ablation.claims:
            for budget in tables.budgets_of(name):
                place = (judged.id, budget)
                if judged.check or judged.metric in BLOCK_METRICS or place not in published.index:
                    continue
                row = published.loc[place]
                runs = scored(tables.of_claim(name, judged, budget), name)
                if judged.metric not in runs or row["diverged"] or row["verdict"] == "not testable":
                    continue
                runs[["variant", "seed", judged.metric]].to_csv(tmp_path / "runs.csv", index=False)
                ungated = dataclasses.replace(judged, requires=())
                looks = [tables.study.seeds, *LOOKS]  # with further seeds it was a further look
                table = read_runs(tmp_path / "runs.csv")
                ((_, mine),) = judge(table, [ungated], looks=looks).iterrows()
                columns = ["verdict", "effect", "low", "high", "n", "p", "margin"]
                assert list(mine[columns]) == list(row[columns]), place
                compared += 1
    assert compared >= 40


@pytest.mark.parametrize("pairs", [True, False], ids=["paired", "not-paired"])
@pytest.mark.parametrize("true_effect", [0.0, 0.1, 0.3])
def test_planted_effects_are_decided_wrongly_in_a_twentieth_of_all_tables_at_most(
    true_effect: float, pairs: bool
):
    """The margin is 0.1, so that 0.1 is the hardest effect: neither beyond it nor within."""
    random = np.random.default_rng(7)
    n, seeds = 200, 6
    claims, runs = [], []
    for i in range(n):
        of_seed = random.normal(2, 0.05, seeds) if pairs else 2.0
        losses = {
            f"a{i}": of_seed + true_effect + random.normal(0, 0.05, seeds),
            f"b{i}": of_seed + random.normal(0, 0.05, seeds),
        }
        runs.append(table(losses, {} if pairs else {f"b{i}": 100}))
        claims.append(claim(id=str(i), effect={f"a{i}": 1, f"b{i}": -1}))
    verdicts = judge(pd.concat(runs), claims)["verdict"]
    right = {0.0: ["negligible"], 0.1: list[str](), 0.3: ["supported"]}[true_effect]
    wrong = int((~verdicts.isin([*right, "undecided"])).sum())
    assert wrong <= stats.binom.ppf(0.9999, n, 0.05)
    if right:
        assert verdicts.isin(right).mean() > 0.5


def test_runs_that_end_without_a_finite_number_are_not_judged_by_what_they_had_before():
    whole = curves({"a": 3, "b": 3})
    for end in (math.nan, math.inf):
        lost = whole.assign(loss=whole["loss"].where(whole["step"] < 3, end))
        assert undecided(lost).startswith("a has no finite number in its last row in seeds 0, 1")
