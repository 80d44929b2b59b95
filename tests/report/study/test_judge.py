"""Verdicts on effects that were planted."""

import dataclasses
import math
from pathlib import Path

import pandas as pd
import planted
import pytest
from planted import ODD_NAME, plant

from experiments.ablation import Beats, Claim
from experiments.planning.plan import FIRST_SEED
from experiments.records.collect import collect, read_table, write_table
from report.page.variant_tables import metrics_table
from report.study.effects import (
    claim_effect,
    curve_points,
    difference_estimates,
    loss_column,
    scored,
    variant_estimate,
)
from report.study.judge import judge, judge_all, mark_fragile
from report.study.tables import Tables, records
from report.verdicts.text import format_estimate

NOISE = [0.01, -0.01, 0.02, -0.02, 0.0]


def verdicts(results: Path):
    collect(results)
    judge_all(results)
    return read_table(results, "claims").set_index("claim")


@pytest.mark.parametrize(
    ("shift", "verdict", "equal", "no_worse"),
    [
        (0.5, "supported", "reversed", "reversed"),
        (0.0, "negligible", "supported", "supported"),
        (0.04, "negligible", "supported", "supported"),
        (-0.5, "reversed", "reversed", "supported"),
        (0.1, "undecided", "undecided", "undecided"),
        (-0.1, "undecided", "undecided", "supported"),
    ],
)
def test_known_effects_have_known_verdicts(tmp_path, monkeypatch, shift, verdict, equal, no_worse):
    claims = verdicts(plant(tmp_path, monkeypatch, [shift + noise for noise in NOISE]))
    row = claims.loc["planted"]
    assert (row["verdict"], claims.loc["planted-equal", "verdict"]) == (verdict, equal)
    assert claims.loc["planted-no-worse", "verdict"] == no_worse
    assert row["effect"] == pytest.approx(shift)
    assert row["low"] < shift < row["high"]
    assert (row["n"], row["planned"]) == (5, 5)
    assert f"{row['n']} paired seeds" in row["why"]


def test_losses_of_text_are_judged_and_shown_per_character_whatever_the_tokens_are(
    tmp_path, monkeypatch
):
    """Four characters to a token of the validation text, in every table and on the page."""
    results = plant(tmp_path, monkeypatch, [0.5 + noise for noise in NOISE], characters=400)
    row = verdicts(results).loc["planted"]
    assert row["effect"] == pytest.approx(0.5 / 4)
    assert (row["verdict"], row["unit"]) == ("supported", "nats per character")
    tables = Tables.load(results)
    assert loss_column(tables, "planted") == ("val_loss_per_character", "nats per character")
    curves, runs = read_table(results, "curves"), read_table(results, "runs")
    runs = runs[~runs["tuning"]]
    assert list(curves["loss_per_character"]) == pytest.approx(list(curves["loss"] / 4))
    bits = list(runs["bits_per_character"])
    assert list(runs["val_loss_per_character"] / math.log(2)) == pytest.approx(bits)
    assert list(runs["test_loss_per_character"]) == list(runs["test_loss"])  # one, of the test text
    assert tables.uniform_loss == pytest.approx(math.log(84) / 4)
    assert tables.curves.equals(curves)  # loading converts nothing
    write_table(results, "lengths", [])
    assert tables.probe("lengths", "planted").empty


def test_the_mean_of_a_column_of_runs_is_the_mean_that_the_page_shows(tmp_path, monkeypatch):
    """Without the trials of learning rates, and with two characters to a token."""
    results = plant(tmp_path, monkeypatch, NOISE, characters=200)
    collect(results)
    runs = read_table(results, "runs")
    means = runs[~runs["tuning"]].groupby("variant")["val_loss_per_character"].mean()
    tables = Tables.load(results)
    shown = metrics_table(tables, "planted").data
    for variant, mean in means.items():
        estimate = variant_estimate(tables, "planted", variant, "val_loss_per_character")
        assert estimate.mean == pytest.approx(mean)
        assert f"<td>{format_estimate(estimate)}</td>" in shown
    assert "losses in nats per character" in shown


