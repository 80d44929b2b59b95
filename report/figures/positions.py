"""Positions: positional encodings before training, and loss by position and by length."""

import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import HTML
from matplotlib.axes import Axes

from experiments.records.collect import read_table
from report.figures.charts import (
    MARKED,
    chart_of,
    draw_lines,
    legend_beside,
    line_data,
    log2_axis,
    loss_label,
    show,
    values_at_right_end,
    variant_colours,
)
from report.html import EMPTY
from report.study.effects import loss_column
from report.study.tables import Tables, records
from report.verdicts.text import format_number, join_words, mean_over_seeds


def encodings(tables: Tables, ablation: str) -> HTML:
    """The positional encodings of an ablation, if the ablation compares at least three."""
    base = tables.study.base.position
    positions = {
        variant.name: tables.differing(variant).get("model.position", base)
        for variant in tables.ablations[ablation].variants
    }
    table = read_table(tables.results, "encodings")
    available = set(positions.values()) & set(table["encoding"])
    drawn = [name for name in _PANELS if name in available]
    if len(set(positions.values())) < 3 or not drawn:
        return EMPTY
    figure, panels = plt.subplots(1, len(drawn), figsize=(3.4 * len(drawn), 3.2), squeeze=False)
    descriptions, captions = [], []
    for axes, name in zip(panels[0], drawn, strict=True):
        draw, caption = _PANELS[name]
        axes.set_title(name)
        descriptions.append(f"{name}: {draw(axes, table[table['encoding'] == name])}")
        captions.append(f"{name}, {caption}")
    figure.tight_layout()
    caption = f"Before training: {'; '.join(captions)}."
    if omitted := [name for name, position in positions.items() if position not in drawn]:
        caption += (
            f" Not drawn, because there is nothing to compute in advance: {join_words(omitted)}."
        )
    return show(figure, alt=f"Positional encodings. {'; '.join(descriptions)}.", caption=caption)


def _sinusoidal(axes: Axes, rows: pd.DataFrame) -> str:
    grid = rows.pivot(index="part", columns="place", values="value")
    axes.imshow(grid, aspect="auto", cmap="vlag", interpolation="nearest", vmin=-1, vmax=1)
    axes.set(xlabel="position", ylabel="dimension")
    axes.grid(visible=False)
    low, high = rows["value"].min(), rows["value"].max()
    return f"values from {format_number(low)} to {format_number(high)}"


def _rope(axes: Axes, rows: pd.DataFrame) -> str:
    axes.plot(rows["place"], rows["value"], color="C0")
    axes.set(xlabel="distance", ylabel="score relative to distance 0")
    last = records(rows.sort_values("place"))[-1]
    return f"falls from 1 to {format_number(last['value'])} at distance {last['place']}"


def _alibi(axes: Axes, rows: pd.DataFrame) -> str:
    for head in sorted(rows["part"].unique()):
        biases = rows[rows["part"] == head].sort_values("place")
        axes.plot(biases["place"], biases["value"], color=f"C{head}", label=f"head {head + 1}")
    axes.legend(frameon=False)
    axes.set(xlabel="distance", ylabel="bias of the score")
    last = rows[rows["place"] == rows["place"].max()].sort_values("part")["value"]
    return f"{', '.join(map(format_number, last))} by head at the largest distance"


_PANELS = {
    "sinusoidal": (_sinusoidal, "the vectors added to the embeddings"),
    "rope": (_rope, "the score of an identical query and key after the rotation"),
    "alibi": (_alibi, "the bias added to the scores of each head"),
}


def loss_by_position(tables: Tables, ablation: str) -> HTML:
    """Validation loss against the position in the context."""
    rows = tables.probe("positions", ablation)
    if rows.empty:
        return EMPTY
    # Single positions are noisy, so the loss is averaged over bins of doubling width. The bins
    # start at positions 1, 2, 3, 5, 9, ..., counted from 1.
    bins = rows["position"].map(lambda p: 1 if p == 0 else 2 ** (p.bit_length() - 1) + 1)
    loss = loss_column(tables, ablation, "loss").name
    means = rows.assign(position=bins).groupby(["variant", "seed", "position"])[loss].mean()
    return _loss_figure(
        means.reset_index(),
        tables,
        ablation,
        x="position",
        label="position in the context (start of bin)",
        caption="Loss by position in the context, averaged over bins of doubling width",
    )


def loss_by_length(tables: Tables, ablation: str) -> HTML:
    """Validation loss against the length of the text, in multiples of the training length."""
    probed = tables.probe("lengths", ablation)
    rows = probed.dropna(subset=[loss_column(tables, ablation, "loss").name])
    if rows.empty:
        return EMPTY
    extrapolating = set(rows.loc[rows["multiple"] > 1, "variant"])
    note = ""
    if limited := sorted(set(probed["variant"]) - extrapolating):
        note = f" Limited to the training length: {', '.join(limited)}."
    return _loss_figure(
        rows,
        tables,
        ablation,
        x="multiple",
        label="length (multiple of the training length)",
        caption="Loss on texts of the training length and longer",
        note=note,
    )


def _loss_figure(
    rows: pd.DataFrame,
    tables: Tables,
    ablation: str,
    *,
    x: str,
    label: str,
    caption: str,
    note: str = "",
) -> HTML:
    """Validation loss against x on a logarithmic axis, with one line per variant."""
    loss = loss_column(tables, ablation, "loss").name
    colours = variant_colours(rows, tables, ablation)
    figure, axes = plt.subplots(figsize=(7.5, 3.8))
    means = line_data(rows, colours, [x], loss)
    draw_lines(axes, means, colours, x=x, y=loss, **MARKED)
    log2_axis(axes)
    axes.set(xlabel=label, ylabel=loss_label(tables, ablation))
    legend_beside(axes)
    return show(
        figure,
        alt=f"{caption}. At the right end: {values_at_right_end(rows, colours, x, loss)}.",
        caption=f"{caption}: {mean_over_seeds(rows)}.{note}",
        data=means,
        chart=chart_of(colours, [x], loss, loss_label(tables, ablation), log=True),
    )
