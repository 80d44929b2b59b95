"""The attention atlas: where every head looks while its network reads one passage."""

import base64
from collections.abc import Iterable
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import HTML

from experiments.records.collect import read_table
from report.figures.charts import show
from report.figures.probes import SCORES_HEAD, scores_note
from report.html import EMPTY, details, join_html, render, table
from report.verdicts.tables import Tables, records
from report.verdicts.text import format_number, join_words, plural

_FULL = 255  # the byte of a weight of one


def networks(tables: Tables) -> dict[str, pd.DataFrame]:
    """The rows of the table "atlas" by variant, of the ablations that ask for it."""
    found: dict[str, pd.DataFrame] = {}
    for name, ablation in tables.ablations.items():
        if "atlas" in ablation.probes:
            rows = tables.probe("atlas", name)
            for variant in (v.name for v in ablation.variants if v.name in set(rows["variant"])):
                found.setdefault(variant, rows[rows["variant"] == variant])
    return found


def viewer(tables: Tables) -> HTML:
    """A passage to point into: what each token attends to, in the head that is chosen."""
    found = networks(tables)
    if not found:
        return EMPTY
    data = [
        {
            "name": name,
            "passage": _passage(rows),
            "heads": [f"layer {layer + 1}, head {head + 1}" for layer, head in _heads(rows)],
            "weights": base64.b64encode(_bytes(rows)).decode(),
            "scores": _scores(tables, rows["run_id"].iloc[0], _heads(rows)),
        }
        for name, rows in found.items()
    ]
    names = join_words([f"“{name}”" for name in found])
    return HTML(
        render("atlas", networks=data, names=names, token=tables.study.token, head=SCORES_HEAD)
    )


def grids(tables: Tables) -> HTML:
    """The same for those who have no script running, or who print: a map for each head."""
    parts = []
    for name, rows in networks(tables).items():
        heads, time = _heads(rows), len(_passage(rows))
        layers, across = (len({place[i] for place in heads}) for i in (0, 1))
        figure, panels = plt.subplots(
            layers, across, figsize=(2.2 * across, 2.2 * layers), squeeze=False,
            sharex=True, sharey=True, layout="constrained",
        )  # fmt: skip
        weights = np.frombuffer(_bytes(rows), dtype=np.uint8).reshape(len(heads), time, time)
        for (layer, head), some in zip(heads, weights, strict=True):
            axes = panels[layer, head]
            axes.imshow(some, cmap="Blues", vmin=0, vmax=_FULL, interpolation="nearest")
            axes.grid(visible=False)
            axes.set_title(f"layer {layer + 1}, head {head + 1}")
        figure.supxlabel(f"{tables.study.token} that is attended to")
        figure.supylabel(f"{tables.study.token} that attends")
        before = _on_previous(weights)
        parts.append(
            show(
                figure,
                alt=f"Attention of {plural(len(heads), 'head')} of {name} over {time}"
                f" {tables.study.token}s."
                f" Mean weight on the {tables.study.token} before: "
                + "; ".join(
                    f"layer {layer + 1}, head {head + 1} {format_number(share)}"
                    for (layer, head), share in zip(heads, before, strict=True)
                ),
                caption=f"{name}, {_seeds([rows])}: a row attends to the columns at and before it;"
                " the darker the more, from 0 to 1.",
            ).data
        )
    return HTML("".join(parts))


def scores(tables: Tables) -> HTML:
    """Every head's scores with their two nulls."""
    found = networks(tables)
    rows = [
        (f"{name}, {head}", *line)
        for name, some in found.items()
        for head, lines in zip(
            [f"layer {layer + 1}, head {head + 1}" for layer, head in _heads(some)],
            _scores(tables, some["run_id"].iloc[0], _heads(some)),
            strict=True,
        )
        for line in lines
    ]
    if not rows:
        return EMPTY
    note = f"Of {_seeds(found.values())}. {scores_note(tables)}"
    name = "Scores of every head"
    return join_html(details(name, table(("head", *SCORES_HEAD), rows, note, name=name)))


def _seeds(found: Iterable[pd.DataFrame]) -> str:
    return "seed " + join_words(sorted({str(seed) for rows in found for seed in rows["seed"]}))


def _heads(rows: pd.DataFrame) -> list[tuple[int, int]]:
    return sorted(set(zip(rows["layer"], rows["head"], strict=True)))


def _passage(rows: pd.DataFrame) -> list[str]:
    one = rows[(rows["layer"] == rows["layer"].min()) & (rows["head"] == rows["head"].min())]
    return list(one.sort_values("query")["token"])


def _bytes(rows: pd.DataFrame) -> bytes:
    """[heads, queries, keys], a byte for each weight, nothing where a query cannot look."""
    time = len(_passage(rows))
    found = np.zeros((len(_heads(rows)), time, time), dtype=np.uint8)
    for place, (_, some) in enumerate(rows.groupby(["layer", "head"])):
        for row in records(some):
            found[place, row["query"], : row["query"] + 1] = np.round(
                _FULL * np.asarray(row["weights"])
            )
    return found.tobytes()


def _on_previous(weights: np.ndarray[Any, np.dtype[np.uint8]]) -> list[float]:
    """Mean weight on the token before, by head."""
    return [float(np.diagonal(some, -1).mean() / _FULL) for some in weights]


def _scores(tables: Tables, run_id: str, heads: list[tuple[int, int]]) -> list[list[list[str]]]:
    """By head: each score's name, and its value trained, untrained and on shuffled text."""
    found = read_table(tables.results, "heads")
    found = found[found["run_id"] == run_id]
    return [
        [
            [
                row["score"].replace("_", " "),
                *map(format_number, (row["value"], row["untrained"], row["shuffled"])),
            ]
            for row in records(found[(found["layer"] == layer) & (found["head"] == head)])
        ]
        for layer, head in heads
    ]
