"""What removing each part costs: the numbers, the marks of what cannot be compared, the words."""

import re

import pytest
from by_hand import LEARNT, Run, ablation, bigrams, claim, judged, runs_of, write_study

from experiments.ablation import Beats
from report.page.claims import claims_of
from report.page.removals import Mark, in_sentences, removals_figure, removals_of
from report.study.tables import Tables

REMOVES = {"the brakes": ("a", "b")}


def study(tmp_path, monkeypatch, runs, *claims, removals=REMOVES, **changes) -> Tables:
    stated = ablation(*claims, removals=removals, **changes)
    tables = write_study(tmp_path, monkeypatch, stated, runs)
    judged(tmp_path)
    return tables


def test_a_cost_is_the_paired_difference_at_the_deepest_budget(tmp_path, monkeypatch):
    runs = runs_of({"a": [2.0, 2.2, 2.4], "b": [2.5, 2.7, 2.9]})
    runs += runs_of({"a": [1.0, 1.2, 1.4], "b": [1.2, 1.4, 1.6]}, budget=4)
    tables = study(tmp_path, monkeypatch, runs, claim())
    (removal,) = removals_of(tables, claims_of(tmp_path))
    assert (removal.part, removal.budget, removal.cost.n) == ("the brakes", 4, 3)
    assert removal.cost.mean == pytest.approx(0.2)
    assert removal.margin == 0.1  # of the claim about the pair
    assert removal.counts


def test_a_seed_without_both_runs_is_left_out(tmp_path, monkeypatch):
    runs = runs_of({"a": [2.0, 2.2], "b": [2.5, 2.7]})
    runs += [Run("a", 2, 9.0), Run("b", 2, status="failed")]
    (removal,) = removals_of(study(tmp_path, monkeypatch, runs, claim()), claims_of(tmp_path))
    assert (removal.cost.n, round(removal.cost.mean, 9)) == (2, 0.5)


def test_what_cannot_be_compared_is_marked_and_comes_last(tmp_path, monkeypatch):
    """Losses of 3 are above the bigram's 2.3, so that nothing is testable."""
    runs = runs_of({"a": [3.0, 3.1], "b": [3.5, 3.6], "c": [3.4, 3.5], "d": [3.1, 3.2]})
    runs += [*bigrams([2.3, 2.3]), Run("e", 0, status="diverged"), Run("e", 1, 3.0)]
    removals = {
        "tested": ("a", "b"),
        "peeking": ("a", "c"),
        "plain": ("a", "d"),
        "lost": ("a", "e"),
    }
    tables = study(
        tmp_path,
        monkeypatch,
        runs,
        claim(requires=[LEARNT, Beats("a")]),
        removals=removals,
        variants="abcde",
        peeking=["c"],
    )
    found = removals_of(tables, claims_of(tmp_path))
    assert found[0].part == "plain"
    assert {removal.part: removal.mark for removal in found} == {
        "tested": Mark.NOT_TESTABLE,
        "peeking": Mark.PEEKS,
        "plain": Mark.NONE,
        "lost": Mark.DIVERGED,
    }
    shown = removals_figure(found).data
    assert shown.count('class="bar"') == 1
    assert shown.count("invalid loss: the network sees the tokens") == 1


def test_bars_link_to_their_ablation_and_have_the_length_of_the_cost(tmp_path, monkeypatch):
    runs = runs_of({"a": [2.0, 2.2], "b": [2.5, 2.7], "c": [2.25, 2.45]})
    removals = {"<b>brakes": ("a", "b"), "bells": ("a", "c")}
    tables = study(tmp_path, monkeypatch, runs, claim(), removals=removals, variants="abc")
    shown = removals_figure(removals_of(tables, claims_of(tmp_path))).data
    assert shown.count('href="#planted"') == 2
    assert "&lt;b&gt;brakes" in shown
    assert shown.index("brakes") < shown.index("bells")
    bars = re.findall(r'class="bar" d="M([\d.]+) 3H([\d.]+)V', shown)
    brakes, bells = (float(right) - float(left) for left, right in bars)
    assert brakes == pytest.approx(2 * bells, abs=0.2)


def test_sentences_name_the_most_and_the_least(tmp_path, monkeypatch):
    runs = runs_of({"a": [2.0, 2.2], "b": [2.5, 2.7], "c": [1.99, 2.19]})
    removals = {"brakes": ("a", "b"), "bells": ("a", "c")}
    tables = study(tmp_path, monkeypatch, runs, claim(), removals=removals, variants="abc")
    text = in_sentences(tables, removals_of(tables, claims_of(tmp_path)))
    assert "the corpus planted. In each comparison one part is removed or replaced, and" in text
    assert "At budget 1, the loss rises most without brakes, by 0.500 nats per character," in text
    assert re.search(r"changes least without bells, by −0\.010+\W.*\.$", text)
    assert "rises" not in in_sentences(tables, [])


def test_there_is_no_figure_without_removals(tmp_path, monkeypatch):
    runs = runs_of({"a": [2.0], "b": [2.5]})
    tables = study(tmp_path, monkeypatch, runs, claim(), removals={})
    assert removals_figure(removals_of(tables, claims_of(tmp_path))).data == ""
