"""Attention heads: roles, spread of the logits, pruning, and the atlas of their weights."""

import base64
import zlib
from collections.abc import Iterable

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
import pandas as pd
from IPython.display import HTML

from experiments.records.collect import read_table
from report.figures.charts import (
    MARKED,
    chart_of,
    draw_lines,
    legend_beside,
    line_data,
    show,
    values_at_right_end,
    variant_colours,
)
from report.html import EMPTY, details, join_html, render, table
from report.study.effects import loss_column
from report.study.tables import Tables, records
from report.verdicts.stats import estimate
from report.verdicts.text import (
    format_estimate,
    format_number,
    join_words,
    mean_over_seeds,
    plural,
)

SCORES_HEAD = ("score", "trained", "untrained", "shuffled text")
_HALF_WIDTH = "± half the width of the 95 % interval"


def scores_note(tables: Tables) -> str:
    """Units of the scores, for the note below a table of scores."""
    return (
        "Previous, first and induction are attention weights; entropy is in nats, distance in"
        f" {tables.study.token}s. Untrained: the same network before training."
    )


def head_table(tables: Tables, ablation: str) -> HTML:
    """Largest score over all heads for each variant, next to the two null values."""
    rows = tables.probe("heads", ablation)
    if rows.empty:
        return EMPTY
    cells = []
    for (variant, score), heads in rows.groupby(["variant", "score"], sort=False):
        largest = heads.groupby("seed")[["value", "untrained", "shuffled"]].max()
        estimates = [format_estimate(estimate(list(largest[kind]))) for kind in largest]
        cells.append((variant, str(score).replace("_", " "), *estimates))
    seeds = mean_over_seeds(rows, _HALF_WIDTH)
    note = f"Largest value over all heads: {seeds}. {scores_note(tables)}"
    return HTML(table(("variant", *SCORES_HEAD), cells, note))


def logit_table(tables: Tables, ablation: str) -> HTML:
    """Variance of the attention logits and entropy of the weights, by width of a head."""
    rows = tables.probe("heads", ablation)
    rows = rows[rows["score"].isin(["logit_variance", "entropy"])]
    if rows.empty:
        return EMPTY
    runs = tables.runs.set_index("run_id")
    cells = []
    for variant, heads in rows.groupby("variant", sort=False):
        run = runs.loc[heads["run_id"].iloc[0]]
        means = heads.groupby(["score", "seed"])[["untrained", "value"]].mean()
        estimates = [
            format_estimate(estimate(list(means.loc[score][kind])))
            for score in ("logit_variance", "entropy")
            for kind in ("untrained", "value")
        ]
        cells.append((variant, f"{run['model.d_model'] / run['model.n_heads']:g}", *estimates))
    spread, entropy = "logit variance, untrained", "entropy, untrained"
    note = (
        "Variance of the logits of a query over all visible keys, and entropy of the attention"
        " weights in nats, averaged over queries of held-out text and over all heads:"
        f" {mean_over_seeds(rows, _HALF_WIDTH)}."
    )
    head = ("variant", "d_k", spread, "trained", entropy, "trained")
    return HTML(table(head, cells, note))


def pruning_curve(tables: Tables, ablation: str) -> HTML:
    """Rise of the validation loss against the number of heads that are switched off."""
    rows = tables.probe("pruning", ablation)
    if rows.empty:
        return EMPTY
    rise, unit = loss_column(tables, ablation, "rise_together")
    colours = variant_colours(rows, tables, ablation)
    figure, axes = plt.subplots(figsize=(7.5, 3.8))
    means = line_data(rows, colours, ["order"], rise)
    draw_lines(axes, means, colours, x="order", y=rise, **MARKED)
    axes.set(xlabel="heads switched off", ylabel=f"rise of the validation loss ({unit})")
    legend_beside(axes)
    caption = "Heads switched off together, in the order of their effect on the loss"
    return show(
        figure,
        alt=f"{caption}. At the right end: {values_at_right_end(rows, colours, 'order', rise)}.",
        caption=f"{caption}, smallest effect first: {mean_over_seeds(rows)}.",
        data=means,
        chart=chart_of(colours, ["order"], rise, f"rise of the validation loss ({unit})"),
    )


_MAX_BYTE = 255  # an attention weight of 1


def networks(tables: Tables) -> dict[str, pd.DataFrame]:
    """Rows of the table "atlas" by variant, for the ablations that ask for this probe."""
    by_variant: dict[str, pd.DataFrame] = {}
    for name, ablation in tables.ablations.items():
        rows = tables.probe("atlas", name)
        for variant in ablation.variants:
            of_variant = rows[rows["variant"] == variant.name]
            if len(of_variant):
                by_variant.setdefault(variant.name, of_variant)
    return by_variant


