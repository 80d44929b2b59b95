"""Verdicts: each claim's effect, interval and p, and what its own rule makes of them."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from experiments.ablation import Claim
from experiments.metrics import COST_METRICS, METRICS
from experiments.records.collect import write_table
from experiments.records.run_folder import FINISHED
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
from report.verdicts.text import format_interval, format_number, format_seeds, plural

SUPPORTED, CONTRADICTED, UNDECIDED, NOT_TESTED = VERDICTS = (
    "supported",
    "contradicted",
    "undecided",
    "not tested",
)


def judge_all(results: Path) -> None:
    """Write the table `claims`: a row per claim of every ablation.

    Raises:
        UserError: a table that it takes is missing, damaged, or of another version.
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
    """One row of the table `claims`, but for the correction over all of them."""
    if claim.check:
        return _judge_identity(tables, ablation, claim)
    margin = float(np.log1p(claim.margin)) if claim.log else claim.margin
    values = tables.values(ablation, claim)
    members = tables.members
    needed = members[
        (members["ablation"] == ablation) & members["variant"].isin(list(claim.effect))
    ]
    row: dict[str, Any] = {
        **_stated(ablation, claim),
        "scale": "ratio" if claim.log else "difference",
        "unit": unit(claim),
        "margin": claim.margin,
        "n": len(values),
        "planned": int(needed["seed"].nunique()),
        "diverged": int((needed["status"] == "diverged").sum()),
    }
    if claim.metric in COST_METRICS:
        row["planned"] = len(values)
        if not len(values):
            return row | {"verdict": NOT_TESTED, "why": "it has not been measured yet"}
    elif needed.empty:
        lacking = "this corpus does not have what its task needs"
        if tables.study.tokenizer == "bpe":
            lacking = "its task needs places in the text, which are known by character alone"
        return row | {"verdict": NOT_TESTED, "why": lacking}
    elif len(values) == 0:
        return row | {"verdict": NOT_TESTED, "why": _lacking(needed, claim)}
    found = estimate(list(values))
    verdict = decide(found, margin, claim)
    array = values.to_numpy(dtype=float)
    row |= {
        "effect": _shown(found.mean, claim),
        "low": _shown(found.low, claim),
        "high": _shown(found.high, claim),
        "p": _p(array, margin, claim),
        "p_sign_flip": None if claim.equal or claim.no_worse else sign_flip_p(array),
        "verdict": verdict,
    }
    if verdict == UNDECIDED and claim.metric not in COST_METRICS:
        distance = distance_to_decision(found.mean, margin, claim)
        row["seeds_needed"] = seeds_needed(array, distance)
    return row | {"why": _why(row, claim) + _diverged(needed, claim)}


def _judge_identity(tables: Tables, ablation: str, claim: Claim) -> dict[str, Any]:
    """A claim that is checked without any run."""
    row = _stated(ablation, claim) | {"scale": "exact", "n": 0, "planned": 0, "diverged": 0}
    if claim.check not in tables.identities.index:
        return row | {"verdict": NOT_TESTED, "why": "it has not been checked in these results"}
    found = tables.identities.loc[claim.check]
    return row | {"verdict": SUPPORTED if found["holds"] else CONTRADICTED, "why": found["why"]}


def _stated(ablation: str, claim: Claim) -> dict[str, Any]:
    """What the ablation file says of a claim."""
    return {
        "claim": claim.id,
        "ablation": ablation,
        "sentence": claim.sentence,
        "said_by": claim.said_by,
        "published": claim.published,
        "rule": rule(claim),
    }


def _p(values: npt.NDArray[np.float64], margin: float, claim: Claim) -> float | None:
    if claim.equal:
        return equivalence_p(values, margin)
    return no_worse_p(values, margin) if claim.no_worse else t_test_p(values)


def decide(found: Estimate, margin: float, claim: Claim) -> str:
    """The verdict on an interval. `margin` is the smallest effect that counts.

    An effect is claimed: supported above +margin, contradicted below zero or within ±margin.
    No effect is claimed: supported within ±margin, contradicted wholly beyond it on one side.
    No effect to the worse: supported above -margin, contradicted below.
    """
    if found.low is None or found.high is None:
        return UNDECIDED
    within = -margin < found.low and found.high < margin
    if claim.no_worse:
        worse = found.high < -margin
        return SUPPORTED if found.low > -margin else CONTRADICTED if worse else UNDECIDED
    if claim.equal:
        beyond = found.low > margin or found.high < -margin
        return SUPPORTED if within else CONTRADICTED if beyond else UNDECIDED
    if found.low > margin:
        return SUPPORTED
    return CONTRADICTED if found.high < 0 or within else UNDECIDED


