"""Claims that count the seeds in which a difference is beyond a margin of its own."""

import dataclasses
from pathlib import Path

import pytest
from by_hand import Run, ablation, claim, write_study

from experiments.ablation import Beats
from report.study.effects import claim_effect
from report.study.judge import judge
from report.study.tables import Tables
from report.verdicts.explain import rule, seeds_needed, too_few
from report.verdicts.stats import LEVEL

COUNTED = claim(seed_margin=0.1, margin=0.25, requires=[Beats("a", "uniform", by=0)])
A = 2.0  # loss of a in every seed


def study(results: Path, patch: pytest.MonkeyPatch, effects: list[float | None]) -> Tables:
    """A study in which the loss of b exceeds that of a by `effects`; None for a diverged run."""
    runs = [Run("a", seed, A) for seed in range(len(effects))]
    for seed, effect in enumerate(effects):
        diverged = effect is None
        run = Run("b", seed, status="diverged") if diverged else Run("b", seed, A + effect)
        runs.append(run)
    return write_study(results, patch, ablation(COUNTED), runs).at(1)


def test_a_seed_counts_where_its_difference_is_beyond_the_margin(tmp_path, monkeypatch):
    tables = study(tmp_path, monkeypatch, [0.5, 0.11, 0.09, -0.09, -0.11, None])
    assert list(claim_effect(tables, "planted", COUNTED)) == [1, 1, 0, 0, -1, 1]


@pytest.mark.parametrize(
    ("effects", "verdict", "share"),
    [
        ([0.2, 1.3, 0.2, 1.3, 0.2], "supported", 1.0),  # two modes
        ([-0.2, -1.3, -0.2, -1.3, -0.2], "reversed", 0.0),
        ([0.05] * 20, "negligible", 0.0),
        ([2.0, 0.0, 0.0, 0.0, 0.0], "undecided", 0.2),  # a mean would be four margins
    ],
)
def test_the_share_of_seeds_decides_and_not_the_mean(
    tmp_path, monkeypatch, effects, verdict, share
):
    row = judge(study(tmp_path, monkeypatch, effects), "planted", COUNTED)
    assert (row["verdict"], row["effect"]) == (verdict, share)


def test_the_rule_names_the_margin_of_a_seed_and_that_of_the_share():
    text = rule(COUNTED, LEVEL, COUNTED.metric_unit, [])
    assert "as claimed by more than 0.1 nats per character: supported" in text
    assert "lies above 0.25" in text
    assert COUNTED.unit == "share of seeds"


def test_a_claim_that_no_outcome_of_its_seeds_could_support_says_how_many_are_needed():
    """The exact 95 % interval of five of five seeds begins at 0.48, that of six at 0.54."""
    counted = claim(seed_margin=0.2, margin=0.5)
    words = "; 5 seeds cannot support this claim, whatever their outcome: 6 are needed"
    assert too_few(5, counted, 0.05) == words
    assert too_few(6, counted, 0.05) == ""
    assert too_few(2, claim(), 0.05) == ""
    never = claim(seed_margin=0.2, margin=0.99)
    assert too_few(5, never, 0.05).endswith("outcome: more than 20 are needed")


def test_a_counted_claim_needs_as_many_seeds_as_could_support_it():
    """Five seeds of five lie above a quarter at the level, and six of six above a half."""
    half = dataclasses.replace(COUNTED, margin=0.5)
    assert [seeds_needed(5, each, LEVEL) for each in (COUNTED, half, claim())] == [5, 6, 5]
    assert seeds_needed(30, half, LEVEL) == 30
    hopeless = dataclasses.replace(COUNTED, margin=0.9)
    assert seeds_needed(5, hopeless, LEVEL) is None