def test_an_undecided_claim_says_which_effect_would_have_been_decided(tmp_path, monkeypatch):
    claims = verdicts(plant(tmp_path, monkeypatch, [0.5, -0.3, 0.6, -0.2, 0.4]))
    row = claims.loc["planted"]
    assert row["verdict"] == "undecided"
    assert row["decidable"] == pytest.approx(0.1 + (row["high"] - row["low"]) / 2)
    assert row["why"].endswith("; effects of 0.62 and more would have been decided")
    assert claims["decidable"].notna().sum() == (claims["verdict"] == "undecided").sum()


def test_the_effect_of_a_log_claim_is_shown_as_a_ratio(tmp_path, monkeypatch):
    row = verdicts(plant(tmp_path, monkeypatch, NOISE)).loc["planted-speed"]
    assert row["verdict"] == "supported"
    assert row["effect"] == pytest.approx(2.0)
    assert row["scale"] == "ratio"


def test_a_claim_with_one_seed_is_undecided(tmp_path, monkeypatch):
    row = verdicts(plant(tmp_path, monkeypatch, [0.5])).loc["planted"]
    assert (row["verdict"], row["n"]) == ("undecided", 1)
    assert math.isnan(row["low"])
    assert "1 seed" in row["why"]


def test_nothing_is_decided_while_planned_seeds_are_missing(tmp_path, monkeypatch):
    """Three seeds would decide: of the others one is not begun, one is missing and one failed. What
    is measured in blocks waits for no seed.
    """
    claims = verdicts(plant(tmp_path, monkeypatch, [0.5, None, "failed", 0.51, 0.49], seeds=6))
    for claim in ("planted", "planted-equal"):
        row = claims.loc[claim]
        assert (row["n"], row["planned"], row["interim"]) == (3, 6, True)
        assert (row["verdict"], row["fragile"]) == ("undecided", False)
        assert row["why"].startswith("interim, with 3 of 6 planned seeds: ")
        assert math.isnan(row["p"])
        assert math.isnan(row["decidable"])
    assert claims.loc["planted-speed", "verdict"] == "supported"


def test_a_gate_that_fails_at_an_interim_look_decides_nothing_either(tmp_path, monkeypatch):
    results = plant(tmp_path, monkeypatch, [0.5, None, 0.51])
    collect(results)
    failing = [Beats("base", "uniform", by=9)]
    claim = dataclasses.replace(planted.ABLATION.claims[0], requires=failing)
    row = judge(Tables.load(results), "planted", claim)
    assert (row["verdict"], row["interim"]) == ("undecided", True)


def test_diverged_runs_are_not_waited_for(tmp_path, monkeypatch):
    claims = verdicts(plant(tmp_path, monkeypatch, [0.5, "diverged", 0.51]))
    assert not claims["interim"].any()


def test_a_claim_without_results_is_not_run_and_gives_the_reason(tmp_path, monkeypatch):
    row = verdicts(plant(tmp_path, monkeypatch, ["failed", None])).loc["planted"]
    assert (row["verdict"], row["n"]) == ("not run", 0)
    assert "1 failed" in row["why"]
    assert "1 missing" in row["why"]


def test_a_diverged_run_counts_as_a_uniform_guess(tmp_path, monkeypatch):
    results = plant(tmp_path, monkeypatch, ["diverged"] * 5)
    row = verdicts(results).loc["planted"]
    tables = Tables.load(results)
    base = scored(tables, "planted").query("variant == 'base'")["val_loss"]
    assert row["effect"] == pytest.approx(math.log(84) - base.mean())
    assert (row["verdict"], row["diverged"]) == ("supported", 5)
    assert "5 runs diverged, counted as a uniform guess" in row["why"]


