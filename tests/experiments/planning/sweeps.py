"""Helpers for tests of plans: planted losses of trials, and what a plan makes of them."""

import math
from collections.abc import Callable
from typing import Any

from experiments.ablation import Variant
from experiments.planning.plan import Plan, plan
from experiments.planning.rates import CorpusFacts
from experiments.planning.tuning import TUNING_SEEDS
from experiments.profiles import PROFILES
from experiments.spec import RunSpec

BASE_RATE = PROFILES["cpu"].recipe.learning_rate
BASE, NONE = Variant("base"), Variant("none", {"model.position": "none"})
FULL = {(-1, 0), (0, 0), (1, 0), (-1, 1), (0, 1), (-1, 2), (0, 2)}  # exponents, places of seeds
CHECK = {(-1, 0), (0, 0), (1, 0)}
CORPUS = CorpusFacts(vocab_size=9, hash="c", unigram_loss=5.0)

Score = Callable[[RunSpec], float | None]


def plan_of(score: Score | None, corpus: CorpusFacts = CORPUS, **arguments: Any) -> Plan:
    names = {"seeds", "fewer_seeds", "budgets", "only"} & arguments.keys()
    options = {"seeds": 1, "fewer_seeds": 1, "budgets": (1,)}
    options |= {name: arguments.pop(name) for name in names}
    return plan(PROFILES["cpu"], arguments, corpus, score=score, **options)


def settled(plan_with: Callable[[Score], Plan], loss: Score) -> Plan:
    """The plan of a study whose trials are trained as they are planned, until no trial is left."""
    known: dict[str, float | None] = {}
    while True:
        result = plan_with(lambda spec: known.get(spec.run_id))
        new = [trial.spec for trial in result.trials if trial.spec.run_id not in known]
        if not new:
            return result
        known.update({spec.run_id: loss(spec) for spec in new})


def exponent(spec: RunSpec) -> int:
    return round(math.log2(spec.recipe.learning_rate / BASE_RATE))


def budget_of(spec: RunSpec) -> int:
    return spec.recipe.steps // PROFILES["cpu"].recipe.steps


def bowl(best: float | dict[int, float], slope: float = 0.5) -> Score:
    """Losses that rise with the distance from the best exponent, which may depend on the budget."""

    def score(spec: RunSpec) -> float:
        at = best[budget_of(spec)] if isinstance(best, dict) else best
        return 2 + slope * abs(exponent(spec) - at)

    return score


def tried(result: Plan, ablation: str, variant: str, budget: int = 1) -> set[tuple[int, int]]:
    """Exponent and place of the seed of every trial of an arm."""
    return {
        (exponent(trial.spec), TUNING_SEEDS.index(trial.spec.seed))
        for trial in result.trials
        if (trial.ablation, trial.variant, trial.budget) == (ablation, variant, budget)
    }


def rates(result: Plan, ablation: str, budget: int = 1) -> dict[str, int]:
    """The exponent of the rate that each variant is trained at."""
    return {
        run.variant: exponent(run.spec)
        for run in result.comparison_runs
        if (run.ablation, run.budget) == (ablation, budget)
    }
