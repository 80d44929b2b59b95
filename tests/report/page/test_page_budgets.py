"""Budgets on the page: verdicts, summaries, notes and losses at each budget."""

from pathlib import Path

import pandas as pd
import planted
import pytest
from by_hand import Run, ablation, bigrams, claim, judged, runs_of, write_study
from IPython.display import HTML
from planted import plant
from reading import cells, heads, words

from experiments.ablation import Beats, Claim
from experiments.records.collect import collect
from report.page.budgets import budget_text, loss_by_budget, progress, shown_note
from report.page.cards import answer, cards
from report.page.claims import claims_of, deepest, verdict_summary
from report.page.summary import opening, study_facts
from report.study.tables import Tables

BASE = [2.0, 2.1, 1.9]
CHECK = Claim(id="check", sentence="It is so.", said_by="nobody", check="head-cost")
TESTABLE = claim(requires=[Beats("a")])


def deepening(*budgets: int) -> list[Run]:
    """Nothing beats the bigram at budget 1. Later "b" is worse than "a" by 0.1 per doubling."""
    runs = runs_of({"a": [2.6, 2.7, 2.5], "b": [3.0, 3.1, 2.9]}) if 1 in budgets else []
    runs += [run for budget in budgets for run in bigrams([2.5] * 3, budget)]
    for budget, effect in ((4, 0.2), (16, 0.4)):
        if budget in budgets:
            runs += runs_of({"a": BASE, "b": [loss + effect for loss in BASE]}, budget)
    return runs


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tables:
    claims = (TESTABLE, claim(id="other"), CHECK)
    tables = write_study(tmp_path, monkeypatch, ablation(*claims), deepening(1, 4, 16))
    judged(tmp_path)
    return tables


def test_a_card_has_a_row_per_budget_and_the_trend(study: Tables):
    html = str(cards(study, claims_of(study.results)).data)
    first, second, third = html.split('<details class="card"')[1:]
    rows = [row[:2] for row in cells(HTML(first))]
    assert rows == [["1", "– not testable"], ["4", "✓ supported"], ["16", "✓ supported"]]
    assert "Trend over budgets: growing: 0.100 (0.100 to 0.100) per doubling." in first
    # From 0.4 at budget 1: a slope of zero.
    assert "0.000 (0.000 to 0.000) per doubling" in second
    assert [row[1] for row in cells(HTML(second))] == ["✓ supported"] * 3
    assert "Trend over budgets" not in third
    assert [row[:2] for row in cells(HTML(third))] == [["–", "not run"]]


def test_the_trend_of_a_ratio_is_shown_as_a_factor(tmp_path, monkeypatch):
    better = claim(metric="val_accuracy", log=True)
    runs = [
        Run(name, seed, 2.0, budget, values={"val_accuracy": accuracy})
        for budget, ratio in ((1, 2.0), (4, 8.0))
        for name, accuracy in (("a", 0.1), ("b", 0.1 * ratio))
        for seed in range(2)
    ]
    tables = write_study(tmp_path, monkeypatch, ablation(better), runs)
    judged(tmp_path)
    shown = words(cards(tables, claims_of(tables.results)))
    assert "Trend over budgets: growing: ×2.000 (2.000 to 2.000) per doubling." in shown


def test_cards_name_the_budget_of_each_verdict_and_what_is_testable(study: Tables):
    text = words(cards(study, claims_of(study.results)))
    assert "Budget 1: not testable at this budget: the loss of the bigram less" in text
    assert "; testable at budgets 4 and 16." in text
    assert "Budget 16: supported by the data: effect 0.400" in text
    assert "Not run: the check has not been run." in text


def test_the_answer_states_each_claim_at_its_deepest_testable_budget(study: Tables):
    text = words(answer(claims_of(study.results)))
    assert text == (
        "It hurts: yes, 0.400 nats per character. It hurts: yes, 0.400 nats per character."
        " 1 of 3 claims is not run."
    )


def test_verdicts_are_counted_for_each_budget(study: Tables, tmp_path, monkeypatch):
    assert verdict_summary(claims_of(study.results)) == (
        "At budget 1, of 2 claims: 1 supported and 1 not testable; at budget 4, of 2 claims: 2"
        " supported; at budget 16, of 2 claims: 2 supported; without training, of 1 claim: 1 not"
        " run"
    )
    write_study(tmp_path, monkeypatch, ablation(TESTABLE, CHECK), deepening(16))
    judged(tmp_path)
    assert verdict_summary(claims_of(tmp_path)) == "Of 2 claims: 1 supported and 1 not run"


