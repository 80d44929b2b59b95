"""Depth: final loss by number of layers, and gradients and activations by layer."""

import itertools
from typing import Any

import matplotlib.pyplot as plt
import seaborn as sns
from IPython.display import HTML
from matplotlib.ticker import MaxNLocator

from report.figures.charts import (
    draw_lines,
    legend_beside,
    line_data,
    loss_label,
    show,
    variant_colours,
)
from report.html import EMPTY
from report.study.effects import loss_column, scored
from report.study.tables import Tables
from report.verdicts.text import format_number, join_words, mean_over_seeds, seeds_of


def depth_grid(tables: Tables, ablation: str) -> HTML:
    """Heat map of the final loss by kind of stack and number of layers.

    Empty unless the variants form a complete grid of at least two kinds and three depths.
    """
    variants = tables.ablations[ablation].variants
    at_base_rate = {variant.name for variant in variants if not variant.tuned_for}
    rows = scored(tables, ablation)
    rows = rows[rows["variant"].isin(at_base_rate)]
    residual = rows["model.residual"].map(lambda used: "residual" if used else "no residual")
    norm = "norm " + rows["model.norm_placement"].astype(str)
    # An empty column maps to objects in some versions of pandas, and objects do not add to text.
    rows = rows.assign(kind=norm + ", " + residual.astype(str))
    depths, kinds = rows["model.n_layers"].nunique(), rows["kind"].nunique()
    cells = rows.drop_duplicates(["kind", "model.n_layers"])
    if depths < 3 or kinds < 2 or len(cells) != depths * kinds:
        return EMPTY
    grid = rows.pivot_table(
        index="kind",
        columns="model.n_layers",
        values=loss_column(tables, ablation).name,
        aggfunc="mean",
        sort=False,
    )
    grid = grid[sorted(grid.columns)].rename(columns=int)
    figure, axes = plt.subplots(figsize=(1.6 + 1.2 * depths, 1.0 + 0.55 * kinds))
    colour_bar = {"label": loss_label(tables, ablation)}
    sns.heatmap(grid, annot=True, fmt=".2f", cmap="viridis_r", ax=axes, cbar_kws=colour_bar)
    axes.set(xlabel="layers", ylabel="")
    used = [f"{rate:g}" for rate in sorted(rows["recipe.learning_rate"].dropna().unique())]
    rates = f"the learning {'rate' if len(used) == 1 else 'rates'} {join_words(used)}"
    losses = "; ".join(
        f"{kind}, {depth} layers: {format_number(loss)}"
        for kind, losses_by_depth in grid.iterrows()
        for depth, loss in losses_by_depth.items()
    )
    return show(
        figure,
        alt=f"Final validation loss by depth. {losses}.",
        caption=f"Final validation loss by depth, at {rates}: mean of {seeds_of(rows)}. A loss"
        " above that of a uniform guess, and that of a diverged run, counts as a uniform guess.",
        data=grid.reset_index(),
    )


_TIMES = {True: "before training", False: "after the last step"}
_MOST_MARKED = 8  # layers; markers of more would be a band


def layer_gradients(tables: Tables, ablation: str) -> HTML:
    """Gradients and activations by layer, before the first and after the last step."""
    rows = tables.probe("layers", ablation)
    rows = rows[rows["part"] == "feed_forward"]
    if rows.empty:
        return EMPTY
    last_step = rows.groupby("run_id")["step"].transform("max")
    rows = rows[(rows["step"] == 0) | (rows["step"] == last_step)]
    rows = rows.assign(
        layer=rows["layer"] + 1,
        when=(rows["step"] == 0).map(_TIMES),
    )
    quantities = {"gradient_norm": "gradient norm", "output_rms": "RMS of the output"}
    rows = rows.rename(columns=quantities).melt(
        ["variant", "seed", "layer", "when"], list(quantities.values()), "quantity"
    )
    rows = rows[rows["value"] > 0]  # neither NaN of a diverged run nor underflow of float32
    colours = variant_colours(rows, tables, ablation)
    means = rows.groupby(["variant", "quantity", "when", "layer"], sort=False)["value"].mean()
    marker = "o" if rows["layer"].max() <= _MOST_MARKED else None
    figure, panels = plt.subplots(2, 2, figsize=(9, 6), sharex=True, sharey="row")
    for axes, (quantity, when) in zip(
        panels.flat, itertools.product(quantities.values(), _TIMES.values()), strict=True
    ):
        chosen = rows[(rows["quantity"] == quantity) & (rows["when"] == when)]
        points = line_data(chosen, colours, ["layer"], "value")
        lines: dict[str, Any] = {"style": None, "style_order": None, "marker": marker, "tips": True}
        draw_lines(
            axes, points, colours, x="layer", y="value", legend=axes is panels[0, 1], **lines
        )
        axes.set(yscale="log", xlabel="layer", ylabel="", title=f"{quantity}, {when}")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend_beside(panels[0, 1])
    return show(
        figure,
        alt=f"Gradients and activations by layer of {', '.join(colours)}.",
        caption="Feed-forward sublayer of each layer, on one fixed batch: norm of the loss's"
        " gradient with respect to the sublayer's last matrix, and root mean square of its output:"
        f" {mean_over_seeds(rows)}.",
        data=means.reset_index(),
    )
