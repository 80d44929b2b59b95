"""Verdicts: the effect, interval and p-value of each claim, and the verdict by the claim's rule."""

from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from experiments.ablation import Claim
from experiments.metrics import COST_METRICS
from experiments.records.collect import write_table
from experiments.records.run_folder import Status
from report.verdicts.effects import claim_effect
from report.verdicts.explain import divergence, numbers, reason_not_tested, rule, unit
from report.verdicts.gates import failing_gate
from report.verdicts.stats import (
    Estimate,
    equivalence_p,
    estimate,
    holm,
    no_worse_p,
    seeds_needed,
    sign_flip_p,
    t_test_p,
)
from report.verdicts.tables import Tables
from report.verdicts.text import join_words
from report.verdicts.trend import effect_trend


class Verdict(StrEnum):
    """The verdict on a claim."""

    SUPPORTED = "supported"
    CONTRADICTED = "contradicted"
    UNDECIDED = "undecided"
    NOT_TESTABLE = "not testable"
    NOT_TESTED = "not tested"


def judge_all(results: Path) -> None:
    """Write the table `claims`: one row for each claim of every ablation, at each budget.

    Raises:
        UserError: a table that the claims need is missing, damaged, or of another version.
    """
    tables = Tables.load(results)
    rows = [
        row
        for name, ablation in tables.ablations.items()
        for claim in ablation.claims
        for row in judge_budgets(tables, name, claim)
    ]
    for row, corrected in zip(rows, holm([row.get("p") for row in rows]), strict=True):
        row["p_holm"] = corrected
    write_table(results, "claims", rows)


def judge_budgets(tables: Tables, ablation: str, claim: Claim) -> list[dict[str, Any]]:
    """A claim's rows of the table `claims`, one per budget, with the trend over all of them.

    A claim about an identity or about costs has one row without a budget.
    """
    if claim.check or claim.metric in COST_METRICS:
        return [judge(tables, ablation, claim)]
    rows, effects = [], {}
    for budget in tables.budgets_of(ablation) or [tables.study.budgets[0]]:
        at_budget = tables.at(budget)
        row = judge(at_budget, ablation, claim) | {"budget": budget}
        rows.append(row)
        if row["verdict"] not in (Verdict.NOT_TESTABLE, Verdict.NOT_TESTED):
            effects[budget] = claim_effect(at_budget, ablation, claim)
    for row in rows:
        if row["verdict"] == Verdict.NOT_TESTABLE and effects:
            row["why"] += f"; testable at budget {join_words(list(map(str, effects)))}"
    margin = float(np.log1p(claim.margin)) if claim.log else claim.margin
    if trend := effect_trend(effects, margin):
        change = trend.change
        shown = {
            "trend": trend.direction,
            "change": _unlogged(change.mean, claim),
            "change_low": _unlogged(change.low, claim),
            "change_high": _unlogged(change.high, claim),
        }
        rows = [row | shown for row in rows]
    return rows


