"""Effects that are computed from probes: the gain from context, and heads that can be removed."""

import dataclasses

import pandas as pd
import pytest
from by_hand import Run, ablation, claim, write_study

from experiments.ablation import UsesContext
from report.study.effects import claim_effect
from report.study.judge import judge

GAIN = claim(metric="context_gain_per_character", effect={"a": 1, "b": -1})


def positions(gain: float) -> list[float]:
    """Losses at 16 positions that fall by `gain` from the second eighth to the last quarter. What
    the first eighth has does not count.
    """
    return [9.0, 9.0, 3.0, 3.0, *[7.0] * 8, *[3.0 - gain] * 4]


def runs(a: list[float], b: list[float]) -> list[Run]:
    return [
        Run(variant, seed, 2.0, positions=positions(gain))
        for variant, gains in (("a", a), ("b", b))
        for seed, gain in enumerate(gains)
    ]


def test_the_gain_from_context_begins_after_the_first_eighth_of_the_positions(
    tmp_path, monkeypatch
):
    gain = dataclasses.replace(GAIN, requires=[UsesContext("a", skip=1 / 8)])
    tables = write_study(
        tmp_path, monkeypatch, ablation(gain), runs([0.5, 0.6, 0.7], [0.1, 0.1, 0.1]), characters=50
    )
    effects = claim_effect(tables.at(1), "planted", gain)
    assert list(effects) == pytest.approx([0.8, 1.0, 1.2])  # two tokens a character
    assert list(effects.index) == [0, 1, 2]


def test_gates_are_judged_on_seeds_whose_run_diverged_too(tmp_path, monkeypatch):
    """The diverged run has no loss by position, so its seed has no effect. It uses no context."""
    gate = UsesContext("b", by=0.05)
    gain = dataclasses.replace(GAIN, requires=[gate])
    made = runs([0.9] * 4, [0.3, 0.3, 0.3, 0.3])
    made[-1] = Run("b", 3, status="diverged")
    made += [
        Run("bigram", seed, 2.5, positions=positions(0.0), ablation="yardsticks")
        for seed in range(4)
    ]
    tables = write_study(tmp_path, monkeypatch, ablation(gain), made)
    row = judge(tables.at(1), "planted", gain)
    assert (row["n"], row["verdict"]) == (3, "not testable")
    assert "the loss of b falls" in row["why"]
    made[-1 - 4] = Run("b", 3, 2.0, positions=positions(0.3))
    tables = write_study(tmp_path, monkeypatch, ablation(gain), made)
    row = judge(tables.at(1), "planted", gain)
    assert (row["n"], row["verdict"]) == (4, "supported")


@pytest.mark.parametrize(
    ("shares", "verdict"),
    [
        ([0.2, 0.25, 0.5, 0.3, 0.2, 0.4], "supported"),
        ([0.19] * 6, "negligible"),
        ([0.2] * 3, "undecided"),
        ([0.2, 0.2, 0.2, 0.1, 0.1, 0.1], "undecided"),
    ],
)
def test_networks_of_which_a_fifth_of_the_heads_can_go_are_counted(
    tmp_path, monkeypatch, shares, verdict
):
    """Equal shares of the heads have no spread, so an interval of their mean would say too much."""
    prunable = claim(metric="prunable", effect={"a": 1}, margin=0.5)
    planted = ablation(prunable, probes=["pruning"])
    made = [Run("a", seed, 2.0) for seed in range(len(shares))]
    tables = write_study(tmp_path, monkeypatch, planted, made)
    wide = pd.Series(dict(zip([run.run_id for run in made], shares, strict=True)))
    members = tables.members.assign(removable_heads=tables.members["run_id"].map(wide))
    row = judge(dataclasses.replace(tables, members=members).at(1), "planted", prunable)
    assert (row["verdict"], row["n"]) == (verdict, len(shares))
