"""Judging a table of runs: the verdict on each claim about anybody's runs."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from experiments.claim import Claim
from report.verdicts.explain import numbers, rule, too_few, too_small
from report.verdicts.outcomes import (
    Verdict,
    beyond_seed_margin,
    judge_effects,
    judge_estimate,
    mark_fragile,
)
from report.verdicts.run_gates import columns_of, compared_by, failing_gate, gate_words
from report.verdicts.samples import (
    NoEffectError,
    Samples,
    are_paired,
    check_spread,
    contrast,
    paired,
    sample_text,
    samples_of,
)
from report.verdicts.stats import LEVEL, Estimate, look_level, shifted
from report.verdicts.text import join_words, plural
from report.verdicts.trend import trend_columns

# The columns of a verdict, with their meaning.
COLUMNS = {
    "claim": "id of the claim",
    "sentence": "what is claimed",
    "said_by": "who makes the claim",
    "published": "what the source found",
    "budget": "training budget of the runs; null for runs without budgets",
    "verdict": "supported, negligible, reversed, undecided or not testable",
    "fragile": "whether the verdict is lost when p is corrected over all claims of its budget",
    "effect": "weighted sum of the variants' means; if scale is ratio, a ratio; if the claim is"
    " counted in seeds, the share of seeds as claimed",
    "low": "lower end of the effect's interval; null without one",
    "high": "upper end of the effect's interval",
    "unit": "unit of the effect: the name of the metric, whose own unit is not known",
    "scale": "difference or ratio",
    "margin": "smallest effect that counts",
    "n": "number of seeds of the variant that has the fewest",
    "paired": "whether the variants have the same seeds; null where nothing could be compared",
    "p": "p of the outcome, below the level exactly if the verdict is decided",
    "p_corrected": "p corrected over all claims of the budget (Benjamini-Hochberg)",
    "level": "level of the tests: 0.05, halved at each look after the first",
    "look": "number of the planned look",
    "interim": "whether another number of seeds was planned, so that nothing is decided",
    "decidable": "for an undecided claim, the smallest effect that would have been decided",
    "trend": "stable, growing, shrinking, rising, falling, reversing or unclear over the budgets",
    "change": "change of the effect with each doubling of the budget",
    "change_low": "lower end of the change's interval",
    "change_high": "upper end of the change's interval",
    "why": "what the verdict rests on, in words",
    "rule": "the rule by which the claim is judged, in words",
}


def judge(
    runs: pd.DataFrame, claims: Sequence[Claim], *, looks: Sequence[int] = ()
) -> pd.DataFrame:
    """Judge claims about a table of runs, by the rules that judge this project's own studies.

    A claim is decided where the whole interval of its effect lies beyond the margin, or within it.
    Variants with the same seeds are compared seed by seed; variants without a common seed by
    Welch's interval. A claim is never decided where a run or a value is missing, where runs end at
    different steps, where the values of a variant are the same in all seeds, or with one seed: the
    verdict is "undecided", and `why` says so. What is missing may be what diverged.

    Args:
        runs: one row per run, with the columns variant and seed and a column of numbers for each
            metric. With a column budget, claims are judged at each budget, and their trend over
            budgets too. With a column step there is a row per evaluation instead, and the last
            value of each run counts.
        claims: what is claimed, each about a metric that is a column of `runs`.
        looks: numbers of seeds at which the claims were planned to be judged, in increasing order.
            With another number of seeds nothing is decided. The level is halved from look to look,
            so that all looks together decide wrongly in less than a twentieth of all tables,
            whatever the true effect is. Without looks, the number of seeds must have been chosen
            before the first result was seen.

    Returns:
        One row per claim and budget, with `COLUMNS`. A ratio's effect and interval are ratios.

    Raises:
        ValueError: a column or a variant is not there, a run occurs twice, a metric is no number,
            or a gate needs more than a table of runs.

    Example::

        runs = pd.DataFrame({"variant": ["a"] * 3 + ["b"] * 3, "seed": [0, 1, 2] * 2,
                             "loss": [2.0, 2.1, 2.0, 1.8, 1.8, 1.9]})
        claim = Claim(id="b", sentence="b is better than a.", said_by="us", metric="loss",
                      effect={"a": 1, "b": -1}, margin=0.05, why_margin="a twentieth of a nat")
        judge(runs, [claim])[["claim", "verdict", "effect", "low", "high", "why"]]
    """
    _check_runs(runs)
    runs = runs.assign(variant=runs["variant"].astype(str))
    if not pd.api.types.is_numeric_dtype(runs["seed"]):
        runs = runs.assign(seed=runs["seed"].astype(str))  # values of several types have no order
    if list(looks) != sorted({*looks}) or any(n < 2 for n in looks):
        raise ValueError(f"looks={tuple(looks)} must be numbers of seeds, increasing, from two on")
    if twice := {claim.id for claim in claims if sum(claim.id == each.id for each in claims) > 1}:
        raise ValueError(f"there are several claims '{min(twice)}'")
    for claim in claims:
        _check_claim(claim, runs)
    budgets = sorted({*runs["budget"]}) if "budget" in runs else [None]
    rows = list[dict[str, Any]]()
    for budget in budgets:
        at_budget = runs if budget is None else runs[runs["budget"] == budget]
        judged = [{"budget": budget} | _row(at_budget, claim, looks) for claim in claims]
        mark_fragile(judged)
        rows += judged
    ordered = list[dict[str, Any]]()
    for claim in claims:
        of_claim = [row for row in rows if row["claim"] == claim.id]
        effects = {row["budget"]: row["effects"] for row in of_claim if row["testable"]}
        ordered += [row | trend_columns(effects, claim) for row in of_claim]
    return pd.DataFrame(ordered).reindex(columns=[*COLUMNS])


_LONGEST_NAME = 200  # characters; a figure has no room for more


def _check_runs(runs: pd.DataFrame) -> None:
    if len(twice := runs.columns[runs.columns.duplicated()]):
        raise ValueError(f"there are several columns {twice[0]}")
    for column in ("variant", "seed"):
        _check_column(column, runs)
    for name in [*map(str, runs.columns), *map(str, runs["variant"].unique())]:
        if len(name) > _LONGEST_NAME:
            raise ValueError(
                f"the name '{name[:20]}…' has {len(name):,} characters: a variant or a column has"
                f" at most {_LONGEST_NAME}"
            )
    places = [name for name in ("variant", "seed", "budget", "step") if name in runs]
    for name in places:
        if runs[name].isna().any():
            row = int(np.flatnonzero(runs[name].isna())[0]) + 1
            raise ValueError(f"run {row} of {len(runs)} has no {name}")
    for name in ("budget", "step"):
        if name in runs and not pd.api.types.is_numeric_dtype(runs[name]):
            raise ValueError(f"the column {name} must hold numbers")
    again = runs[runs[places].astype(str).duplicated()]  # values of several types may not compare
    if len(again):
        place = ", ".join(f"{name} {again.iloc[0][name]}" for name in places)
        raise ValueError(f"{place} occurs more than once")


def _check_column(name: str, runs: pd.DataFrame) -> None:
    if name not in runs:
        raise ValueError(f"there is no column {name}: there are {', '.join(map(str, runs))}")


def _check_claim(claim: Claim, runs: pd.DataFrame) -> None:
    """Refuse a claim that no number of further runs would make judgeable."""
    owner = f"claim '{claim.id}'"
    if claim.check:
        raise ValueError(f"{owner} has a check, which is about no runs")
    arms = [*claim.effect]
    try:
        columns = [claim.metric, *(name for gate in claim.requires for name in columns_of(gate))]
        for name in columns:
            _check_column(name, runs)
            if not pd.api.types.is_numeric_dtype(runs[name]):
                raise ValueError(f"the column {name} must hold numbers")
    except ValueError as error:
        raise ValueError(f"{owner}: {error}") from None
    for arm in [*arms, *(arm for gate in claim.requires for arm in compared_by(gate))]:
        if arm not in set(runs["variant"]):
            known = ", ".join(sorted(set(runs["variant"])))
            raise ValueError(f"{owner}: there is no variant '{arm}': there are {known}")


def _row(runs: pd.DataFrame, claim: Claim, looks: Sequence[int]) -> dict[str, Any]:
    """A claim's row at one budget, without what depends on other rows."""
    row: dict[str, Any] = {
        "claim": claim.id,
        "sentence": claim.sentence,
        "said_by": claim.said_by,
        "published": claim.published,
        "unit": _unit(claim),
        "scale": "ratio" if claim.log else "difference",
        "margin": claim.margin,
        "level": LEVEL,
        "look": 1,
        "interim": False,
        "n": 0,
        "rule": _rule(claim, LEVEL),
        "testable": False,
    }
    try:
        samples = samples_of(runs, claim.effect, claim.metric)
        is_paired = are_paired(samples)
        check_spread(samples, counted=claim.counted)
        if claim.log:
            samples = _logarithms(samples, claim)
        why = failing_gate(runs, claim)
        return row | _judged(samples, claim, looks, why, is_paired=is_paired)
    except NoEffectError as error:
        return row | {"verdict": Verdict.UNDECIDED, "why": str(error)}


