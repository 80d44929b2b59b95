"""Samples: the values that runs give the variants of a claim, and the contrast between variants."""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from report.verdicts.stats import LEVEL, Estimate, welch
from report.verdicts.text import join_words, plural

Samples = dict[str, "pd.Series[float]"]  # values of a metric by variant, each indexed by seed

_LARGEST = 1e100  # what is larger has an infinite square, and has diverged anyway
_NAMED = 5  # seeds that a reason names, before it counts the others


class NoEffectError(Exception):
    """The runs have no effect that could be judged; the message says why."""


def samples_of(runs: pd.DataFrame, variants: Iterable[str], metric: str) -> Samples:
    """The last value of a metric in every run of some variants.

    Args:
        runs: runs of one budget: variant, seed, the metric, and where there are curves, step.
        variants: names of variants.
        metric: a column of numbers.

    Raises:
        NoEffectError: a variant has no run, a run has no value or ends with a row without any, or
            runs end at different steps.
    """
    samples, ends = Samples(), set[Any]()
    for variant in variants:
        rows = runs[runs["variant"] == variant].set_index("seed")
        if rows.empty:
            raise NoEffectError(f"there is no run of {variant}")
        values = rows[metric].astype(float)
        values = values.where(values.abs() < _LARGEST)
        if "step" in rows:
            _check_last(variant, rows)
            last = rows["step"].where(values.notna()).groupby(level="seed").transform("max")
            values = values[rows["step"] == last].reindex(rows.index.unique())
            ends |= {*last.dropna()}
        if values.isna().any():
            lacking = _listed(values.index[values.isna()])
            raise NoEffectError(f"{variant} has no finite {metric} in {lacking}")
        samples[variant] = values.sort_index()
    if len(ends) > 1:
        raise NoEffectError(
            f"the runs end at different steps, from {min(ends):g} to {max(ends):g}: compare them at"
            " a step that all have"
        )
    return samples


def _check_last(variant: str, rows: pd.DataFrame) -> None:
    """Refuse runs whose last row has no finite number in any column: they have diverged, and their
    values before it are not their results. A row that lacks some metrics is usual in curves.

    Args:
        variant: its name.
        rows: its rows, indexed by seed.
    """
    known = [name for name in ("budget", "step") if name in rows]
    values = rows.drop(columns=known).select_dtypes(["number", "bool"]).astype(float)
    finite = (values.abs() < _LARGEST).any(axis=1)
    last = rows["step"] == rows["step"].groupby(level="seed").transform("max")
    if (lost := last & ~finite).any():
        raise NoEffectError(
            f"{variant} has no finite number in its last row in {_listed(rows.index[lost])}"
        )


def are_paired(samples: Samples) -> bool:
    """Whether all variants have the same seeds; else, none in common.

    Raises:
        NoEffectError: some seeds are shared and others are not, so that runs are missing.
    """
    seeds = {variant: {*values.index} for variant, values in samples.items()}
    every = set[Any]().union(*seeds.values())
    if all(each == every for each in seeds.values()):
        return True
    if sum(map(len, seeds.values())) == len(every):
        return False
    variant, lacking = next((name, every - each) for name, each in seeds.items() if each != every)
    raise NoEffectError(
        f"{variant} has no run with {_listed(sorted(lacking))}, which another variant has: seeds"
        " must be the same for all variants, or different for all"
    )


def contrast(samples: Samples, weights: Mapping[str, float], level: float = LEVEL) -> Estimate:
    """The weighted sum of the variants' means, with Welch's interval: seeds are not paired."""
    return welch([(weights[name], list(values)) for name, values in samples.items()], level)


def paired(samples: Samples, weights: Mapping[str, float]) -> "pd.Series[float]":
    """The weighted sum over variants of each seed, [n]."""
    terms = [weights[name] * values for name, values in samples.items()]
    return pd.concat(terms, axis=1).sum(axis=1)


def check_spread(samples: Samples, *, counted: bool) -> None:
    """Refuse variants whose values are the same in all of several seeds: a seed that changes
    nothing repeats nothing.

    Args:
        samples: values of the variants.
        counted: whether the claim is counted in seeds. Its values may be 0 or 1 in every seed, as
            whether a network trains, or the accuracy of a task that is always solved.

    Raises:
        NoEffectError: naming a variant.
    """
    for name, values in samples.items():
        outcome = counted and values.iloc[0] in (0, 1)
        if len(values) > 1 and values.nunique() == 1 and not outcome:
            raise NoEffectError(
                f"all {len(values)} values of {name} are equal, so the seeds show no spread"
            )


def sample_text(samples: Samples, *, is_paired: bool) -> str:
    """The seeds that an interval is taken over: "5 paired seeds", "5 and 8 seeds, not paired"."""
    counts = [len(values) for values in samples.values()]
    if len(counts) == 1:
        return plural(counts[0], "seed")
    if is_paired:
        return f"{counts[0]} paired seeds" if counts[0] > 1 else "1 seed"
    return f"{join_words([str(n) for n in counts])} seeds, not paired"


def _listed(seeds: Iterable[Any]) -> str:
    """ "seed 3", "seeds 3 and 4", "seeds 0, 1, 2, 3, 4 and 7 more"."""
    names = [str(seed) for seed in seeds]
    more = [f"{len(names) - _NAMED} more"] if len(names) > _NAMED else []
    return f"seed{'s' * (len(names) > 1)} {join_words([*names[:_NAMED], *more])}"
