"""Learning curves: validation loss against tokens, seconds and floating-point operations."""

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from IPython.display import HTML
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, LogLocator, NullLocator

from report.figures.charts import (
    Colours,
    by_colour,
    draw_lines,
    legend_beside,
    loss_label,
    show,
    variant_colours,
)
from report.html import EMPTY, join_html, paragraph
from report.verdicts.effects import curve_points, is_text, loss_column
from report.verdicts.tables import Tables, records
from report.verdicts.text import format_number, mean_over_seeds


def learning_curves(tables: Tables, ablation: str) -> HTML:
    """Validation loss against tokens: mean and 95 % interval over seeds, single seeds faint."""
    loss = loss_column(tables, ablation, "loss").name
    points = curve_points(tables, ablation).dropna(subset=[loss])
    if points.empty:
        return join_html(paragraph("No run has finished yet."))
    colours = variant_colours(points, tables, ablation)
    ends = _final_losses(points, colours, loss)
    points, above = _up_to(1.5 * tables.uniform_loss, points, loss)
    figure, axes = plt.subplots(figsize=(7.5, 4.2))
    single_seeds = {"units": "seed", "estimator": None, "alpha": 0.25, "linewidth": 0.6}
    sns.lineplot(
        points, x="tokens", y=loss, ax=axes, legend=False, **by_colour(colours), **single_seeds
    )
    draw_lines(axes, points, colours, x="tokens", y=loss)
    axes.set(xlabel="tokens trained on", ylabel=loss_label(tables, ablation))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    caption = "Validation loss during training, for runs with a result: "
    caption += mean_over_seeds(points)
    caption += ", single seeds faint." if points["seed"].nunique() > 1 else "."
    if is_text(tables, ablation):
        caption += _draw_guesses(axes, tables)
    caption += above
    legend_beside(axes)
    return show(
        figure,
        alt=f"Learning curves of {len(colours)} variants. {ends}.",
        caption=caption,
    )


def _draw_guesses(axes: Axes, tables: Tables) -> str:
    """Draw the losses of a uniform guess and a unigram guess, and describe both lines."""
    for guess in (tables.uniform_loss, tables.unigram_loss):
        axes.axhline(guess, color="0.4", linestyle=":", linewidth=1)
    return (
        f" Dotted lines: a uniform guess over all {tables.study.token}s, and a guess by"
        f" {tables.study.token} frequency."
    )


def _up_to(highest: float, points: pd.DataFrame, loss: str) -> tuple[pd.DataFrame, str]:
    """The points with higher losses lowered to `highest`, and a sentence on how many there are.

    A loss of hundreds would compress all curves, and make the interval of its mean cover them.
    """
    if not (n := int((points[loss] > highest).sum())):
        return points, ""
    lowered = points.assign(**{loss: points[loss].clip(upper=highest)})
    noun = "loss" if n == 1 else "losses"
    return lowered, f" {n:,} {noun} above {highest:.1f} drawn at {highest:.1f}."


def _final_losses(points: pd.DataFrame, names: Colours, loss: str) -> str:
    last = points.sort_values("step").groupby(["variant", "seed"])[loss].last()
    means = last.groupby("variant").mean()
    return "; ".join(f"{name} ends at {format_number(means[name])}" for name in names)


def learning_curves_by_cost(tables: Tables, ablation: str) -> HTML:
    """Validation loss against seconds of training, and against FLOPs of training."""
    loss = loss_column(tables, ablation, "loss").name
    points = curve_points(tables, ablation).dropna(subset=[loss])
    # Seconds differ between seeds, so every point is drawn at the mean over seeds.
    mean_costs = points.groupby(["variant", "step"])[["seconds", "flops"]].transform("mean")
    points = points.assign(seconds=mean_costs["seconds"], flops=mean_costs["flops"])
    points = points[(points["step"] > 0) & points["flops"].notna()]
    points, above = _up_to(1.1 * tables.uniform_loss, points, loss)
    if points["step"].nunique() < 2:
        return EMPTY
    colours = variant_colours(points, tables, ablation)
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True)
    for axes, column in ((left, "seconds"), (right, "flops")):
        costly = points[points[column] > 0]  # a bigram has no operations
        draw_lines(axes, costly, colours, x=column, y=loss, legend=axes is right)
        axes.set(ylabel=loss_label(tables, ablation), xscale="log")
        low, high = axes.get_xlim()
        subs = (1, 2, 5) if high / low < _WIDE_RANGE else (1,)
        axes.xaxis.set_major_locator(LogLocator(subs=subs, numticks=8))
        axes.xaxis.set_minor_locator(NullLocator())
    left.set_xlabel("seconds of training")
    left.xaxis.set_major_formatter("{x:g}")
    right.set_xlabel("FLOPs of training")
    right.xaxis.set_major_formatter(EngFormatter(sep=""))
    legend_beside(right)
    last = points.sort_values("step").groupby("variant")[["seconds", "flops"]].last()
    totals = "; ".join(
        f"{row['variant']} {format_number(row['seconds'])} s, {row['flops']:.3g} FLOPs"
        for row in records(last.reset_index())
    )
    return show(
        figure,
        alt=f"Learning curves against cost. Cost of a complete training: {totals}.",
        caption="The same losses against the cost of training on this machine, measured while other"
        f" runs were active: {mean_over_seeds(points)}.{above}",
    )


_WIDE_RANGE = 100  # ratio of the axis limits above which ticks at 1, 2 and 5 would overlap
