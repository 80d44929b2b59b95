"""Gates on a table of runs: whether the arms of a claim have learnt what the claim is about."""

import pandas as pd

from experiments.claim import Claim
from experiments.gates import Beats, Gate, SeesTokens, Solves
from report.verdicts.gate_rules import any_of, gate_rule
from report.verdicts.samples import NoEffectError, are_paired, contrast, paired, samples_of
from report.verdicts.stats import estimate
from report.verdicts.text import format_estimate, format_number

ACCURACY = "val_accuracy"  # the column that `Solves` is judged on
_COLUMNS = {Solves: [ACCURACY], SeesTokens: ["tokens", "parameters"], Beats: list[str]()}


def columns_of(gate: Gate) -> list[str]:
    """The columns that a gate needs besides the metric of its claim.

    Raises:
        ValueError: the gate needs more than a table of runs.
    """
    if type(gate) not in _COLUMNS:
        kinds = ", ".join(kind.__name__ for kind in _COLUMNS)
        raise ValueError(
            f"{type(gate).__name__} needs more than a table of runs: gates here are {kinds}"
        )
    return _COLUMNS[type(gate)]


def compared_by(gate: Gate) -> tuple[str, ...]:
    """The variants that a gate looks at. A yardstick is a variant of the table like the others."""
    return (gate.arm, gate.yardstick) if isinstance(gate, Beats) else gate.arms


def gate_words(gate: Gate, claim: Claim) -> str:
    """What a gate requires of runs, in words. The metric of a claim has no known unit here."""
    if isinstance(gate, Beats):
        below = f"{gate.by:g} below that of {gate.yardstick}"
        return f"the {claim.metric_words} of {gate.arm} is {below}"
    return gate_rule(gate)


def failing_gate(runs: pd.DataFrame, claim: Claim) -> str:
    """The first gate of a claim that does not hold, in words; "" if all hold.

    Args:
        runs: runs of one budget.
        claim: the claim. The loss that `Beats` compares is its metric.

    Raises:
        NoEffectError: a gate cannot be judged, since runs or values are missing.
    """
    return next((why for gate in claim.requires if (why := _failure(runs, claim, gate))), "")


def _failure(runs: pd.DataFrame, claim: Claim, gate: Gate) -> str:
    if isinstance(gate, Beats):
        return _not_beaten(runs, claim, gate)
    if isinstance(gate, Solves):
        accuracies = pd.DataFrame(samples_of(runs, gate.arms, ACCURACY))
        solved = (accuracies >= gate.accuracy).any(axis=1)
        if solved.all():
            return ""
        return (
            f"{any_of(gate.arms)} solves the task (accuracy {gate.accuracy:g}) in {solved.sum()} of"
            f" {len(solved)} seeds, and is required to in every seed"
        )
    assert isinstance(gate, SeesTokens)
    tokens, parameters = (
        samples_of(runs, [gate.arm], column)[gate.arm] for column in ("tokens", "parameters")
    )
    ratio = float((tokens / parameters).min())
    if ratio >= gate.per_parameter:
        return ""
    return (
        f"{gate.arm} is trained on {format_number(ratio)} tokens a parameter, and"
        f" {gate.per_parameter:g} are required"
    )


def _not_beaten(runs: pd.DataFrame, claim: Claim, gate: Beats) -> str:
    """That the metric of an arm is not below that of the yardstick; "" if it is."""
    samples = samples_of(runs, [gate.yardstick, gate.arm], claim.metric)
    weights = {gate.yardstick: 1.0, gate.arm: -1.0}
    if are_paired(samples):
        result = estimate(list(paired(samples, weights)))
    else:
        result = contrast(samples, weights)
    if result.low is None:
        raise NoEffectError(f"whether {gate.arm} beats {gate.yardstick} needs at least two seeds")
    if result.low > gate.by:
        return ""
    return (
        f"the {claim.metric_words} of {gate.arm} is below that of {gate.yardstick} by"
        f" {format_estimate(result)}, and {gate.by:g} is required"
    )
