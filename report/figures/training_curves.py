"""Training curves: the loss over training, and its difference from the baseline's."""

import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import HTML
from matplotlib.ticker import EngFormatter

from report.figures.charts import (
    Colours,
    chart_of,
    draw_lines,
    legend_beside,
    line_data,
    loss_label,
    show,
    values_at_right_end,
    variant_colours,
)
from report.figures.forest import about_losses
from report.html import EMPTY, join_html, paragraph
from report.study.effects import curve_points, finished, is_text, loss_column
from report.study.tables import Tables
from report.svg import INK, SOFT, set_tip
from report.verdicts.text import format_number, join_words, mean_over_seeds

_AXES = ("tokens", "seconds", "flops")


def learning_curves(tables: Tables, ablation: str) -> HTML:
    """Validation loss against tokens: mean and 95 % interval over seeds."""
    loss = loss_column(tables, ablation, "loss").name
    points = curve_points(tables, ablation).dropna(subset=[loss])
    if points.empty:
        return join_html(paragraph("No run has finished yet."))
    colours = variant_colours(points, tables, ablation)
    ends = _final_losses(points, colours, loss)
    means = line_data(points, colours, _AXES, loss, by="step")
    points, above = _up_to(1.5 * tables.uniform_loss, points, loss)
    figure, axes = plt.subplots(figsize=(7, 3.4))
    drawn = line_data(points, colours, ["tokens"], loss, by="step")
    draw_lines(axes, drawn, colours, x="tokens", y=loss)
    axes.set(xlabel="tokens trained on", ylabel=loss_label(tables, ablation))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    caption = "Validation loss during training, for runs with a result: "
    caption += f"{mean_over_seeds(points)}."
    guesses = (tables.uniform_loss, tables.unigram_loss) if is_text(tables, ablation) else ()
    for guess in guesses:
        axes.axhline(guess, color=SOFT, linestyle=":", linewidth=1)
    if guesses:
        token = tables.study.token
        caption += (
            f" Dotted lines: a uniform guess over all {token}s, and a guess by {token} frequency."
        )
    caption += above
    legend_beside(axes)
    return show(
        figure,
        alt=f"Learning curves of {len(colours)} variants. {ends}.",
        caption=caption,
        data=means,
        chart=chart_of(
            colours,
            _AXES,
            loss,
            loss_label(tables, ablation),
            cap=1.5 * tables.uniform_loss,
            guides=guesses,
        ),
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


_MOST_IN_LEGEND = 8  # a legend of more variants would cover the lines
_NOT_DRAWN = " Not drawn, since a run diverged or ended above a uniform guess:"


def difference_curves(tables: Tables, ablation: str) -> HTML:
    """Difference of each variant's loss from the baseline's over training, paired by seed and step.

    Differences larger than those of the second half of the training are drawn at the edge.
    """
    rows = _differences(tables, ablation)
    if not about_losses(tables, ablation) or rows.empty or rows["step"].nunique() < 2:
        return EMPTY
    lost = _diverging(tables, ablation)
    rows = rows[~rows["variant"].isin(lost)]
    if rows.empty:
        return EMPTY
    late = rows[rows["step"] >= rows["step"].max() / 2]["difference"]
    reach = max(1.25 * float(late.abs().max()), 0.02)
    shown = rows.assign(difference=rows["difference"].clip(-reach, reach))
    shown = shown[shown["step"] > 0]
    beyond = bool((shown["difference"].abs() >= reach).any())
    colours = variant_colours(shown, tables, ablation)
    figure, axes = plt.subplots(figsize=(5.2, 2.4), layout="constrained")
    drawn = line_data(shown, colours, ["tokens"], "difference")
    many = len(colours) > _MOST_IN_LEGEND
    draw_lines(axes, drawn, colours, x="tokens", y="difference", dashes=False, legend=not many)
    for name, line in zip(colours, axes.lines, strict=False):  # lines of the legend follow
        set_tip(line, values_at_right_end(rows, {name: colours[name]}, "tokens", "difference"))
    baseline, unit = tables.ablations[ablation].baseline, loss_column(tables, ablation).unit
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.set(xlabel="tokens trained on", ylabel=f"less {baseline}\n({unit})")
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    if not many:
        axes.legend(frameon=False, fontsize=7, title=None, loc="best")
    ends = values_at_right_end(rows, colours, "tokens", "difference")
    return show(
        figure,
        alt=f"Difference from {baseline} during training. At the end: {ends}.",
        caption=f"Loss during training less that of {baseline} at the same step and seed:"
        f" {mean_over_seeds(rows)}."
        + (" Larger differences are drawn at the edge." if beyond else "")
        + (f" The {len(colours)} lines say their names under the pointer." if many else "")
        + (f"{_NOT_DRAWN} {join_words(lost)}." if lost else ""),
        data=line_data(rows, colours, ["tokens"], "difference"),
        quiet=True,
    )


def _diverging(tables: Tables, ablation: str) -> list[str]:
    """The variants with a run that diverged, or whose loss rose above that of a uniform guess in
    the second half of the training.
    """
    members = finished(tables, ablation)
    points = curve_points(tables, ablation)
    loss = points[loss_column(tables, ablation, "loss").name].astype(float)
    high = points[(points["step"] >= points["step"].max() / 2) & (loss > tables.uniform_loss)]
    lost = {*members.loc[members["status"] == "diverged", "variant"], *high["variant"]}
    return [variant.name for variant in tables.ablations[ablation].variants if variant.name in lost]


def _differences(tables: Tables, ablation: str) -> pd.DataFrame:
    """The differences from the baseline: variant, seed, step, tokens and difference."""
    loss = loss_column(tables, ablation, "loss").name
    points = curve_points(tables, ablation).dropna(subset=[loss])
    places = ["seed", "step"]
    is_baseline = points["variant"] == tables.ablations[ablation].baseline
    of_baseline = points.loc[is_baseline, [*places, loss]].rename(columns={loss: "of_baseline"})
    rows = points[~is_baseline].merge(of_baseline, on=places)
    return rows.assign(difference=rows[loss].astype(float) - rows["of_baseline"].astype(float))