def stated(*rows: tuple[str, int | None, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["claim", "budget", "verdict"])


def test_each_claim_is_stated_at_the_deepest_budget_at_which_it_is_testable():
    claims = stated(
        ("first", 1, "supported"),
        ("first", 4, "undecided"),
        ("first", 16, "not testable"),
        ("check", None, "supported"),
        ("never", 1, "not testable"),
        ("never", 4, "not run"),
        ("late", 16, "reversed"),
        ("late", 1, "not testable"),
    )
    shown = deepest(claims)
    assert list(shown.index) == [1, 3, 5, 6]  # in the order of the table
    assert list(shown["claim"]) == ["first", "check", "never", "late"]
    assert list(shown["verdict"]) == ["undecided", "supported", "not run", "reversed"]


def test_the_facts_say_how_many_runs_of_each_budget_have_a_result(tmp_path, monkeypatch):
    runs = runs_of({"a": [2.0, 2.1], "b": [2.5, 2.6]})
    runs += [Run("a", 0, 2.0, 4), Run("a", 1, budget=4, status="diverged")]
    runs += [Run("b", 0, budget=4, status="failed"), Run("b", 1, budget=4, status="missing")]
    tables = write_study(tmp_path, monkeypatch, ablation(claim()), runs, budgets=(1, 4))
    assert progress(tables) == [
        ("budget 1 (250 steps)", "4 of 4 runs compared"),
        ("budget 4 (1,000 steps)", "2 of 4 runs compared"),
    ]
    judged(tmp_path)
    assert ["budget 4 (1,000 steps)", "2 of 4 runs compared"] in cells(study_facts(tables))
    assert "The study is not complete" in opening(tables, claims_of(tables.results)).data


def test_runs_whose_rate_is_not_chosen_yet_are_counted_one_by_one(tmp_path, monkeypatch):
    runs = [Run("a", 0, 2.0), Run("a", 1, 2.0)]
    runs += [Run("b", seed, status="untuned") for seed in (0, 1)]
    tables = write_study(tmp_path, monkeypatch, ablation(claim()), runs, budgets=(1,))
    assert progress(tables) == [("budget 1 (250 steps)", "2 of 4 runs compared")]


def test_a_section_says_which_budget_it_shows(study: Tables, tmp_path, monkeypatch):
    note = shown_note(study, "planted").data
    assert "Figures and tables in this section: budget 16 (4,000 steps)." in note
    assert "Verdicts are given for budget 1 (250 steps) and budget 4 (1,000 steps) too." in note
    assert budget_text(study, 4) == "budget 4 (1,000 steps)"
    shallow = write_study(tmp_path, monkeypatch, ablation(claim()), deepening(4))
    assert "Verdicts" not in shown_note(shallow, "planted").data
    alone = write_study(tmp_path, monkeypatch, ablation(claim()), deepening(1), budgets=(1,))
    assert shown_note(alone, "planted").data == ""


def test_losses_are_shown_for_every_variant_and_budget(tmp_path, monkeypatch):
    """Two seeds: the half width is 12.7 times half the difference between them."""
    runs = [
        *runs_of({"a": [2.0, 2.002], "b": [2.5]}),
        *runs_of({"a": [1.5, 1.5]}, budget=4),
        Run("b", 0, budget=4, status="missing"),
    ]
    tables = write_study(tmp_path, monkeypatch, ablation(claim()), runs)
    shown = loss_by_budget(tables, "planted")
    assert cells(shown) == [["a", "2.001 ± 0.013", "1.500"], ["b", "2.500", "–"]]
    assert heads(shown) == ["variant", "budget 1 (250 steps)", "budget 4 (1,000 steps)"]
    assert "Validation loss in nats per character" in str(shown.data)
    assert cells(loss_by_budget(tables.at(1), "planted")) == cells(shown)
    one = write_study(tmp_path, monkeypatch, ablation(claim()), runs_of({"a": [2.0], "b": [2.5]}))
    assert loss_by_budget(one, "planted").data == ""


def test_the_planted_study_has_a_gate_that_its_rules_state(tmp_path, monkeypatch):
    results = plant(tmp_path, monkeypatch, [0.5, 0.4])
    collect(results)
    judged(results)
    shown = str(cards(Tables.load(results), claims_of(results, "planted")).data)
    assert shown.count("Gates: the loss of") == 3
    assert sum(bool(each.requires) for each in planted.ABLATION.claims) == 3
