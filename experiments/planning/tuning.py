"""Tuning: the trials of a learning rate that a sweep asks for, and the rate that it chooses.

A sweep is a pure function of the losses of its trials. It asks for trials, and is called again when
they are finished, until it has chosen. Rates are powers of two: exponent 1 is twice the rate that
the variant's file gives, -1 is half of it.
"""

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field

# Seeds of trials, above every seed of a comparison. The first tries all rates, the others the best
# two.
TUNING_SEEDS = (1000, 1001, 1002)

_FARTHEST = 4  # steps of a sweep away from its centre: 16 times as high or low

# The validation loss of a trial with an exponent and a seed: infinite if it failed, None if it is
# not finished.
Score = Callable[[int, int], float | None]


@dataclass(frozen=True)
class Sweep:
    """A sweep as far as its trials are finished.

    trials: exponent and seed of the trials that the sweep has asked for, in order.
    chosen: exponent of the chosen rate; None while trials are not finished.
    refused: exponents of rates that do not train reliably.
    full: whether the sweep tries all that it may; if not, the centre was only checked against the
        rates beside it.
    """

    trials: list[tuple[int, int]] = field(default_factory=list)
    chosen: int | None = None
    refused: frozenset[int] = frozenset()
    full: bool = True

    @property
    def reliable(self) -> bool:
        """Whether the chosen rate trains with every seed."""
        return self.chosen is not None and self.chosen not in self.refused


class _WaitingError(Exception):
    """A trial that the sweep needs is not finished."""


class _Trials:
    """The losses of a sweep's trials, and a record of which were asked for."""

    def __init__(self, score: Score) -> None:
        self.score = score
        self.asked: dict[tuple[int, int], float | None] = {}

    def losses(self, exponents: list[int], seeds: tuple[int, ...]) -> dict[int, list[float]]:
        """Losses by exponent, one per seed.

        Raises:
            _WaitingError: a trial is not finished. All trials are asked for even then.
        """
        for exponent in exponents:
            for seed in seeds:
                self.asked.setdefault((exponent, seed), self.score(exponent, seed))
        losses: dict[int, list[float]] = {}
        for exponent in exponents:
            for seed in seeds:
                loss = self.asked[exponent, seed]
                if loss is None:
                    raise _WaitingError
                losses.setdefault(exponent, []).append(loss)
        return losses

    def first(self, exponents: list[int]) -> dict[int, float]:
        """Loss with the first seed by exponent. Raises _WaitingError like `losses`."""
        return {k: loss for k, (loss,) in self.losses(exponents, TUNING_SEEDS[:1]).items()}


def sweep(
    score: Score, centre: int = 0, *, deeper: bool = False, enough: float | None = None
) -> Sweep:
    """Choose a learning rate by successive halving: one seed for all rates, three for the best two.

    The sweep begins with the centre, half and twice the centre, and goes on while the best rate is
    at an edge. A rate is refused if a trial of it failed, or if two of the three trials of the next
    rate up failed: then it stands at the edge of a cliff. Of equal losses the lower rate wins. If
    all rates are refused, the one whose first trial had the lowest loss is chosen all the same, and
    is not reliable.

    Args:
        score: losses of the trials.
        centre: exponent in the middle.
        deeper: whether a smaller training budget has chosen the centre. Then no rate above twice
            the centre is tried, because a longer training never needs a much higher rate.
        enough: the least difference in loss that matters. If given, the centre is chosen at once
            unless a rate beside it is better by more than this.
    """
    trials = _Trials(score)
    refused: set[int] = set()
    tried = {centre - 1, centre, centre + 1}
    highest = centre + (1 if deeper else _FARTHEST)
    lowest = centre - _FARTHEST
    try:
        first = trials.first(sorted(tried))
        beside = min(first[centre - 1], first[centre + 1])
        if enough is not None and math.isfinite(first[centre]) and beside >= first[centre] - enough:
            return Sweep(list(trials.asked), centre, full=False)
        chosen = None
        while chosen is None:
            first = trials.first(sorted(tried))
            refused |= {k for k in tried if math.isinf(first[k])}
            allowed = sorted(tried - refused, key=lambda k: (first[k], k))
            edge = _beyond_edge(allowed[0] if allowed else min(tried), tried, lowest, highest)
            if edge is not None:
                tried.add(edge)
            elif not allowed:
                break
            elif unreliable := _unreliable(allowed[:2], tried, trials):
                refused |= unreliable
            else:
                means = {
                    k: statistics.fmean(losses)
                    for k, losses in trials.losses(allowed[:2], TUNING_SEEDS).items()
                }
                best = min(means, key=lambda k: (means[k], k))
                edge = _beyond_edge(best, tried, lowest, highest)
                if edge is None:
                    chosen = best
                else:
                    tried.add(edge)
    except _WaitingError:
        return Sweep(list(trials.asked), refused=frozenset(refused))
    if chosen is None:
        chosen = min(tried, key=lambda k: (first[k], abs(k - centre), k))
    return Sweep(list(trials.asked), chosen, frozenset(refused))


def _beyond_edge(best: int, tried: set[int], lowest: int, highest: int) -> int | None:
    """The exponent beyond the best one, if the best is at an edge of the rates that were tried and
    the sweep may go on there.
    """
    if best == min(tried) and best > lowest:
        return best - 1
    if best == max(tried) and best < highest:
        return best + 1
    return None


def _unreliable(finalists: list[int], tried: set[int], trials: _Trials) -> set[int]:
    """The finalists that are refused, by their own trials or by those of the next rate up."""
    failures = {
        k: sum(map(math.isinf, losses))
        for k, losses in trials.losses(finalists, TUNING_SEEDS).items()
    }
    # The next rate up has all its trials only where the first of them failed.
    above = [k + 1 for k in finalists if k + 1 in tried]
    suspects = [k for k, loss in trials.first(above).items() if math.isinf(loss)]
    failures |= {
        k: sum(map(math.isinf, losses))
        for k, losses in trials.losses(suspects, TUNING_SEEDS).items()
    }
    return {k for k in finalists if failures[k] >= 1 or failures.get(k + 1, 0) >= 2}
