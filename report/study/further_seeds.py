"""Further seeds: which undecided claims a planned number of seeds would decide, and their cost."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from experiments.claim import LOOKS, Claim, look_number
from experiments.metrics import BLOCK_METRICS, SPEED_METRICS
from experiments.records.run_folder import FINISHED
from report.study.effects import claim_effect
from report.study.tables import Tables, records
from report.verdicts.outcomes import (
    DECIDED,
    Verdict,
    count_signs,
    decide,
    margin_of,
    outcome_ps,
    outcome_ps_of_counts,
)
from report.verdicts.stats import Values, estimate, look_level, student

Place = tuple[str, str, int]  # ablation, variant and budget


@dataclass(frozen=True)
class Candidate:
    """An undecided claim at a budget.

    present: its number of planned seeds.
    seeds: the planned number that would decide it; None where none would.
    runs: seconds of the runs that it adds, by run id.
    """

    ablation: str
    claim: str
    budget: int
    present: int
    seeds: int | None
    runs: Mapping[str, float] = field(default_factory=dict)


def enough_seeds(claim: Claim, effects: Values, present: int, looks: int) -> int | None:
    """The smallest planned number of seeds that would decide a claim if its mean and standard
    deviation stayed as they are. None where none would, and from fewer than two seeds.

    Args:
        claim: a claim about runs.
        effects: its effect in each seed, [seeds].
        present: its number of planned seeds.
        looks: number of looks of the study, which the level of a further look follows from.
    """
    if len(effects) < 2:
        return None
    further = [n for n in LOOKS if n > present]
    levels = {n: look_level(look_number(n, looks)) for n in further}
    return next((n for n in further if _would_decide(claim, effects, n, levels[n])), None)


def _would_decide(claim: Claim, effects: Values, n: int, level: float) -> bool:
    """Whether `n` seeds would decide a claim at a level."""
    margin = margin_of(claim)
    if claim.counted:
        as_claimed, reverse = (round(k * n / len(effects)) for k in count_signs(effects))
        ps = outcome_ps_of_counts(as_claimed, reverse, n, margin)
    else:
        now = estimate(effects)
        error = now.error * math.sqrt(len(effects) / n)
        ps = outcome_ps(claim, student(now.mean, error, n, n - 1, level), margin)
    return decide(ps, level)[0] in DECIDED


def undecided_claims(tables: Tables, claims: pd.DataFrame) -> list[Candidate]:
    """The claims about runs that all their planned seeds leave undecided, without `runs`.

    Claims about costs and time are left out: they rest on blocks of measurements.

    Args:
        tables: the tables of the study.
        claims: its table `claims`.
    """
    known = {claim.id: claim for each in tables.ablations.values() for claim in each.claims}
    result = []
    for row in records(claims[(claims["verdict"] == Verdict.UNDECIDED) & ~claims["interim"]]):
        claim = known[row["claim"]]
        if claim.metric in (*BLOCK_METRICS, *SPEED_METRICS):
            continue
        name, budget = row["ablation"], int(row["budget"])
        effects = claim_effect(tables.of_claim(name, claim, budget), name, claim)
        seeds = enough_seeds(claim, list(effects), row["planned"], tables.study.looks)
        result.append(Candidate(name, claim.id, budget, row["planned"], seeds))
    return result


def mean_seconds(tables: Tables) -> dict[Place, float]:
    """Mean seconds by the clock of the finished runs of each variant at each budget."""
    finished = tables.members[tables.members["status"].isin(FINISHED)]
    seconds = finished["wall_seconds"].astype(float)
    known = finished.assign(wall_seconds=seconds.fillna(seconds.mean()).fillna(0.0))
    means = known.groupby(["ablation", "variant", "budget"])["wall_seconds"].mean()
    return {
        (row["ablation"], row["variant"], int(row["budget"])): float(row["wall_seconds"])
        for row in records(means.reset_index())
    }


def cheapest_first(
    candidates: Sequence[Candidate], seconds: float, slots: int
) -> list[tuple[Candidate, float]]:
    """The candidates that fit into a time, the cheapest first, each with the seconds that it adds.
    A run that several candidates need is counted for the first of them.

    Args:
        candidates: claims that seeds would decide.
        seconds: the time, by the clock.
        slots: number of runs that train at the same time.
    """
    left, begun = list(candidates), set[str]()
    taken: list[tuple[Candidate, float]] = []

    def cost(candidate: Candidate) -> float:
        return sum(s for run_id, s in candidate.runs.items() if run_id not in begun) / slots

    while left:
        next_one = min(left, key=cost)
        seconds -= cost(next_one)
        if seconds < 0:
            break
        taken.append((next_one, cost(next_one)))
        begun |= next_one.runs.keys()
        left.remove(next_one)
    return taken
