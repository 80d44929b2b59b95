"""Explanations in words: the rule of a claim, and the numbers behind its verdict."""

from typing import Any

import pandas as pd

from experiments.ablation import Claim
from experiments.metrics import BLOCK_METRICS, COST_METRICS, METRICS, SPEED_METRICS
from experiments.planning.looks import LOOKS, look_number
from experiments.records.run_folder import FINISHED, Status
from report.verdicts.gates import gate_rule
from report.verdicts.outcomes import Verdict, decidable_with, outcome_ps_of_counts
from report.verdicts.stats import LEVEL, Estimate, look_level
from report.verdicts.text import (
    format_coverage,
    format_interval,
    format_number,
    format_seeds,
    join_words,
    plural,
)

_NO_STEPS = "the training steps have not been measured"


def rule(claim: Claim, level: float = LEVEL) -> str:
    """The rule by which a claim is judged at a level."""
    if claim.check:
        return "Supported if the check holds, reversed if it fails. Nothing is trained."
    gates = "; ".join(gate_rule(gate) for gate in claim.requires)
    testable = f" Gates: {gates}." if gates else ""
    excess = f" The effect is the excess over {claim.threshold:g}." if claim.threshold else ""
    margin = f" The margin: {claim.why_margin}."
    return f"{_outcomes(claim, level)}, otherwise undecided.{excess}{margin}{testable}"


def _outcomes(claim: Claim, level: float) -> str:
    """The interval that each outcome of a claim needs, in words."""
    if claim.counted:
        least = claim.seed_margin
        by = f" by more than {least:g} {_metric_unit(claim)}" if least else ""
        return (
            f"The share of seeds in which the comparison comes out as claimed{by}: supported if its"
            f" whole exact {format_coverage(level)} interval lies above {claim.margin:g},"
            f" reversed if that of the share that comes out the other way does, negligible if both"
            f" lie below {claim.margin:g}"
        )
    above, below = f"+{claim.margin:g}", f"−{claim.margin:g}"
    inside = f"within ±{claim.margin:g}"
    if claim.log:
        ratio, below = f"{1 + claim.margin:g}", f"{1 / (1 + claim.margin):.3g}"
        above, inside = f"a ratio of {ratio}", f"between {below} and {ratio}"
    start = f"Supported if the whole {format_coverage(level)} interval lies"
    if claim.no_worse:
        return f"{start} above {below}, reversed if it lies below {below}"
    if claim.equal:
        return f"{start} {inside}, reversed if it lies wholly outside"
    return (
        f"{start} above {above}, negligible if it lies {inside}, reversed if it lies below {below}"
    )


def unit(claim: Claim) -> str:
    """The unit of a claim's effect."""
    if claim.counted:
        return "share of seeds"
    if claim.log:
        return f"ratio of {_metric(claim)}"
    return _metric_unit(claim)


def _metric_unit(claim: Claim) -> str:
    return (METRICS | COST_METRICS)[claim.metric]


def numbers(row: dict[str, Any], claim: Claim) -> str:
    """The effect and interval that decided a verdict, and for an undecided claim the smallest
    effect that would have been decided.

    Args:
        row: the claim's row of the table `claims`.
        claim: the claim.
    """
    effect, low, high = row["effect"], row["low"], row["high"]
    name = "share" if claim.counted else "ratio" if claim.log else "effect"
    if claim.threshold:
        name = f"excess over {claim.threshold:g}:"
    if low is None:
        return (
            f"{name} {format_number(effect)} from {_sample(claim, row['n'])}: an interval needs"
            " at least two"
        )
    text = (
        f"{name} {format_number(effect, low, high)}, {format_coverage(row['level'])} interval"
        f" {format_interval(low, high)} over {_sample(claim, row['n'])}"
    )
    if row["look"] > 1:
        text += f" (look {row['look']})"
    if row["verdict"] != Verdict.UNDECIDED or row["decidable"] is None:
        return text
    decidable = format_number(row["decidable"], low, high)
    kind = "ratios" if claim.log else "effects"
    return f"{text}; {kind} of {decidable} and more would have been decided"


def too_few(n: int, claim: Claim, level: float) -> str:
    """That no outcome of so many seeds could support a counted claim, to follow another text; empty
    if one could, or if the claim is not counted.
    """

    def decides(seeds: int) -> bool:
        ps = outcome_ps_of_counts(seeds, 0, seeds, claim.margin)
        return ps[Verdict.SUPPORTED] < level

    if not claim.counted or decides(n):
        return ""
    enough = next((seeds for seeds in range(n, LOOKS[-1] + 1) if decides(seeds)), None)
    least = f"{enough} are" if enough else f"more than {LOOKS[-1]} are"
    return (
        f"; {plural(n, 'seed')} cannot support this claim, whatever their outcome: {least} needed"
    )