def test_a_loss_above_a_uniform_guess_counts_as_one(tmp_path, monkeypatch):
    """Otherwise a run that diverged would be better than one that ended at 9 nats."""
    results = plant(tmp_path, monkeypatch, [7.0, 300.0, "diverged"])
    row = verdicts(results).loc["planted"]
    rows = scored(Tables.load(results), "planted")
    assert list(rows.query("variant != 'base'")["val_loss"]) == pytest.approx([math.log(84)] * 3)
    base = rows.query("variant == 'base'")["val_loss"]
    assert row["effect"] == pytest.approx(math.log(84) - base.mean())


def test_a_claim_is_not_testable_where_all_compared_runs_diverged(tmp_path, monkeypatch):
    results = plant(tmp_path, monkeypatch, ["diverged", 0.5, 0.6])
    collect(results)
    tables = Tables.load(results)
    first = tables.members["seed"] == FIRST_SEED
    status = tables.members["status"].mask(first, "diverged")
    tables = dataclasses.replace(tables, members=tables.members.assign(status=status))
    row = judge(tables, "planted", planted.ABLATION.claims[0])
    assert row["verdict"] == "not testable"
    assert row["why"] == "every compared run diverged in 1 of 3 seeds"
    assert row["p"] is None


def test_a_diverged_run_counts_as_a_guess_in_losses_only(tmp_path, monkeypatch):
    results = plant(tmp_path, monkeypatch, [0.5, 0.4, "diverged"])
    collect(results)
    tables = Tables.load(results)
    claim = dataclasses.replace(planted.ABLATION.claims[0], metric="val_accuracy")

    def why(of_diverged: float | None) -> str:
        diverged = tables.members["status"] == "diverged"
        accuracies = pd.Series(0.5, index=tables.members.index).mask(diverged, of_diverged)
        members = tables.members.assign(val_accuracy=accuracies)
        return judge(dataclasses.replace(tables, members=members), "planted", claim)["why"]

    assert "over 2 paired seeds" in why(None)
    assert why(None).endswith("; 1 run diverged, left out")
    assert "over 3 paired seeds" in why(0.1)
    assert why(0.1).endswith("; 1 run diverged, counted with what was measured")


def test_a_diverged_run_does_not_train(tmp_path, monkeypatch):
    collect(plant(tmp_path, monkeypatch, [0.5, 0.4, "diverged"]))
    counted = {"metric": "trains", "margin": 0.25, "effect": {"base": 1, ODD_NAME: -1}}
    claim = dataclasses.replace(planted.ABLATION.claims[0], **counted)
    tables = Tables.load(tmp_path)
    assert list(claim_effect(tables, "planted", claim))[-1] == 1
    assert judge(tables, "planted", claim)["why"].endswith(
        "; 1 run diverged, counted as not training"
    )


@pytest.mark.parametrize(
    ("task", "vocabulary", "classes", "loss"),
    [
        ("language", 84, None, math.log(84) / 4),  # four characters to a token
        ("masked", 85, None, math.log(85) / 4),
        ("sort", 25, None, math.log(25)),
        ("genre", 85, 3, math.log(3)),
    ],
)
def test_a_uniform_guess_is_over_the_answers_that_the_task_allows(
    tmp_path, monkeypatch, task, vocabulary, classes, loss
):
    results = plant(tmp_path, monkeypatch, ["diverged"] * 2, characters=400)
    collect(results)
    tables = Tables.load(results)
    changed = {"recipe.task": task, "model.vocab_size": vocabulary, "model.n_classes": classes}
    tables = dataclasses.replace(tables, members=tables.members.assign(**changed))
    diverged = scored(tables, "planted").query("status == 'diverged'")
    shown = loss_column(tables, "planted").name
    assert list(diverged[shown]) == pytest.approx([loss] * 2)


