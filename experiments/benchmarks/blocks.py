"""Blocks of measurements: what claims compare in each, and when the next one is due.

The speed of a machine drifts over minutes, by its temperature and by what else runs on it. What is
measured at one time agrees with itself and not with an hour later, so the replicate of a claim
about time is a block: everything measured once, some minutes after the block before.
"""

import datetime
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from experiments.ablation import Ablation
from experiments.errors import UserError
from experiments.metrics import BLOCKS, SPEED_METRICS, step_name
from experiments.profiles import PROFILES
from experiments.records.collect import read_table
from experiments.records.study import Study

# Blocks that a finished study has. The smoke study's decide nothing: two show that all works.
WANTED = dict.fromkeys(PROFILES, BLOCKS) | {"smoke": 2}
# Least seconds from the beginning of one block to that of the next, while a study trains.
APART = dict.fromkeys(PROFILES, 600.0) | {"smoke": 0.0, "cpu": 480.0}


def compared_names(ablations: Mapping[str, Ablation]) -> list[list[str]]:
    """The operations and training steps that claims about time compare, in groups.

    Claims that share a name share a group, so no name is in two groups.
    """
    effects = []
    for name, ablation in ablations.items():
        for claim in ablation.claims:
            if claim.metric == "measured_seconds":
                effects.append(list(claim.effect))
            elif claim.metric in SPEED_METRICS:
                effects.append([step_name(name, variant) for variant in claim.effect])
    return _merged(effects)


def complete_blocks(
    costs: pd.DataFrame, compared: Iterable[Iterable[str]]
) -> list[datetime.datetime]:
    """The time at which each block began that holds everything that claims compare.

    A block that was measured before an ablation was added lacks the steps of its variants.

    Args:
        costs: the table `costs`.
        compared: names as `compared_names` returns them.
    """
    needed = {name for group in compared for name in group}
    return [
        datetime.datetime.fromisoformat(block["started"].iloc[0])
        for _, block in costs.dropna(subset=["started"]).groupby("block")
        if needed <= set(block["what"])
    ]


def is_due(
    starts: Sequence[datetime.datetime],
    now: datetime.datetime,
    apart: float,
    number: int = BLOCKS,
) -> bool:
    """Whether another block is due.

    Args:
        starts: times at which the blocks so far began.
        now: the time.
        apart: least seconds from the beginning of a block to that of the next.
        number: number of blocks that are wanted.
    """
    if len(starts) >= number:
        return False
    return not starts or (now - max(starts)).total_seconds() >= apart


@dataclass(frozen=True)
class Blocks:
    """The blocks of a study. `measure` measures one, and appends it to the table `costs`."""

    study: Study
    results: Path
    measure: Callable[[], None]

    @property
    def wanted(self) -> int:
        """The number of blocks of the study when it is finished."""
        return WANTED[self.study.profile_name]

    def starts(self) -> list[datetime.datetime]:
        """The times at which the complete blocks began; none where the table cannot be read."""
        try:
            costs = read_table(self.results, "costs")
        except UserError:
            return []
        return complete_blocks(costs, compared_names(self.study.ablations))

    def measure_if_due(self) -> None:
        """Measure a block if one is due. Whoever calls this sees to it that nothing else runs.

        A block that fails stops no training: the next call tries again.
        """
        starts = self.starts()
        if is_due(starts, _now(), APART[self.study.profile_name], self.wanted):
            try:
                self._measure(len(starts))
            except UserError as error:
                print(f"not measured: {error}")

    def measure_missing(self) -> None:
        """Measure the blocks that the study still lacks, one after the other.

        Raises:
            UserError: measuring failed.
        """
        for done in range(len(self.starts()), self.wanted):
            self._measure(done)

    def _measure(self, done: int) -> None:
        which = f"block {done + 1} of {self.wanted}"
        print(f"measuring what training steps, attention, norms and generation cost: {which}")
        self.measure()


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _merged(groups: Iterable[Sequence[str]]) -> list[list[str]]:
    """Groups of names, of which those with a name in common are one group."""
    merged: list[list[str]] = []
    for group in groups:
        joined = dict.fromkeys(group)
        for other in [each for each in merged if joined.keys() & set(each)]:
            merged.remove(other)
            joined = dict.fromkeys([*other, *joined])
        merged.append(list(joined))
    return merged
