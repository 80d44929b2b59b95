"""Numbers in words."""

import pandas as pd
import pytest

from experiments.ablation import Beats, SeesTokens, Solves, Trains, UsesContext
from experiments.gates import Gate
from report.verdicts.gate_rules import gate_rule
from report.verdicts.text import (
    format_duration,
    format_interval,
    format_number,
    format_p,
    join_words,
    mean_over_seeds,
)


@pytest.mark.parametrize(
    ("value", "low", "high", "text"),
    [
        (1.23456, 1.22, 1.25, "1.235"),
        (1.23456, 0.7, 1.7, "1.23"),
        (-0.5, -0.9, -0.1, "−0.50"),
        (-0.0001, -0.03, 0.03, "0.000"),
        (-0.0001, None, None, "0.000"),
        (1234.5, 1000.0, 1500.0, "1,234"),
        (1.23456, None, None, "1.235"),
        (12345.678, None, None, "12,346"),
        (-123.456, -123.456, -123.456, "−123"),
        (2.0, 2.0, 2.0, "2.000"),
        (None, None, None, "–"),
        (float("nan"), None, None, "–"),
    ],
)
def test_the_width_of_the_interval_decides_the_number_of_digits(value, low, high, text):
    assert format_number(value, low, high) == text


def test_an_interval_is_shown_where_there_is_one():
    assert format_interval(-0.111, 0.222) == "−0.11 to 0.22"
    assert format_interval(None, None) == "–"
    rows = pd.DataFrame({"variant": [*"aaabb"], "seed": [0, 1, 2, 0, 1]})
    assert mean_over_seeds(rows) == "mean of 2 to 3 seeds, 95 % interval"
    assert mean_over_seeds(rows[:3]) == "mean of 3 seeds, 95 % interval"
    assert mean_over_seeds(rows[:1], "± half its 95 % interval") == "mean of 1 seed, no interval"


def test_p_is_never_zero():
    assert format_p(0.0) == "< 0.0001"
    assert format_p(0.0123) == "0.012"
    assert format_p(None) == "–"


def test_durations_are_in_seconds_minutes_or_hours():
    assert [format_duration(s) for s in (42.4, 190, 3900)] == ["42 s", "3 min 10 s", "1 h 5 min"]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([], ""),
        (["one"], "one"),
        (("one", "two"), "one and two"),
        (["one", "two", "three"], "one, two and three"),
    ],
)
def test_join_words_puts_commas_and_one_and(words, text: str):
    assert join_words(words) == text


FURTHER = "the loss of a falls 0.02 nats further than that of the bigram"
GUESS = "a guess by frequency, or a uniform guess in a task without text"


@pytest.mark.parametrize(
    ("gate", "text"),
    [
        (Beats("a"), "the loss of a is 0.1 nats below that of the bigram"),
        (
            Beats("a", "unigram", 0.3),
            "the loss of a is 0.3 nats below that of a guess by frequency",
        ),
        (Beats("a", "uniform", 0), "the loss of a is 0 nats below that of a uniform guess"),
        (Beats("a", "b"), "the loss of a is 0.1 nats below that of b"),
        (UsesContext("a"), f"in the window {FURTHER}"),
        (UsesContext("a", skip=1 / 16), f"after the first 6.2 % of the window {FURTHER}"),
        (SeesTokens("a", 15), "a is trained on 15 tokens a parameter"),
        (Solves(("a",)), "in every seed a solves the task (accuracy 0.95)"),
        (Solves(("a", "b"), 0.5), "in every seed one of a and b solves the task (accuracy 0.5)"),
        (Trains("a", 0.5), f"in every seed a ends 0.5 nats below {GUESS}"),
    ],
)
def test_a_gate_is_explained_in_words(gate: Gate, text: str):
    assert gate_rule(gate) == text
