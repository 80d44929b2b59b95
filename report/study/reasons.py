"""Reasons: why a claim has no effect, what was left out, and where times were measured."""

import pandas as pd

from experiments.claim import Claim
from experiments.metrics import BLOCK_METRICS, SPEED_METRICS
from experiments.records.run_folder import FINISHED, Status
from report.verdicts.text import format_seeds, join_words, plural

_NO_STEPS = "the training steps have not been measured"
MEASURED_ON = "; measured on "  # between a verdict's reason and the machine


def machine(rows: pd.DataFrame) -> str:
    """Machine and threads of measured times, as the end of a reason: "; measured on AMD EPYC, one
    thread".

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
            f"no seed has a value of {claim.metric_words} for every run of the comparison"
            + divergence(needed, claim)
        )
    counts = needed.loc[~finished, "status"].value_counts()
    lacking = ", ".join(f"{n} {status}" for status, n in counts.items())
    return f"no seed has every run of the comparison: {lacking}"


def divergence(needed: pd.DataFrame, claim: Claim) -> str:
    """Number of diverged runs and how they were counted, as the end of a reason; empty for none.

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


def sample_text(claim: Claim, n: int) -> str:
    """The values that an interval is taken over, counted."""
    if claim.metric == "memory_exponent":
        return plural(n, "measurement")
    if claim.metric in BLOCK_METRICS:
        return plural(n, "block")
    return format_seeds(n)
