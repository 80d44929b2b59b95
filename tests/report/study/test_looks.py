"""Looks: all looks of a study together decide wrongly in at most 5 % of simulated studies."""

import dataclasses
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import planted
import pytest
from by_hand import Run, ablation, claim, judged, runs_of, write_study
from scipy.stats import t

from experiments.records.study import Study
from report.verdicts.outcomes import Verdict, decide, mark_fragile, outcome_ps
from report.verdicts.stats import LEVEL, estimate, look_level

SEEDS = (5, 8, 12, 20)  # at each look
FEWER = (3, 5, 8, 12, 20)
STUDIES = 10_000
MARGIN = 0.02  # nats
DEVIATION = 0.02  # root mean square of the paired standard deviations that were measured, in nats
CLAIM = dataclasses.replace(planted.ABLATION.claims[0], effect={"a": 1}, margin=MARGIN)

# True effects, and the outcome that is right for each.
TRUE_EFFECTS = [
    (0.0, "negligible"),
    (0.95 * MARGIN, "negligible"),
    (MARGIN, "negligible"),  # within: not beyond the margin
    (1.05 * MARGIN, "supported"),
    (2 * MARGIN, "supported"),
]

Numbers = npt.NDArray[np.float64]


def share_of_wrong(outcomes: Iterable[str], right: str) -> float:
    """The share of studies that are decided otherwise than is right."""
    return sum(outcome not in ("undecided", right) for outcome in outcomes) / STUDIES


def draws(noise: str, studies: int, n: int) -> Numbers:
    """Noise with a standard deviation of one, [studies, n]."""
    rng = np.random.default_rng(0)
    if noise == "normal":
        return rng.normal(size=(studies, n))
    return rng.standard_t(3, size=(studies, n)) / np.sqrt(3)


def final_verdicts(effects: Numbers, seeds: tuple[int, ...]) -> list[str]:
    """The verdicts of studies, [studies, most seeds], that add seeds until they are decided."""
    verdicts = np.full(len(effects), "undecided", dtype=object)
    for look, n in enumerate(seeds, start=1):
        mean = effects[:, :n].mean(axis=1)
        error = effects[:, :n].std(axis=1, ddof=1) / np.sqrt(n)
        half = t.ppf(1 - look_level(look) / 2, n - 1) * error
        low, high = mean - half, mean + half
        still = verdicts == "undecided"
        verdicts[still & (low > MARGIN)] = "supported"
        verdicts[still & (low > -MARGIN) & (high < MARGIN)] = "negligible"
        verdicts[still & (high < -MARGIN)] = "reversed"
    return list(verdicts)


def test_the_simulation_decides_as_the_claims_are_decided():
    effects = MARGIN + DEVIATION * draws("normal", 200, max(SEEDS))
    for values, simulated in zip(effects, final_verdicts(effects, SEEDS), strict=True):
        verdict = Verdict.UNDECIDED
        for look, n in enumerate(SEEDS, start=1):
            level = look_level(look)
            ps = outcome_ps(CLAIM, estimate(list(values[:n]), level), MARGIN)
            if verdict == Verdict.UNDECIDED:
                verdict, _ = decide(ps, level)
        assert verdict == simulated


@pytest.mark.parametrize("noise", ["normal", "heavy-tailed"])
@pytest.mark.parametrize("seeds", [SEEDS, FEWER])
@pytest.mark.parametrize("deviation", [0.5 * DEVIATION, DEVIATION, 2 * DEVIATION])
@pytest.mark.parametrize(("effect", "right"), TRUE_EFFECTS)
def test_all_looks_together_decide_wrongly_in_at_most_five_per_cent_of_studies(
    noise: str, seeds: tuple[int, ...], deviation: float, effect: float, right: str
):
    effects = effect + deviation * draws(noise, STUDIES, max(seeds))
    assert share_of_wrong(final_verdicts(effects, seeds), right) <= LEVEL


def test_looking_without_spending_the_level_decides_wrongly_more_often(
    monkeypatch: pytest.MonkeyPatch,
):
    """The test above can fail: at the full level of each look, too many studies are wrong."""
    monkeypatch.setitem(final_verdicts.__globals__, "look_level", lambda _: LEVEL)
    effects = MARGIN + DEVIATION * draws("normal", STUDIES, max(FEWER))
    assert share_of_wrong(final_verdicts(effects, FEWER), "negligible") > LEVEL


def test_each_look_has_half_the_level_of_the_look_before():
    assert [look_level(look) for look in (1, 2, 3)] == [0.05, 0.025, 0.0125]
    assert sum(look_level(look) for look in range(1, 100)) / 2 <= LEVEL


