"""Judging a study: the table of its claims, with the verdict on each claim at each budget."""

from pathlib import Path
from typing import Any

import pandas as pd

from experiments.claim import Claim
from experiments.metrics import BLOCK_METRICS, COUNTED_METRICS, TIMED
from experiments.records.collect import write_table
from experiments.records.run_folder import Status
from report.study.cost_growth import growth
from report.study.effects import (
    Sample,
    claim_effect,
    measured_operations,
    sample_of,
    training_to_loss,
)
from report.study.gates import failing_gate
from report.study.reasons import (
    divergence,
    machine,
    reason_not_run,
    sample_text,
    unreached,
)
from report.study.seals import seal_text
from report.study.tables import Tables
from report.verdicts.explain import numbers, rule, too_few, too_small
from report.verdicts.gate_rules import gate_rule
from report.verdicts.outcomes import Verdict, judge_effects, judge_estimate, mark_fragile
from report.verdicts.stats import LEVEL, look_level, shifted
from report.verdicts.text import join_words
from report.verdicts.trend import trend_columns

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
            budgets = join_words(list(map(str, effects)))
            row["why"] += f"; testable at {'budget' if len(effects) == 1 else 'budgets'} {budgets}"
    return [row | trend_columns(effects, claim) for row in rows]


def judge(tables: Tables, ablation: str, claim: Claim) -> dict[str, Any]:
    """A claim's row of the table `claims` at the budget of the tables, without its trend and what
    depends on other claims.
    """
    by_block, look = claim.metric in BLOCK_METRICS, tables.look(ablation, claim)
    level = look_level(look)
    known = tables.ablations[ablation]
    stated: dict[str, Any] = {
        "claim": claim.id,
        "ablation": ablation,
        "sentence": claim.sentence,
        "said_by": claim.said_by,
        "published": claim.published,
        "restated": claim.restated,
        "rule": rule(claim, level, claim.metric_unit, [gate_rule(gate) for gate in claim.requires]),
        "sealed": seal_text(tables.seals, ablation, claim, known.variants, known.own_probes),
    }
    if claim.check:
        return stated | _judge_identity(tables, claim)
    members = tables.of(ablation)
    needed = members[members["variant"].isin([] if by_block else list(claim.effect))]
    sample = sample_of(tables, ablation, claim, needed)
    stated |= {
        "scale": "ratio" if claim.log else "difference",
        "unit": claim.unit,
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
    result, judged = judge_effects(claim, effects, level)
    row = {"level": level, "look": look} | judged
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
        return row | {"why": f"{gate.why}; {numbers(row, claim, sample_text(claim, row['n']))}"}
    why = _numbers(row, claim) + divergence(needed, claim)
    if to_loss:
        why += unreached(training_to_loss(tables, ablation, claim))
    if row["verdict"] == Verdict.UNDECIDED:
        why += too_small(result, claim) + too_few(n, claim, level)
    return row | {"why": why}


def _numbers(row: dict[str, Any], claim: Claim) -> str:
    return numbers(row, claim, sample_text(claim, row["n"]))


def _interim(
    row: dict[str, Any], claim: Claim, sample: Sample, further: str = ""
) -> dict[str, Any]:
    """What replaces a verdict while planned seeds or blocks are missing."""
    unjudged = row | _UNJUDGED | {"verdict": Verdict.UNDECIDED}
    why = f"interim, with {sample.progress(row['n'])}: {_numbers(unjudged, claim)}{further}"
    return unjudged | {"why": why}


def _judge_growth(tables: Tables, claim: Claim, sample: Sample) -> dict[str, Any]:
    """The verdict on a claim about how a cost grows with the length."""
    (operation,) = claim.effect
    power = growth(tables.costs, operation, "both", claim.metric)
    if power is None:
        why = reason_not_run(pd.DataFrame(), claim, "", has_genres=True)
        return {"verdict": Verdict.NOT_RUN, "why": why}
    result = shifted(power, -claim.threshold)
    row = judge_estimate(claim, result, LEVEL)
    row |= {"level": LEVEL, "look": 1}
    if claim.metric in TIMED:
        row["n"] = sample.blocks
    else:
        row["planned"] = result.n  # memory does not vary, so one block has all measurements
    if sample.interim:
        return _interim(row, claim, sample)
    return row | {"why": _numbers(row, claim)}


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
