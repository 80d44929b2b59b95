"""Runs that a tracker has logged, and the table of them: a row per run."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

_NAMED = re.compile(r"(?P<variant>.+?)[/_\- ]*seed[ _=\-]*(?P<seed>\d+)", re.DOTALL)


@dataclass
class LoggedRun:
    """A run that a tracker logged.

    name: the run's name, or its folder's path.
    config: what was logged before the training.
    step: the last step that anything was logged at.
    metrics: the last value of each metric.
    """

    name: str
    config: Mapping[str, Any] = field(default_factory=dict)
    step: int = 0
    metrics: dict[str, float] = field(default_factory=dict)

    def log(self, metric: str, value: float, step: int) -> None:
        """Take over a value; those of a run come in order."""
        self.metrics[metric] = value
        self.step = max(self.step, step)


def table_of(runs: Iterable[LoggedRun]) -> pd.DataFrame:
    """A row per run: variant, seed, last step and metrics.

    Raises:
        ValueError: a run does not say its variant and seed.
    """
    rows = []
    for run in sorted(runs, key=lambda run: run.name):
        variant, seed = variant_and_seed(run)
        rows.append({"variant": variant, "seed": seed, "step": run.step} | run.metrics)
    return pd.DataFrame(rows)


def variant_and_seed(run: LoggedRun) -> tuple[str, int]:
    """The variant and the seed of a run: `variant` and `seed` of its config, or else of its name.

    Raises:
        ValueError: neither says them.
    """
    named = _NAMED.fullmatch(run.name)
    variant = run.config.get("variant", named and named["variant"])
    seed = run.config.get("seed", named and named["seed"])
    if variant is None or seed is None or not str(seed).isdigit():
        raise ValueError(
            f"run '{run.name}' does not say its variant and seed: call it as in pre-ln/seed-3, or"
            " log `variant` and `seed` in its config"
        )
    return str(variant), int(seed)