def judge(tables: Tables, ablation: str, claim: Claim) -> dict[str, Any]:
    """A claim's row of the table `claims` at the budget of the tables, without its trend and the
    correction of p over all claims.
    """
    stated: dict[str, Any] = {
        "claim": claim.id,
        "ablation": ablation,
        "sentence": claim.sentence,
        "said_by": claim.said_by,
        "published": claim.published,
        "rule": rule(claim),
    }
    if claim.check:
        return stated | _judge_identity(tables, claim)
    effects = claim_effect(tables, ablation, claim)
    values = effects.to_numpy(dtype=float)
    members = tables.of(ablation)
    needed = members[members["variant"].isin(list(claim.effect))]
    about_costs = claim.metric in COST_METRICS
    row = stated | {
        "scale": "ratio" if claim.log else "difference",
        "unit": unit(claim),
        "margin": claim.margin,
        "n": len(values),
        "planned": len(values) if about_costs else int(needed["seed"].nunique()),
        "diverged": int((needed["status"] == Status.DIVERGED).sum()),
    }
    study = tables.study
    if not len(values):
        why = reason_not_tested(needed, claim, study.tokenizer, has_genres=study.has_genres)
        return row | {"verdict": Verdict.NOT_TESTED, "why": why}
    margin = float(np.log1p(claim.margin)) if claim.log else claim.margin
    result = estimate(values)
    gate = failing_gate(tables, ablation, claim, effects.index)
    verdict = decide(result, margin, claim)
    if gate:
        verdict = Verdict.NOT_TESTED if gate.holds is None else Verdict.NOT_TESTABLE
    row |= {
        "effect": _unlogged(result.mean, claim),
        "low": _unlogged(result.low, claim),
        "high": _unlogged(result.high, claim),
        "p": None if gate else _p(values, margin, claim),
        "p_sign_flip": None if gate or claim.equal or claim.no_worse else sign_flip_p(values),
        "verdict": verdict,
    }
    if verdict == Verdict.UNDECIDED and not about_costs:
        row["seeds_needed"] = seeds_needed(values, distance_to_decision(result.mean, margin, claim))
    if gate:
        return row | {"why": f"{gate.why}; {numbers(row, claim)}"}
    return row | {"why": numbers(row, claim) + divergence(needed, claim)}


def _judge_identity(tables: Tables, claim: Claim) -> dict[str, Any]:
    """The verdict on a claim that is checked without any run."""
    row: dict[str, Any] = {"scale": "exact", "n": 0, "planned": 0, "diverged": 0}
    if claim.check not in tables.identities.index:
        return row | {"verdict": Verdict.NOT_TESTED, "why": "the check has not been run"}
    result = tables.identities.loc[claim.check]
    verdict = Verdict.SUPPORTED if result["holds"] else Verdict.CONTRADICTED
    return row | {"verdict": verdict, "why": result["why"]}


def decide(effect: Estimate, margin: float, claim: Claim) -> Verdict:
    """The verdict on a claim by the 95 % interval of its effect.

    A claim of a difference is supported above +margin, and contradicted below zero or within
    ±margin. A claim of no difference (`equal`) is supported within ±margin, and contradicted
    beyond +margin or beyond -margin. A claim of no worse (`no_worse`) is supported above -margin,
    and contradicted below. All other intervals leave a claim undecided.

    Args:
        effect: mean effect with its interval.
        margin: the smallest effect that counts; of a ratio, its logarithm, as in `effect`.
        claim: the claim.
    """
    low, high = effect.low, effect.high
    if low is None or high is None:
        return Verdict.UNDECIDED
    within = -margin < low and high < margin
    if claim.no_worse:
        supported, contradicted = low > -margin, high < -margin
    elif claim.equal:
        supported, contradicted = within, low > margin or high < -margin
    else:
        supported, contradicted = low > margin, high < 0 or within
    if supported:
        return Verdict.SUPPORTED
    return Verdict.CONTRADICTED if contradicted else Verdict.UNDECIDED


def distance_to_decision(mean: float, margin: float, claim: Claim) -> float:
    """Distance of a mean effect from the nearest bound beyond which a narrow interval decides.

    `mean` and `margin` have the same unit; of a ratio, both are logarithms.
    """
    if claim.no_worse:
        return abs(mean + margin)
    if claim.equal:
        return abs(abs(mean) - margin)
    if mean > margin:
        return mean - margin
    return max(margin - abs(mean), -mean)


def _p(values: npt.NDArray[np.float64], margin: float, claim: Claim) -> float | None:
    if claim.equal:
        return equivalence_p(values, margin)
    return no_worse_p(values, margin) if claim.no_worse else t_test_p(values)


def _unlogged(value: float | None, claim: Claim) -> float | None:
    """A value as the claim shows it: a ratio where the effect is the logarithm of a ratio."""
    return float(np.exp(value)) if claim.log and value is not None else value