def viewer(tables: Tables) -> HTML:
    """Interactive passage: the weights of the token that the reader points at, in a chosen head."""
    by_variant = networks(tables)
    if not by_variant:
        return EMPTY
    data = [
        {
            "name": name,
            "passage": _passage(rows),
            "heads": _head_names(rows),
            "weights": base64.b64encode(
                zlib.compress(_causal(_weights(rows)).tobytes(), 9)
            ).decode(),
            "scores": _scores(tables, rows),
        }
        for name, rows in by_variant.items()
    ]
    names = join_words([f"“{name}”" for name in by_variant])
    return HTML(
        render("atlas", networks=data, names=names, token=tables.study.token, head=SCORES_HEAD)
    )


def grids(tables: Tables) -> HTML:
    """One heat map per head, for print and for readers without JavaScript."""
    return join_html(*(_grid(tables, *item).data for item in networks(tables).items()))


def _grid(tables: Tables, name: str, rows: pd.DataFrame) -> HTML:
    token, weights = tables.study.token, _weights(rows)
    n_layers, n_heads = rows["layer"].nunique(), rows["head"].nunique()
    figure, panels = plt.subplots(
        n_layers,
        n_heads,
        figsize=(2.2 * n_heads, 2.2 * n_layers),
        squeeze=False,
        sharex=True,
        sharey=True,
        layout="constrained",
    )
    for axes, head, title in zip(panels.flat, weights, _head_names(rows), strict=True):
        axes.imshow(head, cmap="Blues", vmin=0, vmax=_MAX_BYTE, interpolation="nearest")
        axes.grid(visible=False)
        axes.set_title(title)
    figure.supxlabel(f"attended {token}")
    figure.supylabel(f"attending {token}")
    previous = [float(np.diagonal(head, -1).mean() / _MAX_BYTE) for head in weights]
    shares = "; ".join(
        f"{head} {format_number(share)}"
        for head, share in zip(_head_names(rows), previous, strict=True)
    )
    return show(
        figure,
        alt=f"Attention weights of {plural(len(weights), 'head')} of {name} over"
        f" {weights.shape[1]} {token}s. Mean weight on the previous {token}: {shares}",
        caption=f"{name}, {_seeds([rows])}: each row shows the weights that a {token} gives to"
        " itself and to earlier ones; darker means larger, from 0 to 1.",
    )


def scores(tables: Tables) -> HTML:
    """Scores of every head, next to the two null values of each score."""
    by_variant = networks(tables)
    if not by_variant:
        return EMPTY
    rows = [
        (f"{name}, {head}", *score)
        for name, attention in by_variant.items()
        for head, scores_of_head in zip(
            _head_names(attention), _scores(tables, attention), strict=True
        )
        for score in scores_of_head
    ]
    note = f"Networks of {_seeds(by_variant.values())}. {scores_note(tables)}"
    name = "Scores of every head"
    return join_html(details(name, table(("head", *SCORES_HEAD), rows, note, name=name)))


def _seeds(networks: Iterable[pd.DataFrame]) -> str:
    return "seed " + join_words(sorted({str(seed) for rows in networks for seed in rows["seed"]}))


def _head_names(rows: pd.DataFrame) -> list[str]:
    """Names of all heads, by layer and head."""
    return [f"layer {layer + 1}, head {head + 1}" for layer, head in _heads(rows)]


def _heads(rows: pd.DataFrame) -> list[tuple[int, int]]:
    return sorted(set(zip(rows["layer"], rows["head"], strict=True)))


def _passage(rows: pd.DataFrame) -> list[str]:
    """Tokens of the passage."""
    return list(rows.sort_values("query").drop_duplicates("query")["token"])


def _weights(rows: pd.DataFrame) -> npt.NDArray[np.uint8]:
    """Attention weights as bytes, [heads, queries, keys]; zero for the keys after the query."""
    time = rows["query"].nunique()
    heads = rows.groupby(["layer", "head"])
    weights = np.zeros((len(heads), time, time), dtype=np.uint8)
    for head, (_, queries) in zip(weights, heads, strict=True):
        for query, values in zip(queries["query"], queries["weights"], strict=True):
            head[query, : query + 1] = np.round(_MAX_BYTE * np.asarray(values))
    return weights


def _causal(weights: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The weights of each query for the keys up to itself, one after the other, [heads, pairs]."""
    time = weights.shape[-1]
    return np.ascontiguousarray(weights[:, *np.tril_indices(time)])


def _scores(tables: Tables, rows: pd.DataFrame) -> list[list[list[str]]]:
    """Scores of every head: the name of the score, then one value per column of SCORES_HEAD."""
    table = read_table(tables.results, "heads")
    table = table[table["run_id"] == rows["run_id"].iloc[0]]
    scores: dict[tuple[int, int], list[list[str]]] = {head: [] for head in _heads(rows)}
    for row in records(table):
        values = [format_number(row[kind]) for kind in ("value", "untrained", "shuffled")]
        scores[row["layer"], row["head"]].append([row["score"].replace("_", " "), *values])
    return list(scores.values())