def test_the_curve_of_a_run_without_a_result_is_ignored(tmp_path, monkeypatch):
    results = plant(tmp_path, monkeypatch, [0.5, 0.4, 0.3])
    collect(results)
    tables = Tables.load(results)
    claim = dataclasses.replace(planted.ABLATION.claims[0], metric="tokens_to_loss")
    targets = pd.Series(
        [500.0, 500.0, 500.0], index=[200, 201, 202]
    )  # nats: curves fall from above
    monkeypatch.setattr("report.study.effects.bigram_losses", lambda tables: targets)
    assert list(claim_effect(tables, "planted", claim).index) == [200, 201, 202]
    first = (tables.members["variant"] == ODD_NAME) & (tables.members["seed"] == FIRST_SEED)
    status = tables.members["status"].mask(first, "failed")
    lacking = dataclasses.replace(tables, members=tables.members.assign(status=status))
    assert list(claim_effect(lacking, "planted", claim).index) == [201, 202]
    assert len(curve_points(lacking, "planted")) == len(curve_points(tables, "planted")) - 3


def test_p_values_are_corrected_over_the_claims_of_a_budget():
    """Of three decided claims, the one with 0.04 does not survive: 0.04 · 4 / 3 is above 0.05."""
    rows = [
        {"verdict": verdict, "p": p, "level": 0.05}
        for verdict, p in (
            ("supported", 0.001),
            ("negligible", 0.02),
            ("reversed", 0.04),
            ("undecided", 0.4),
            ("not testable", None),
            ("supported", None),  # an identity
        )
    ]
    mark_fragile(rows)
    corrected = [row["p_corrected"] for row in rows]
    assert corrected == pytest.approx([0.004, 0.04, 0.16 / 3, 0.4, None, None])
    assert [row["fragile"] for row in rows] == [False, False, True, False, False, False]


def test_claims_of_another_budget_do_not_change_what_is_fragile(tmp_path, monkeypatch):
    effects = [0.13, 0.2, 0.16, 0.15, 0.22]
    alone = verdicts(plant(tmp_path / "1", monkeypatch, effects))
    noisy = [0.5, -0.3, 0.6, -0.2, 0.4]
    both = verdicts(plant(tmp_path / "2", monkeypatch, effects, deeper=noisy))
    alone, first = alone[alone["budget"] == 1], both[both["budget"] == 1]
    assert list(first["p_corrected"].dropna()) == list(alone["p_corrected"].dropna())
    assert (first["p_corrected"].dropna() >= first["p"].dropna()).all()


def test_differences_are_paired_by_seed(tmp_path, monkeypatch):
    """Seeds differ by far more than the effect; pairing takes that out."""
    results = plant(tmp_path, monkeypatch, [0.05 + noise / 10 for noise in NOISE])
    collect(results)
    row = difference_estimates(Tables.load(results), "planted").iloc[0]
    assert row["variant"] == ODD_NAME
    assert row["mean"] == pytest.approx(0.05)
    assert row["high"] - row["low"] < 0.01


@pytest.mark.parametrize(("holds", "verdict"), [(True, "supported"), (False, "reversed")])
def test_an_identity_is_judged_by_its_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, holds: bool, verdict: str
):
    claim = Claim(id="exact", sentence="It is so.", said_by="nobody", check="head-cost")
    ablation = dataclasses.replace(planted.ABLATION, claims=[claim])
    monkeypatch.setattr(planted, "ABLATION", ablation)
    results = plant(tmp_path, monkeypatch, [0.1, 0.2])
    collect(results)
    assert judge(Tables.load(results), "planted", claim)["verdict"] == "not run"
    row = {"check": "head-cost", "holds": holds, "why": "because"}
    write_table(results, "identities", [row])
    judge_all(results)
    (judged,) = records(read_table(results, "claims"))
    assert (judged["verdict"], judged["why"], judged["scale"]) == (verdict, "because", "exact")
    assert judged["effect"] is None
