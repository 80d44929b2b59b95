"""Figures: functions from tidy tables to charts, and a chart's way into the page."""

import base64
import io
import re
import textwrap
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from IPython.display import HTML
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from report.html import EMPTY, render
from report.verdicts.stats import Estimate, estimate
from report.verdicts.tables import Tables, records
from report.verdicts.text import format_estimate, format_number, join_words, mean_over_seeds, plural

matplotlib.use("Agg")
sns.set_theme(context="paper", style="whitegrid", palette="colorblind")
plt.rcParams |= {"svg.fonttype": "none", "font.family": "sans-serif", "svg.hashsalt": "report"}


def show(figure: Figure, alt: str, caption: str) -> HTML:
    """The figure as an image in the page, with a text for those who cannot see it: an SVG, or a
    PNG of two and a half pixels to each of the page's where that is smaller.
    """
    drawing = _saved(figure, "svg", metadata={"Date": None})
    width, height = (
        round(float(points) * 4 / 3)
        for points in re.findall(rb'(?:width|height)="([\d.]+)pt"', drawing[:2000])
    )
    kind = "svg+xml"
    if len(drawing) > _LIGHT:
        picture = _saved(figure, "png", metadata={"Software": None}, dpi=2.5 * 96)
        if len(picture) < len(drawing):
            kind, drawing = "png", picture
    plt.close(figure)
    data = base64.b64encode(drawing).decode()
    return HTML(
        render("figure", kind=kind, data=data, alt=alt, caption=caption, width=width, height=height)
    )


_LIGHT = 60_000  # bytes: below, no PNG of a figure was ever smaller


def _saved(figure: Figure, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, bbox_inches="tight", **options)
    return buffer.getvalue()


def learning_curves(tables: Tables, ablation: str) -> HTML:
    """Validation loss against tokens: mean and 95 % interval over seeds, single seeds faint."""
    points = tables.points(ablation).dropna(subset=["loss"])
    if points.empty:
        return HTML(render("paragraph", text="No run has ended with a result yet."))
    order, colours = variants_in(points, tables, ablation)
    figure, axes = plt.subplots(figsize=(7.5, 4.2))
    common = {"x": "tokens", "y": "loss", "hue": "variant", "hue_order": order, "ax": axes}
    common |= {"data": points, "palette": colours}
    sns.lineplot(**common, units="seed", estimator=None, alpha=0.25, linewidth=0.6, legend=False)
    sns.lineplot(
        **common, style="variant", style_order=order, dashes=len(order) > 4, errorbar=interval
    )
    floors = _floors(axes, tables, ablation)
    axes.set(xlabel="tokens trained on", ylabel=loss_label(tables, ablation))
    # One spike would press all curves flat: what is far above the uniform guess is cut, and told.
    highest = 1.5 * tables.uniform_loss
    if cut := int((points["loss"] > highest).sum()):
        axes.set_ylim(float(points["loss"].min()) - 0.1, highest)
    axes.xaxis.set_major_formatter(matplotlib.ticker.EngFormatter(sep=""))
    legend_beside(axes)
    seeds = points["seed"].nunique()
    return show(
        figure,
        alt=f"Learning curves of {len(order)} variants. " + _endings(points, order),
        caption=f"Validation loss over training, of runs that ended with a result: {mean_over_seeds(seeds)}"
        + (", single seeds faint." if seeds > 1 else ".")
        + floors
        + (f" {plural(cut, 'point')} above {highest:.1f} cut off." if cut else ""),
    )


def currency_curves(tables: Tables, ablation: str) -> HTML:
    """Validation loss against seconds of training, and against its arithmetic."""
    points = tables.points(ablation).dropna(subset=["loss"])
    # seconds differ from seed to seed: a curve's points are put where their mean is
    spent = points.groupby(["variant", "step"])[["seconds", "flops"]].transform("mean")
    points = points.drop(columns=["seconds", "flops"]).join(spent)
    points = points[(points["step"] > 0) & points["flops"].notna()]
    if points["step"].nunique() < 2:  # a point or none is no curve
        return EMPTY
    order, colours = variants_in(points, tables, ablation)
    figure, both = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True)
    for axes, (column, label) in zip(
        both, {"seconds": "seconds of training", "flops": "FLOPs of training"}.items(), strict=True
    ):
        sns.lineplot(
            points[points[column] > 0],  # a bigram has no operations to be drawn against
            x=column, y="loss", hue="variant", hue_order=order, style="variant",
            style_order=order, dashes=len(order) > 4, palette=colours,
            errorbar=interval, ax=axes, legend=column == "flops",
        )  # fmt: skip
        axes.set(xlabel=label, ylabel=loss_label(tables, ablation), xscale="log")
        low, high = axes.get_xlim()
        subs = (1, 2, 5) if high / low < _WIDE else (1,)
        axes.xaxis.set_major_locator(matplotlib.ticker.LogLocator(subs=subs, numticks=8))
        short = matplotlib.ticker.EngFormatter(sep="")
        axes.xaxis.set_major_formatter(short if column == "flops" else "{x:g}")
        axes.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
        # An interval about a lost run reaches anywhere.
        highest = min(points["loss"].max(), 1.1 * tables.uniform_loss)
        axes.set_ylim(points["loss"].min() - 0.1, highest)
    legend_beside(both[1])
    ends = points.sort_values("step").groupby("variant")[["seconds", "flops"]].last()
    told = "; ".join(
        f"{row['variant']} {format_number(row['seconds'])} s, {row['flops']:.3g} FLOPs"
        for row in records(ends.reset_index())
    )
    return show(
        figure,
        alt=f"The same curves by cost. Whole trainings: {told}.",
        caption="The same losses by what they cost on this machine, other runs at work beside:"
        f" {mean_over_seeds(points['seed'].nunique())}.",
    )


