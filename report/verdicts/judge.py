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


class Verdict(StrEnum):
    """The verdict on a claim."""

    SUPPORTED = "supported"
    CONTRADICTED = "contradicted"
    UNDECIDED = "undecided"
    NOT_TESTED = "not tested"


def judge_all(results: Path) -> None:
    """Write the table `claims`: one row for each claim of every ablation.

    Raises:
        UserError: a table that the claims need is missing, damaged, or of another version.
    """
    tables = Tables.load(results)
    rows = [
        judge(tables, name, claim)
        for name, ablation in tables.ablations.items()
        for claim in ablation.claims
    ]
    for row, corrected in zip(rows, holm([row.get("p") for row in rows]), strict=True):
        row["p_holm"] = corrected
    write_table(results, "claims", rows)


def judge(tables: Tables, ablation: str, claim: Claim) -> dict[str, Any]:
    """A claim's row of the table `claims`, without the correction of p over all claims."""
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
    values = claim_effect(tables, ablation, claim).to_numpy(dtype=float)
    members = tables.members
    needed = members[
        (members["ablation"] == ablation) & members["variant"].isin(list(claim.effect))
    ]
    about_costs = claim.metric in COST_METRICS
    row = stated | {
        "scale": "ratio" if claim.log else "difference",
        "unit": unit(claim),
        "margin": claim.margin,
        "n": len(values),
        "planned": len(values) if about_costs else int(needed["seed"].nunique()),
        "diverged": int((needed["status"] == Status.DIVERGED).sum()),
    }
    if not len(values):
        why = reason_not_tested(needed, claim, tables.study.tokenizer)
        return row | {"verdict": Verdict.NOT_TESTED, "why": why}
    margin = float(np.log1p(claim.margin)) if claim.log else claim.margin
    result = estimate(values)
    verdict = decide(result, margin, claim)
    row |= {
        "effect": _unlogged(result.mean, claim),
        "low": _unlogged(result.low, claim),
        "high": _unlogged(result.high, claim),
        "p": _p(values, margin, claim),
        "p_sign_flip": None if claim.equal or claim.no_worse else sign_flip_p(values),
        "verdict": verdict,
    }
    if verdict == Verdict.UNDECIDED and not about_costs:
        row["seeds_needed"] = seeds_needed(values, distance_to_decision(result.mean, margin, claim))
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
