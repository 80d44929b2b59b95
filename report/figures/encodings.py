"""What is set before a network learns: positional encodings, and learning rates over time."""

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from IPython.display import HTML
from matplotlib.axes import Axes

from experiments.records.collect import read_table
from report.figures.charts import legend_beside, show, variants_in
from report.html import EMPTY
from report.verdicts.tables import Tables, records
from report.verdicts.text import format_number, join_words


def encodings(tables: Tables, ablation: str) -> HTML:
    """The positional encodings that an ablation sets side by side: where it compares several."""
    own = tables.study.base.position
    positions = {
        variant.name: tables.differing(variant).get("model.position", own)
        for variant in tables.ablations[ablation].variants
    }
    used = set(positions.values())
    found = read_table(tables.results, "encodings")
    drawn = [name for name in _DRAWN if name in used and name in set(found["encoding"])]
    if len(used) < 3 or not drawn:
        return EMPTY
    figure, panels = plt.subplots(1, len(drawn), figsize=(3.4 * len(drawn), 3.2), squeeze=False)
    told, captions = [], []
    for axes, name in zip(panels[0], drawn, strict=True):
        draw, caption = _DRAWN[name]
        rows = found[found["encoding"] == name]
        axes.set_title(name)
        told.append(f"{name}: {draw(axes, rows)}")
        captions.append(f"{name}, {caption}")
    figure.tight_layout()
    undrawn = [name for name, position in positions.items() if position not in drawn]
    return show(
        figure,
        alt=f"Positional encodings. {'; '.join(told)}.",
        caption=f"Before any training: {'; '.join(captions)}."
        + (
            f" Not drawn, for nothing is tabulated of them: {join_words(undrawn)}."
            if undrawn
            else ""
        ),
    )


def _sinusoidal(axes: Axes, rows: pd.DataFrame) -> str:
    grid = rows.pivot(index="part", columns="place", values="value")
    axes.imshow(grid, aspect="auto", cmap="vlag", interpolation="nearest", vmin=-1, vmax=1)
    axes.set(xlabel="position", ylabel="dimension")
    axes.grid(visible=False)
    return (
        f"values from {format_number(rows['value'].min())} to {format_number(rows['value'].max())}"
    )


def _rope(axes: Axes, rows: pd.DataFrame) -> str:
    axes.plot(rows["place"], rows["value"], color="C0")
    axes.set(xlabel="distance", ylabel="score of alike, over that at 0")
    last = records(rows.sort_values("place"))[-1]
    return f"falls from 1 to {format_number(last['value'])} at distance {last['place']}"


def _alibi(axes: Axes, rows: pd.DataFrame) -> str:
    heads = sorted(rows["part"].unique())
    ends = []
    for head, colour in zip(heads, sns.color_palette("colorblind", len(heads)), strict=True):
        some = rows[rows["part"] == head].sort_values("place")
        axes.plot(some["place"], some["value"], color=colour, label=f"head {head + 1}")
        ends.append(format_number(some["value"].iloc[-1]))
    axes.legend(frameon=False)
    axes.set(xlabel="distance", ylabel="added to the score")
    return f"{', '.join(ends)} by head at the greatest distance"


_DRAWN = {
    "sinusoidal": (_sinusoidal, "what is added to the embeddings"),
    "rope": (_rope, "what turning leaves of the score of a query and a key that are alike"),
    "alibi": (_alibi, "what is added to the scores of each head"),
}


def schedules(tables: Tables, ablation: str) -> HTML:
    """The learning rate over training, where variants differ in how it moves."""
    asked = [variant.changes for variant in tables.ablations[ablation].variants]
    moving = [(each.get("recipe.schedule"), each.get("recipe.warmup_steps")) for each in asked]
    if len(set(moving)) < 2:
        return EMPTY
    points = tables.points(ablation, "train").dropna(subset=["learning_rate"])
    points = points.drop_duplicates(["variant", "step"])  # seeds have it in common
    order, colours = variants_in(points, tables, ablation)
    if not order:
        return EMPTY
    figure, axes = plt.subplots(figsize=(7.5, 3.2))
    sns.lineplot(
        points, x="step", y="learning_rate", hue="variant", hue_order=order, style="variant",
        style_order=order, palette=colours, ax=axes,
    )  # fmt: skip
    axes.set(xlabel="step", ylabel="learning rate")
    legend_beside(axes)
    last = points.sort_values("step").groupby("variant")["learning_rate"].last()
    told = "; ".join(f"{name} ends at {last[name]:.3g}" for name in order)
    return show(
        figure,
        alt=f"Learning rate over training. {told}.",
        caption="The learning rate over training, as it was recorded every few steps.",
    )
