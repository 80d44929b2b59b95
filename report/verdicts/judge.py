"""Judging: the effect, interval, p-value and verdict of each claim, by the claim's rule."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from experiments.ablation import Claim
from experiments.metrics import BLOCK_METRICS, COUNTED_METRICS, TIMED
from experiments.records.collect import write_table
from experiments.records.run_folder import Status
from report.verdicts.cost_growth import growth
from report.verdicts.effects import (
    Sample,
    claim_effect,
    measured_operations,
    sample_of,
    training_to_loss,
)
from report.verdicts.explain import (
    divergence,
    machine,
    numbers,
    reason_not_run,
    rule,
    too_few,
    too_small,
    unit,
    unreached,
)
from report.verdicts.gates import failing_gate
from report.verdicts.outcomes import (
    DECIDED,
    Verdict,
    count_signs,
    decide,
    margin_of,
    outcome_ps,
    outcome_ps_of_counts,
    smallest_decidable,
)
from report.verdicts.seals import seal_text
from report.verdicts.stats import (
    LEVEL,
    Estimate,
    benjamini_hochberg,
    estimate,
    look_level,
    share,
    shifted,
)
from report.verdicts.tables import Tables
from report.verdicts.text import join_words
from report.verdicts.trend import effect_trend

# What a claim lacks whose comparison means nothing.
_UNJUDGED: dict[str, Any] = {"p": None, "decidable": None}


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
    for budget in {row.get("budget") for row in rows}:
        mark_fragile([row for row in rows if row.get("budget") == budget])
    write_table(results, "claims", rows)


def mark_fragile(rows: list[dict[str, Any]]) -> None:
    """Add to the claims of one budget p as corrected over all of them, and whether a decided claim
    is fragile: its corrected p is not below the level of the first look.

    At a later look less is left of the level, so its p counts for as much more.
    """
    corrected = benjamini_hochberg([_p_at_first_look(row) for row in rows])
    for row, p in zip(rows, corrected, strict=True):
        row["p_corrected"] = p
        row["fragile"] = row["verdict"] in DECIDED and p is not None and p >= LEVEL


def _p_at_first_look(row: dict[str, Any]) -> float | None:
    p = row.get("p")
    return None if p is None else min(1.0, p * LEVEL / row["level"])


def judge_budgets(tables: Tables, ablation: str, claim: Claim) -> list[dict[str, Any]]:
    """A claim's rows of the table `claims`, one per budget, with the trend over all of them.

    A claim about an identity, or about what is measured in blocks, has one row without a budget. A
    claim that is counted in seeds has no trend.
    """
    if claim.check or claim.metric in BLOCK_METRICS:
        return [judge(tables, ablation, claim)]
    counts = tables.study.seed_counts
    rows, effects = list[dict[str, Any]](), dict[int, "pd.Series[float]"]()
    for budget in tables.budgets_of(ablation) or [tables.study.budgets[0]]:
        if rows and not counts.of_claim(tables.ablations[ablation], claim, budget):
            continue  # other claims alone are trained at this budget
        at_budget = tables.of_claim(ablation, claim, budget)
        row = judge(at_budget, ablation, claim) | {"budget": budget}
        rows.append(row)
        if row["verdict"] not in (Verdict.NOT_TESTABLE, Verdict.NOT_RUN) and not row["interim"]:
            effects[budget] = claim_effect(at_budget, ablation, claim)
    for row in rows:
        if row["verdict"] == Verdict.NOT_TESTABLE and effects:
            row["why"] += f"; testable at budget {join_words(list(map(str, effects)))}"
    trend = None if claim.counted else effect_trend(effects, margin_of(claim))
    if trend:
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
    """A claim's row of the table `claims` at the budget of the tables, without its trend and what
    depends on other claims.
    """
    by_block, look = claim.metric in BLOCK_METRICS, tables.look(ablation, claim)
    level = look_level(look)
    stated: dict[str, Any] = {
        "claim": claim.id,
        "ablation": ablation,
        "sentence": claim.sentence,
        "said_by": claim.said_by,
        "published": claim.published,
        "restated": claim.restated,
        "rule": rule(claim, level),
        "sealed": seal_text(tables.seals, ablation, claim, tables.ablations[ablation].variants),
    }
    if claim.check:
        return stated | _judge_identity(tables, claim)
    members = tables.of(ablation)
    needed = members[members["variant"].isin([] if by_block else list(claim.effect))]
    sample = sample_of(tables, ablation, claim, needed)
    stated |= {
        "scale": "ratio" if claim.log else "difference",
        "unit": unit(claim),
        "margin": claim.margin,
        "look": look,
        "level": level,
        "diverged": int((needed["status"] == Status.DIVERGED).sum()),
        "interim": sample.interim,
        "planned": sample.planned,
        "n": 0,
    }
    if claim.metric.endswith("_exponent"):
        row = stated | _judge_growth(tables, claim, sample)
    else:
        effects = claim_effect(tables, ablation, claim)
        row = stated | _judge_effects(tables, ablation, claim, needed, effects, sample)
    if claim.metric in TIMED and row.get("effect") is not None:
        operations = measured_operations(ablation, claim).values()
        row["why"] += machine(tables.costs[tables.costs["what"].isin(operations)])
    return row


def _judge_effects(
    tables: Tables,
    ablation: str,
    claim: Claim,
    needed: pd.DataFrame,
    effects: "pd.Series[float]",
    sample: Sample,
) -> dict[str, Any]:
    """The verdict on the effects of a claim, one for each seed or block."""
    n, look = len(effects), tables.look(ablation, claim)
    level = look_level(look)
    to_loss, seeds = claim.metric.endswith("_to_loss"), _planned_seeds(needed, claim)
    if claim.metric in BLOCK_METRICS:
        seeds = pd.Index(sorted(set(tables.of(ablation)["seed"])))
    if not n:
        study = tables.study
        why = reason_not_run(
            needed,
            claim,
            study.tokenizer,
            has_genres=study.has_genres,
            blocks=sample.blocks,
        )
        if to_loss and len(seeds) and not sample.interim:
            gate = failing_gate(tables, ablation, claim, seeds)
            if gate and gate.holds is False:
                return {"verdict": Verdict.NOT_TESTABLE, "why": f"{gate.why}; {why}"}
        return {"verdict": Verdict.NOT_RUN, "why": why}
    result, ps = _tested(effects, claim, level)
    row = {"level": level, "look": look} | _numbers(result, ps, claim, level)
    if sample.interim:
        return row | _interim(row, claim, sample, divergence(needed, claim))
    if (
        claim.learnt
        and claim.metric not in COUNTED_METRICS
        and (failed := _seeds_without_result(needed))
    ):
        why = f"every compared run diverged in {failed} of {n} seeds"
        return row | _UNJUDGED | {"verdict": Verdict.NOT_TESTABLE, "why": why}
    if gate := failing_gate(tables, ablation, claim, seeds):
        row |= _UNJUDGED
        row["verdict"] = Verdict.NOT_RUN if gate.holds is None else Verdict.NOT_TESTABLE
        return row | {"why": f"{gate.why}; {numbers(row, claim)}"}
    why = numbers(row, claim) + divergence(needed, claim)
    if to_loss:
        why += unreached(training_to_loss(tables, ablation, claim))
    if row["verdict"] == Verdict.UNDECIDED:
        why += too_small(result, claim) + too_few(n, claim, level)
    return row | {"why": why}


def _interim(
    row: dict[str, Any], claim: Claim, sample: Sample, further: str = ""
) -> dict[str, Any]:
    """What replaces a verdict while planned seeds or blocks are missing."""
    unjudged = row | _UNJUDGED | {"verdict": Verdict.UNDECIDED}
    why = f"interim, with {sample.progress(row['n'])}: {numbers(unjudged, claim)}{further}"
    return unjudged | {"why": why}


def _tested(
    effects: "pd.Series[float]", claim: Claim, level: float
) -> tuple[Estimate, dict[Verdict, float]]:
    """The estimate of a claim's effect over seeds, and the p of each outcome."""
    margin = margin_of(claim)
    if not claim.counted:
        result = estimate(list(effects), level)
        return result, outcome_ps(claim, result, margin)
    as_claimed, reverse = count_signs(effects)
    n = len(effects)
    return share(as_claimed, n, level), outcome_ps_of_counts(as_claimed, reverse, n, margin)


