"""Random tables of runs: a verdict or a ValueError of one line, and nothing decided in vain."""

import math
from typing import Any

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from report.verdicts import Beats, Claim, judge

Row = dict[str, Any]

ORDINARY = st.floats(1.0, 2.0)
STRANGE = st.one_of(
    st.floats(-1e308, 1e308),
    st.sampled_from([0.0, 1.0, -1.0, math.nan, math.inf, -math.inf, 1e-300]),
)
SEEDS = st.one_of(st.integers(0, 4), st.sampled_from(["1", "a", None, 1.5, True, (1, 2)]))


def _rows(samples: dict[str, list[float]]) -> list[Row]:
    return [
        {"variant": name, "seed": seed, "loss": loss}
        for name, losses in samples.items()
        for seed, loss in enumerate(losses)
    ]


def _samples(n: int) -> st.SearchStrategy[dict[str, list[float]]]:
    """Mostly ordinary losses of three variants in n seeds."""
    losses = st.lists(st.one_of(ORDINARY, ORDINARY, ORDINARY, STRANGE), min_size=n, max_size=n)
    return st.fixed_dictionaries(dict.fromkeys("abc", losses))


WHOLE = st.integers(1, 5).flatmap(_samples).map(_rows)
SCATTERED = st.lists(
    st.fixed_dictionaries(
        {
            "variant": st.sampled_from(["a", "b", "c", "", None, 1]),
            "seed": SEEDS,
            "loss": st.one_of(ORDINARY, STRANGE),
        },
        optional={"step": st.integers(0, 2), "budget": st.sampled_from([1, 4])},
    ),
    max_size=14,
)
WEIGHTS = st.sampled_from([{"a": 1}, {"a": 1, "b": -1}, {"a": 1, "b": -0.5, "c": -0.5}])


def claims(weights: dict[str, float]) -> list[Claim]:
    """A claim of each kind."""
    kinds: dict[str, dict[str, Any]] = {
        "difference": {},
        "equal": {"equal": True},
        "no-worse": {"no_worse": True},
        "ratio": {"log": True},
        "counted": {"seed_margin": 0.1},
        "gated": {"requires": [Beats("a", "b")]},
    }
    stated = {"sentence": "s", "said_by": "a test", "metric": "loss", "effect": weights}
    return [
        Claim(id=kind, margin=0.2, why_margin="a test", **stated, **fields)
        for kind, fields in kinds.items()
    ]


@settings(max_examples=150, deadline=None)
@given(st.one_of(WHOLE, SCATTERED), WEIGHTS, st.sampled_from([(), (2, 3)]))
def test_a_random_table_has_verdicts_or_is_refused_in_one_line(
    rows: list[Row], weights: dict[str, float], looks: tuple[int, ...]
):
    names = sorted({"variant", "seed", "loss", *(name for row in rows for name in row)})
    runs = pd.DataFrame(rows, columns=names)
    refusal = ""
    try:
        verdicts = judge(runs, claims(weights), looks=looks)
    except ValueError as error:
        refusal = str(error)
    if refusal:
        assert "\n" not in refusal
        return
    for row in verdicts.to_dict("records"):
        assert row["why"]
        if row["verdict"] not in ("supported", "negligible", "reversed"):
            continue
        assert row["n"] >= 2
        assert row["low"] <= row["effect"] <= row["high"]
        assert row["p"] < row["level"]
        if "step" not in runs:
            at_budget = runs[runs["budget"] == row["budget"]] if "budget" in runs else runs
            compared = at_budget[at_budget["variant"].astype(str).isin(list(weights))]
            assert compared["loss"].map(math.isfinite).all()
