"""Gates: what must hold of the arms of a claim for the comparison to mean anything.

A gate is judged on the same seeds and at the same budget as its claim, by
`report/verdicts/gates.py`. Where a gate does not hold, the claim is not testable at that budget.
"""

from dataclasses import dataclass
from typing import Any

from experiments.metrics import SOLVED
from experiments.variant import check_names

# Yardsticks that every study has, in nats per character: the bigram that is counted from the base's
# training batches, a guess by the frequency of the tokens, and a uniform guess.
YARDSTICKS = ("bigram", "unigram", "uniform")


@dataclass(frozen=True)
class Beats:
    """The validation loss of an arm is below a yardstick by more than `by` nats per character.

    The gate holds if the whole 95 % interval over seeds of the difference lies above `by`.

    arm: a variant of the ablation.
    yardstick: one of `YARDSTICKS`, or another variant of the ablation.
    """

    arm: str
    yardstick: str = "bigram"
    by: float = 0.1

    @property
    def arms(self) -> tuple[str, ...]:
        """The variants that the gate is about."""
        return (self.arm,) if self.yardstick in YARDSTICKS else (self.arm, self.yardstick)


@dataclass(frozen=True)
class UsesContext:
    """An arm predicts better late in the window than early, by more than `by` nats per character.

    The drop of the loss from the first eighth of the positions to the last quarter, less the
    bigram's drop between the same positions, whose text is the same. Nothing is subtracted for an
    arm whose context has another length than the base's. The gate holds if the whole 95 % interval
    over seeds lies above `by`. A network that reads no further than two characters back gains about
    0.02 over a bigram in this way, at a context of 128.

    skip: share of the window at its start that is left out. The eighth begins after it, so that
        only what is gained from longer contexts counts.
    """

    arm: str
    by: float = 0.02
    skip: float = 0.0

    @property
    def arms(self) -> tuple[str, ...]:
        """The variants that the gate is about."""
        return (self.arm,)


@dataclass(frozen=True)
class Solves:
    """In every seed, at least one of the arms solves its task: its accuracy is `accuracy` or more.

    Where no arm solves a task, how well they do depends on when the training stopped.
    """

    arms: tuple[str, ...]
    accuracy: float = SOLVED


@dataclass(frozen=True)
class Trains:
    """An arm trains in every seed: its loss is below a guess by frequency by more than `by`.

    `by` is in nats per character. A run that diverged or failed does not train.
    """

    arm: str
    by: float = 0.2

    @property
    def arms(self) -> tuple[str, ...]:
        """The variants that the gate is about."""
        return (self.arm,)


@dataclass(frozen=True)
class SeesTokens:
    """An arm is trained on at least `per_parameter` tokens for each of its parameters.

    Which of two networks is the better one at equal arithmetic depends on this number (Hoffmann
    2022).
    """

    arm: str
    per_parameter: float = 15

    @property
    def arms(self) -> tuple[str, ...]:
        """The variants that the gate is about."""
        return (self.arm,)


_LARGEST_SKIP = 0.5  # the eighth that begins there ends before the last quarter begins

Gate = Beats | UsesContext | Solves | Trains | SeesTokens


def needs_bigram(gate: Gate) -> bool:
    """Whether a gate compares an arm with the bigram."""
    return isinstance(gate, UsesContext) or (isinstance(gate, Beats) and gate.yardstick == "bigram")


def check_gate(owner: str, gate: Any, variants: list[str]) -> None:
    """Refuse a gate that cannot be judged.

    Raises:
        ValueError: the gate is no gate, names an arm or a yardstick that does not exist, or has a
            threshold that is not a number or out of its range.
    """
    owner = f"{owner}: requires"
    if not isinstance(gate, Gate):
        kinds = ", ".join(kind.__name__ for kind in Gate.__args__)
        raise ValueError(f"{owner}: {gate!r:.40} is no gate: there are {kinds}")
    if isinstance(gate, Beats):
        check_names(owner, "arm", [gate.arm], variants)
        check_names(owner, "yardstick", [gate.yardstick], [*YARDSTICKS, *variants])
    elif not isinstance(gate.arms, tuple) or not gate.arms:
        raise ValueError(f"{owner}: arms must be a tuple of variants, not {gate.arms!r:.40}")
    else:
        check_names(owner, "arm", gate.arms, variants)
    threshold = _threshold(gate)
    if type(threshold) not in (int, float) or not 0 <= threshold < float("inf"):
        raise ValueError(f"{owner}: {threshold!r:.40} is no threshold: it must be 0 or more")
    if isinstance(gate, UsesContext) and not (
        type(gate.skip) in (int, float) and 0 <= gate.skip <= _LARGEST_SKIP
    ):
        raise ValueError(
            f"{owner}: skip={gate.skip!r:.40} is no share of the window from 0 to {_LARGEST_SKIP}"
        )
    if isinstance(gate, Solves) and threshold > 1:
        raise ValueError(f"{owner}: accuracy={threshold!r} cannot be reached: the most is 1")


def _threshold(gate: Gate) -> float:
    """The number that decides whether a gate holds."""
    if isinstance(gate, Solves):
        return gate.accuracy
    return gate.per_parameter if isinstance(gate, SeesTokens) else gate.by
