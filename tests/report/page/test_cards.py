"""Claim cards: places on the strips, links to papers, and the answer of a section."""

import re

import pytest
from by_hand import Run, ablation, claim, judged, runs_of, write_study
from reading import words

from report.page.cards import answer, cards, reason, strips_of
from report.page.claims import claims_of, with_texts
from report.page.tour import clearest, tour

LOSSES = {"a": [2.0, 2.1, 2.2], "b": [2.5, 2.6, 2.71]}


def rows_of(tmp_path, monkeypatch, *claims, runs=None):
    tables = write_study(tmp_path, monkeypatch, ablation(*claims), runs or runs_of(LOSSES))
    judged(tmp_path)
    return tables, claims_of(tmp_path)


def test_a_strip_has_its_effect_interval_and_margin_on_one_scale(tmp_path, monkeypatch):
    _, claims = rows_of(tmp_path, monkeypatch, claim())
    ((row,), (strip,)) = with_texts(claims), strips_of(with_texts(claims))
    reach = 1.12 * row["high"]
    assert strip.zero == 80
    assert strip.dot == pytest.approx(80 + 80 * row["effect"] / reach, abs=0.06)
    assert strip.high == pytest.approx(80 + 80 / 1.12, abs=0.06)
    assert strip.band == pytest.approx((80 - 80 * 0.1 / reach, 80 + 80 * 0.1 / reach), abs=0.06)


def test_a_ratio_is_placed_by_its_logarithm(tmp_path, monkeypatch):
    runs = [
        Run(name, seed, 2.0, values={"val_accuracy": accuracy})
        for name, accuracy in (("a", 0.1), ("b", 0.2))
        for seed in range(2)
    ]
    doubled = claim(metric="val_accuracy", log=True, margin=1.0)
    _, claims = rows_of(tmp_path, monkeypatch, doubled, runs=runs)
    (strip,) = strips_of(with_texts(claims))
    assert strip.dot == strip.band[1]  # twice as much, and a margin of twice as much


def test_a_counted_claim_is_a_share_of_the_strip_and_a_number_of_seeds(tmp_path, monkeypatch):
    tables, claims = rows_of(tmp_path, monkeypatch, claim(seed_margin=0.2, margin=0.5))
    (strip,) = strips_of(with_texts(claims))
    assert (strip.dot, strip.zero, strip.band) == (160, 0, (0, 80))
    assert "3 of 3 seeds" in words(cards(tables, claims))


def test_papers_are_linked_and_names_escaped(tmp_path, monkeypatch):
    stated = claim(sentence="It <b>hurts</b>.", said_by="Vaswani 2017", published="Xiong 2020: yes")
    tables, claims = rows_of(tmp_path, monkeypatch, stated)
    shown = cards(tables, claims).data
    assert re.findall(r'<a href="([^"]+)">', shown) == [
        "https://arxiv.org/abs/1706.03762",
        "https://arxiv.org/abs/2002.04745",
        "#rerun-planted",
    ]
    assert "It &lt;b&gt;hurts" in shown
    assert 'id="claim-b-is-worse"' in shown


def test_an_answer_tells_at_most_three_decided_claims_and_counts_the_rest(tmp_path, monkeypatch):
    same = [claim(id=f"same-{i}", sentence=f"It is {i}.") for i in range(4)]
    open_ = claim(id="open", margin=0.5)
    _, claims = rows_of(tmp_path, monkeypatch, *same, open_)
    text = words(answer(claims))
    told = [f"It is {i}: yes, 0.503 nats per character." for i in range(3)]
    assert text == f"{' '.join(told)} 1 more is decided. 1 of 5 claims is undecided."


def test_an_answer_says_where_times_were_measured(tmp_path, monkeypatch):
    _, claims = rows_of(tmp_path, monkeypatch, claim(sentence="It is slow."))
    assert words(answer(claims)) == "It is slow: yes, 0.503 nats per character."
    timed = claims.assign(why=claims["why"] + "; measured on AMD EPYC, one thread")
    slow = "It is slow: yes, 0.503 nats per character on AMD EPYC, one thread."
    assert words(answer(timed)) == slow


def test_an_answer_says_that_nothing_is_decided(tmp_path, monkeypatch):
    _, claims = rows_of(tmp_path, monkeypatch, claim(margin=0.5))
    assert (
        words(answer(claims)) == "No claim of this section is decided. 1 of 1 claim is undecided."
    )


def test_a_reason_has_its_equation_as_mathml(tmp_path, monkeypatch):
    stated = ablation(claim(), why="It <i>is</i> so.", equation=r"\frac{a}{b}")
    tables = write_study(tmp_path, monkeypatch, stated, runs_of(LOSSES))
    shown = reason(tables, "planted").data
    assert "It &lt;i&gt;is" in shown
    assert "<mfrac>" in shown
    silent = write_study(tmp_path, monkeypatch, ablation(claim()), runs_of(LOSSES))
    assert reason(silent, "planted").data == ""


def test_the_tour_chooses_what_is_furthest_beyond_its_margin(tmp_path, monkeypatch):
    near, far = claim(id="near", margin=0.2), claim(id="far", margin=0.1)
    peeking = claim(id="peeking", effect={"c": 1, "a": -1}, margin=0.01)
    stated = ablation(near, far, peeking, variants="abc", peeking=["c"])
    runs = runs_of(LOSSES | {"c": [3.0, 3.1, 3.2]})
    tables = write_study(tmp_path, monkeypatch, stated, runs)
    judged(tmp_path)
    claims = claims_of(tmp_path)
    chosen = clearest(tables, claims, "yours")
    assert chosen is not None
    assert chosen["claim"] == "far"
    assert clearest(tables, claims, "order") is None
    shown = tour(tables, claims).data
    assert shown.count('class="stop"') == 1
    assert "The data support this: 0.503 nats per character" in shown
    nothing = claims.assign(fragile=True)
    assert tour(tables, nothing).data == ""