def too_small(effect: Estimate, claim: Claim) -> str:
    """That so small an effect as the published one could hardly be decided, to follow another text;
    empty if it could, or if none is known.
    """
    level = look_level(look_number(LOOKS[-1], 1))
    least = decidable_with(effect, claim.margin, LOOKS[-1], level)
    if claim.published_effect is None or least is None or claim.published_effect >= least:
        return ""
    return (
        f"; the published effect, about {claim.published_effect:.2g}, is below the {least:.2g} that"
        f" {LOOKS[-1]} seeds could decide"
    )


MEASURED_ON = "; measured on "  # between a verdict's reason and the machine


def machine(rows: pd.DataFrame) -> str:
    """Where times were measured, to follow a text: "; measured on AMD EPYC, one thread".

    Args:
        rows: rows of the table `costs`.
    """
    threads = [int(n) for n in sorted(set(rows["threads"].dropna()))]
    named = [str(name) for name in sorted(set(rows["device_name"].dropna()))]
    counted = ["one thread" if n == 1 else plural(n, "thread") for n in threads]
    return f"{MEASURED_ON}{', '.join([join_words(named), *counted])}" if named else ""


def reason_not_run(
    needed: pd.DataFrame, claim: Claim, tokenizer: str, *, has_genres: bool, blocks: int = 0
) -> str:
    """Why a claim has no effect for any seed or block.

    Args:
        needed: the members of the variants that the claim weighs.
        claim: the claim.
        tokenizer: the study's tokenizer, "characters" or "bpe".
        has_genres: whether the corpus has the data of every task.
        blocks: number of blocks that have measured what the claim weighs.
    """
    if claim.metric in BLOCK_METRICS:
        return _NO_STEPS if claim.metric in SPEED_METRICS else "the costs have not been measured"
    if needed.empty and has_genres:
        return "no run of the comparison is planned in this study"
    if needed.empty and tokenizer == "bpe":
        return "the task needs positions in the text, which only tokens of one character have"
    if needed.empty:
        return "this corpus lacks the data of the task"
    finished = needed["status"].isin(FINISHED)
    if finished.groupby(needed["seed"]).all().any():
        if claim.metric.endswith("_to_loss"):
            if claim.metric in SPEED_METRICS and not blocks:
                return _NO_STEPS
            return "no seed has a loss of the bigram that every run of the comparison reaches"
        return (
            f"no seed has a value of {_metric(claim)} for every run of the comparison"
            + divergence(needed, claim)
        )
    counts = needed.loc[~finished, "status"].value_counts()
    lacking = ", ".join(f"{n} {status}" for status, n in counts.items())
    return f"no seed has every run of the comparison: {lacking}"


def divergence(needed: pd.DataFrame, claim: Claim) -> str:
    """How diverged runs were counted, to follow another text; empty if no run diverged.

    Args:
        needed: the members of the variants that the claim weighs.
        claim: the claim.
    """
    diverged = needed[needed["status"] == Status.DIVERGED]
    if claim.metric in ("val_loss", "val_loss_per_character"):
        counts = {"counted as a uniform guess": len(diverged)}
    elif claim.metric.endswith("_to_loss"):
        counts = {"counted up to the divergence": len(diverged)}
    elif claim.metric == "steps_to_solve":
        counts = {"counted as not solved": len(diverged)}
    elif claim.metric == "trains":
        counts = {"counted as not training": len(diverged)}
    else:
        measured = int(diverged[claim.metric].notna().sum()) if claim.metric in diverged else 0
        counts = {
            "counted with what was measured": measured,
            "left out": len(diverged) - measured,
        }
    return "".join(f"; {plural(n, 'run')} diverged, {how}" for how, n in counts.items() if n)


def unreached(training: pd.DataFrame) -> str:
    """How many seeds are left out since a run never reaches the loss, to follow another text.

    Args:
        training: training to the loss, [seeds, variants], NaN where it is never reached.
    """
    n = int(training.isna().any(axis=1).sum())
    return f"; {plural(n, 'seed')} left out, where a run never reaches the loss" if n else ""


def _metric(claim: Claim) -> str:
    return claim.metric.replace("_", " ")


def _sample(claim: Claim, n: int) -> str:
    """The values that an interval is taken over, counted."""
    if claim.metric == "memory_exponent":
        return plural(n, "measurement")
    if claim.metric in BLOCK_METRICS:
        return plural(n, "block")
    return format_seeds(n)