def distance_to_decision(mean: float, margin: float, claim: Claim) -> float:
    """How far the mean lies from the nearest bound that would decide, were the interval narrow: in
    the effect's unit, and of a ratio in its logarithm, as mean and margin are.
    """
    if claim.no_worse:
        return abs(mean + margin)
    if claim.equal:
        return abs(abs(mean) - margin)
    if mean > margin:
        return mean - margin
    return max(margin - abs(mean), -mean)


def rule(claim: Claim) -> str:
    """The rule in words."""
    if claim.check:
        return "Supported if it holds when it is checked, contradicted if not; nothing is trained."
    if claim.log:
        least = f"a ratio of {1 + claim.margin:g}"
        none, inside = "1", f"between {1 / (1 + claim.margin):.3g} and {1 + claim.margin:g}"
    else:
        least, none, inside = f"+{claim.margin:g}", "0", f"within ±{claim.margin:g}"
    worst = f"{1 / (1 + claim.margin):.3g}" if claim.log else f"−{claim.margin:g}"
    if claim.no_worse:
        says = f"Supported if the 95 % interval lies above {worst}, contradicted if wholly below"
    elif claim.equal:
        says = f"Supported if the 95 % interval lies {inside}, contradicted if wholly outside"
    else:
        says = (
            f"Supported if the 95 % interval lies wholly above {least}, contradicted if wholly"
            f" below {none} or {inside}"
        )
    of_what = f" The effect is what exceeds {claim.threshold:g}." if claim.threshold else ""
    return f"{says}; else undecided.{of_what} The margin: {claim.why_margin}."


def unit(claim: Claim) -> str:
    """The unit of a claim's effect."""
    if claim.log:
        return f"ratio of {claim.metric.replace('_', ' ')}"
    return (METRICS | COST_METRICS)[claim.metric]


def _over(claim: Claim, n: int) -> str:
    """What the interval is taken over."""
    if claim.metric == "measured_seconds":
        return plural(n, "repeat")
    if claim.metric in COST_METRICS:
        return plural(n, "doubling") + " of the length"
    return format_seeds(n)


def _shown(value: float | None, claim: Claim) -> float | None:
    return value if value is None or not claim.log else float(np.exp(value))


def _why(row: dict[str, Any], claim: Claim) -> str:
    """The numbers that decided, in a sentence."""
    effect, low, high, n = row["effect"], row["low"], row["high"], row["n"]
    name = "ratio" if claim.log else "effect"
    if claim.threshold:
        name = f"what exceeds {claim.threshold:g} is"
    if low is None:
        return (
            f"{name} {format_number(effect)} from {_over(claim, n)}: an interval takes two at least"
        )
    text = f"{name} {format_number(effect, low, high)}, 95 % interval {format_interval(low, high)}"
    text += f" over {_over(claim, n)}"
    if row["verdict"] == UNDECIDED and claim.metric not in COST_METRICS:
        needed = row["seeds_needed"]
        text += (
            f"; about {needed} seeds would decide"
            if needed
            else ("; more seeds than can sensibly be run would be needed")
        )
    return text


def _lacking(needed: pd.DataFrame, claim: Claim) -> str:
    """Why no seed has a value. needed: the members that a claim weighs."""
    over = needed["status"].isin(FINISHED)
    if over.groupby(needed["seed"]).all().any():
        metric = claim.metric.replace("_", " ")
        return f"no seed has a value of {metric} for every run it needs" + _diverged(needed, claim)
    counts = needed.loc[~over, "status"].value_counts()
    return "no seed has every run it needs: " + ", ".join(f"{n} {s}" for s, n in counts.items())


def _diverged(needed: pd.DataFrame, claim: Claim) -> str:
    """What became of the runs that diverged, in words to be added; nothing where none did."""
    lost = needed[needed["status"] == "diverged"]
    if claim.metric == "val_loss":
        fates = {"counted as a uniform guess": len(lost)}
    elif claim.metric.endswith("_to_loss"):
        fates = {"counted up to there": len(lost)}
    else:
        known = int(lost[claim.metric].notna().sum()) if claim.metric in lost else 0
        fates = {"counted with what was measured": known, "left out": len(lost) - known}
    return "".join(f"; {plural(n, 'run')} diverged, {fate}" for fate, n in fates.items() if n)