def _judge_growth(tables: Tables, claim: Claim, sample: Sample) -> dict[str, Any]:
    """The verdict on a claim about how a cost grows with the length."""
    (operation,) = claim.effect
    power = growth(tables.costs, operation, "both", claim.metric)
    if power is None:
        why = reason_not_run(pd.DataFrame(), claim, "", has_genres=True)
        return {"verdict": Verdict.NOT_RUN, "why": why}
    result = shifted(power, -claim.threshold)
    row = _numbers(result, outcome_ps(claim, result, claim.margin), claim, LEVEL)
    row |= {"level": LEVEL, "look": 1}
    if claim.metric in TIMED:
        row["n"] = sample.blocks
    else:
        row["planned"] = result.n  # memory does not vary, so one block has all measurements
    if sample.interim:
        return _interim(row, claim, sample)
    return row | {"why": numbers(row, claim)}


def _numbers(
    result: Estimate, ps: dict[Verdict, float], claim: Claim, level: float
) -> dict[str, Any]:
    """Effect, interval, p and verdict, and for an undecided claim what would have been decided."""
    verdict, p = decide(ps, level)
    decidable = None if claim.counted else smallest_decidable(claim, result)
    return {
        "effect": _unlogged(result.mean, claim),
        "low": _unlogged(result.low, claim),
        "high": _unlogged(result.high, claim),
        "n": result.n,
        "p": None if result.low is None else p,
        "verdict": verdict,
        "decidable": _unlogged(decidable, claim) if verdict == Verdict.UNDECIDED else None,
    }


def _planned_seeds(needed: pd.DataFrame, claim: Claim) -> pd.Index:
    """The seeds that every variant of a claim is planned with. Gates are judged on all of them,
    also where a diverged run has no effect to weigh.
    """
    variants = needed.groupby("seed")["variant"].nunique()
    return variants[variants == len(claim.effect)].index


def _seeds_without_result(needed: pd.DataFrame) -> int:
    """Number of seeds in which every run of the comparison diverged."""
    return int((needed["status"] == Status.DIVERGED).groupby(needed["seed"]).all().sum())


def _judge_identity(tables: Tables, claim: Claim) -> dict[str, Any]:
    """The verdict on a claim that is checked without any run."""
    row: dict[str, Any] = {"scale": "exact", "n": 0, "planned": 0, "diverged": 0, "interim": False}
    if claim.check not in tables.identities.index:
        return row | {"verdict": Verdict.NOT_RUN, "why": "the check has not been run"}
    result = tables.identities.loc[claim.check]
    verdict = Verdict.SUPPORTED if result["holds"] else Verdict.REVERSED
    return row | {"verdict": verdict, "why": result["why"]}


def _unlogged(value: float | None, claim: Claim) -> float | None:
    """A value as the claim shows it: a ratio where the effect is the logarithm of a ratio."""
    return float(np.exp(value)) if claim.log and value is not None else value