_WIDE = 100  # times the least: beyond, ticks at each 1, 2 and 5 would touch each other


def forest(tables: Tables, ablations: list[str]) -> HTML:
    """Paired differences of every variant from its ablation's baseline, with 95 % intervals."""
    figure, told = draw_forest(tables, ablations)
    if not told:
        plt.close(figure)
        return HTML(render("paragraph", text="No variant can be set against its baseline yet."))
    baselines = ", ".join(f"{name}: {tables.ablations[name].baseline}" for name in ablations)
    return show(
        figure,
        alt=f"Mean paired differences in {_nats(tables, ablations)}: {'; '.join(told)}.",
        caption="Each variant against its baseline, paired by seed: mean, 95 % interval from two"
        f" seeds on, number of seeds. Baseline of {baselines}.",
    )


def draw_forest(tables: Tables, ablations: list[str]) -> tuple[Figure, list[str]]:
    """The figure of `forest`, and each of its rows in words."""
    rows = [
        {"ablation": name, **row} for name in ablations for row in records(tables.differences(name))
    ]
    single = len(ablations) == 1
    figure, axes = plt.subplots(figsize=(7.5, 0.9 + 0.26 * len(rows)))
    colours = dict(zip(ablations, sns.color_palette("colorblind", len(ablations)), strict=True))
    labels, told = [], []
    right = axes.get_yaxis_transform()  # beside the axes, at the height of a row
    for place, row in enumerate(rows):
        names = [v.name for v in tables.ablations[row["ablation"]].variants]
        colour = palette(names)[row["variant"]] if single else colours[row["ablation"]]
        mean, low, high = row["mean"], row["low"], row["high"]
        if low is not None:
            ends = [low, high]
            axes.plot(ends, [place, place], color=colour, linewidth=2, solid_capstyle="butt")
        axes.plot(mean, place, "o", color=colour, markersize=5)
        labels.append(row["variant"] if single else f"{row['ablation']}: {row['variant']}")
        said = format_estimate(Estimate(mean, low, high, row["n"]))
        axes.text(1.02, place, f"{said} (n {row['n']})", transform=right, va="center", fontsize=8)
        told.append(f"{labels[-1]} {said}")
    axes.set_yticks(range(len(rows)), labels)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.axvline(0, color="0.3", linewidth=1)
    unit = textwrap.fill(f"({_nats(tables, ablations)})", 80)
    axes.set(xlabel=f"difference in validation loss from the baseline\n{unit}")
    axes.text(0, 1.01, "← better", transform=axes.transAxes, ha="left", va="bottom")
    axes.text(1, 1.01, "worse →", transform=axes.transAxes, ha="right", va="bottom")
    return figure, told


def _nats(tables: Tables, ablations: list[str]) -> str:
    """What the losses of some ablations are measured in."""
    others = [name for name in ablations if not tables.is_text(name)]
    if len(others) == len(ablations):
        return "nats per target"
    return "nats per character" + (f"; of {join_words(others)}, per target" if others else "")


def variants_in(
    rows: pd.DataFrame, tables: Tables, ablation: str
) -> tuple[list[str], dict[str, tuple[float, float, float]]]:
    """The variants that some rows are of, in the ablation's order, and each one's colour."""
    names = [variant.name for variant in tables.ablations[ablation].variants]
    return [name for name in names if name in set(rows["variant"])], palette(names)


def legend_beside(axes: Axes) -> None:
    """The legend, to the right of the axes."""
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)


def palette(names: list[str]) -> dict[str, tuple[float, float, float]]:
    """One colour per variant, the same in every figure."""
    return dict(zip(names, sns.color_palette("colorblind", len(names)), strict=True))


def interval(values: pd.Series) -> tuple[float, float]:
    """The 95 % interval of a mean, for seaborn; of no width to draw where there is none."""
    found = estimate(list(values))
    if found.low is None or found.high is None:
        return float("nan"), float("nan")
    return found.low, found.high


def loss_label(tables: Tables, ablation: str) -> str:
    """The axis of a validation loss: what it is a mean over."""
    return f"validation loss ({_nats(tables, [ablation])})"


def _floors(axes: Axes, tables: Tables, ablation: str) -> str:
    """Lines at what a guess loses that has learnt nothing or little, where characters are
    predicted; and what the caption says of them.
    """
    if not tables.is_text(ablation):
        return ""
    for guess in (tables.uniform_loss, tables.unigram_loss):
        axes.axhline(guess, color="0.4", linestyle=":", linewidth=1)
    return (
        f" The dotted lines are a guess among all {tables.study.token}s alike, and one by their"
        " frequency alone."
    )


def _endings(points: pd.DataFrame, order: list[str]) -> str:
    last = points.sort_values("step").groupby(["variant", "seed"])["loss"].last()
    means = last.groupby("variant").mean()
    return "; ".join(f"{name} ends at {format_number(means[name])}" for name in order) + "."
