"""What gates require, in words."""

from experiments.gates import YARDSTICKS, Beats, Gate, SeesTokens, Solves, Trains, UsesContext
from report.verdicts.text import join_words


def gate_rule(gate: Gate) -> str:
    """What a gate requires, in words."""
    if isinstance(gate, Solves):
        return f"in every seed {any_of(gate.arms)} solves the task (accuracy {gate.accuracy:g})"
    if isinstance(gate, Trains):
        return f"in every seed {gate.arm} ends {gate.by:g} nats below a guess by frequency"
    if isinstance(gate, SeesTokens):
        return f"{gate.arm} is trained on {gate.per_parameter:g} tokens a parameter"
    if isinstance(gate, Beats):
        return f"the loss of {gate.arm} is {gate.by:g} nats below that of {yardstick_name(gate)}"
    return f"{gate.arm} uses its context for {gate.by:g}{after_start(gate)}"


def yardstick_name(gate: Beats) -> str:
    """The yardstick of a gate, in words."""
    names = {"unigram": "a guess by frequency", "uniform": "a uniform guess"}
    known = gate.yardstick in YARDSTICKS
    return names.get(gate.yardstick, "the bigram") if known else gate.yardstick


def after_start(gate: UsesContext) -> str:
    """The share of the window that a gate leaves out, to follow another text."""
    return f" after its first {100 * gate.skip:.2g} %" if gate.skip else ""


def any_of(arms: tuple[str, ...]) -> str:
    """ "a", "one of a and b"."""
    return arms[0] if len(arms) == 1 else f"one of {join_words(arms)}"
