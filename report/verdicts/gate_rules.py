"""What gates require, in words."""

from experiments.gates import YARDSTICKS, Beats, Gate, SeesTokens, Solves, Trains, UsesContext
from report.verdicts.text import join_words


def gate_rule(gate: Gate) -> str:
    """What a gate requires, in words."""
    if isinstance(gate, Solves):
        return f"in every seed {any_of(gate.arms)} solves the task (accuracy {gate.accuracy:g})"
    if isinstance(gate, Trains):
        guess = "a guess by frequency, or a uniform guess in a task without text"
        return f"in every seed {gate.arm} ends {gate.by:g} nats below {guess}"
    if isinstance(gate, SeesTokens):
        return f"{gate.arm} is trained on {gate.per_parameter:g} tokens a parameter"
    if isinstance(gate, Beats):
        return f"the loss of {gate.arm} is {gate.by:g} nats below that of {yardstick_name(gate)}"
    return (
        f"{part_of_window(gate)} the loss of {gate.arm} falls {gate.by:g} nats further than that of"
        " the bigram"
    )


def yardstick_name(gate: Beats) -> str:
    """The yardstick of a gate, in words."""
    names = {"unigram": "a guess by frequency", "uniform": "a uniform guess"}
    known = gate.yardstick in YARDSTICKS
    return names.get(gate.yardstick, "the bigram") if known else gate.yardstick


def part_of_window(gate: UsesContext) -> str:
    """The part of the window that a gate is about, in words."""
    return (
        f"after the first {100 * gate.skip:.2g} % of the window" if gate.skip else "in the window"
    )


def any_of(arms: tuple[str, ...]) -> str:
    """ "a", "one of a and b"."""
    return arms[0] if len(arms) == 1 else f"one of {join_words(arms)}"