def test_a_later_look_has_a_wider_interval_and_says_its_level(tmp_path, monkeypatch):
    losses = {"a": [2.0, 2.0, 2.0], "b": [2.2, 2.25, 2.3]}
    rows: list[dict[str, Any]] = []
    for look in (1, 2):
        folder = tmp_path / str(look)
        write_study(folder, monkeypatch, ablation(claim()), runs_of(losses))
        dataclasses.replace(Study.load(folder), looks=look).save(folder)
        rows += judged(folder)
    first, second = rows
    assert (first["level"], second["level"]) == (0.05, 0.025)
    assert second["low"] < first["low"]
    assert (first["verdict"], second["verdict"]) == ("supported", "undecided")
    assert "97.5 % interval" in second["why"]
    assert "the whole 97.5 % interval lies above +0.1" in second["rule"]


def test_a_p_value_of_a_later_look_counts_for_as_much_more_as_its_level_is_lower():
    """At the third look the level is 0.0125: there 0.01 counts as 0.04, and 0.02 as 0.08."""
    rows = [
        {"verdict": "supported", "p": p, "level": level}
        for p, level in ((0.01, 0.05), (0.01, 0.0125), (0.02, 0.0125), (0.9, 0.0125))
    ]
    mark_fragile(rows)
    corrected = [row["p_corrected"] for row in rows]
    assert corrected == pytest.approx([0.04, 0.08, 0.32 / 3, 1.0])
    assert [row["fragile"] for row in rows] == [False, True, True, True]


# By seed. "b" less "a" is 0.3 in the first five seeds, and then 0. "c" is as "b", in five seeds.
LOSSES = {"a": [2.0] * 8, "b": [2.3] * 5 + [2.0] * 3, "c": [2.3] * 5}
OTHER = claim(id="c-is-worse", effect={"c": 1, "a": -1})


def test_each_claim_is_judged_with_its_own_seeds_at_the_level_of_its_own_look(
    tmp_path, monkeypatch
):
    """Three runs of "a" were added for one claim. The mean of eight is 1.5 / 8."""
    planted_ablation = ablation(claim(), OTHER, variants=("a", "b", "c"))
    added = {"b-is-worse": {"1": 8}}
    tables = write_study(tmp_path, monkeypatch, planted_ablation, runs_of(LOSSES), added=added)
    assert tables.complete_seeds() == 5  # of five that the study has
    more, same = judged(tmp_path)
    assert [more[name] for name in ("n", "planned", "look", "level")] == [8, 8, 2, 0.025]
    assert [same[name] for name in ("n", "planned", "look", "level")] == [5, 5, 1, 0.05]
    assert more["effect"] == pytest.approx(1.5 / 8)
    assert (same["effect"], same["verdict"]) == (pytest.approx(0.3), "supported")
    assert "over 8 paired seeds (look 2)" in more["why"]
    assert "look" not in same["why"]


def test_a_seed_that_is_missing_or_diverged_counts_for_the_claim_that_it_was_added_for(
    tmp_path, monkeypatch
):
    runs = runs_of(LOSSES)
    places = [(run.variant, run.seed) for run in runs]
    runs[places.index(("a", 6))] = Run("a", 6, status="missing")
    runs[places.index(("a", 7))] = Run("a", 7, status="diverged")
    planted_ablation = ablation(claim(), OTHER, variants=("a", "b", "c"))
    added = {"b-is-worse": {"1": 8}}
    write_study(tmp_path, monkeypatch, planted_ablation, runs, added=added)
    more, same = judged(tmp_path)
    assert (more["interim"], more["diverged"], more["n"], more["planned"]) == (True, 1, 7, 8)
    assert more["why"].startswith("interim, with 7 of 8 planned seeds")
    assert (same["interim"], same["diverged"], same["verdict"]) == (False, 0, "supported")


def test_added_seeds_are_of_one_budget(tmp_path, monkeypatch):
    runs = runs_of(LOSSES) + runs_of({name: losses[:5] for name, losses in LOSSES.items()}, 4)
    changed = ablation(claim(), variants=("a", "b", "c"), budgets=[1, 4])
    added = {"b-is-worse": {"1": 12, "4": 8}}  # four of twelve are not planned, as it happens
    write_study(tmp_path, monkeypatch, changed, runs, added=added)
    assert [(row["budget"], row["n"], row["look"]) for row in judged(tmp_path)] == [
        (1, 8, 3),
        (4, 5, 2),
    ]