def _rule(claim: Claim, level: float) -> str:
    gates = [gate_words(gate, claim) for gate in claim.requires]
    return rule(claim, level, claim.metric_words, gates)


def _unit(claim: Claim) -> str:
    """The unit of an effect: the name of the metric, since the unit of a column is not known."""
    if claim.counted:
        return "share of seeds"
    return f"ratio of {claim.metric_words}" if claim.log else claim.metric_words


def _logarithms(samples: Samples, claim: Claim) -> Samples:
    for name, values in samples.items():
        if (values <= 0).any():
            raise NoEffectError(f"{name} has a {claim.metric} of 0 or less, which has no logarithm")
    return {name: values.map(math.log) for name, values in samples.items()}


def _judged(
    samples: Samples, claim: Claim, looks: Sequence[int], failing: str, *, is_paired: bool
) -> dict[str, Any]:
    """The columns of a claim whose samples are whole.

    failing: the gate that does not hold, in words; "" if all hold.
    """
    n = min(len(values) for values in samples.values())
    look = sum(planned <= n for planned in looks) or 1
    level = look_level(look)
    effects, result, judged = _outcome(samples, claim, level, is_paired=is_paired)
    row = {"level": level, "look": look, "paired": is_paired, "rule": _rule(claim, level)} | judged
    unjudged = row | {"p": None, "decidable": None, "verdict": Verdict.UNDECIDED}
    sample = sample_text(samples, is_paired=is_paired)
    if looks and {len(values) for values in samples.values()} != {looks[look - 1]}:
        planned = join_words([str(each) for each in looks])
        why = f"interim, with {plural(n, 'seed')} where {planned} were planned"
        return unjudged | {
            "interim": True,
            "why": f"{why}: {numbers(unjudged, claim, sample)}",
        }
    if failing:
        why = f"{failing}; {numbers(unjudged, claim, sample)}"
        return unjudged | {"verdict": Verdict.NOT_TESTABLE, "why": why}
    why = numbers(row, claim, sample)
    if row["verdict"] == Verdict.UNDECIDED:
        why += too_small(result, claim) + too_few(n, claim, level)
    return row | {"why": why, "effects": effects, "testable": is_paired}


def _outcome(
    samples: Samples, claim: Claim, level: float, *, is_paired: bool
) -> tuple["pd.Series[float] | None", Estimate, dict[str, Any]]:
    """The effects by seed where seeds are paired, their estimate, and the verdict on it."""
    if is_paired:
        effects = beyond_seed_margin(paired(samples, claim.effect) - claim.threshold, claim)
        return effects, *judge_effects(claim, effects, level)
    if claim.counted:
        raise NoEffectError("the claim is counted in seeds, but its variants have none in common")
    result = shifted(contrast(samples, claim.effect, level), -claim.threshold)
    return None, result, judge_estimate(claim, result, level)
