"""Figures: functions from tidy tables to charts, and a chart's way into the page."""

import base64
import io
import re
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from IPython.display import HTML
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from report.markup import NOTHING, render
from report.stats import Estimate, estimate
from report.tables import Tables, records
from report.text import counted, number, plus_minus

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
    names = [variant.name for variant in tables.ablations[ablation].variants]
    members = tables.members.loc[
        tables.members["ablation"] == ablation, ["variant", "seed", "run_id"]
    ]
    points = tables.curves[tables.curves["split"] == "val"].merge(members, on="run_id")
    points = points.dropna(subset=["loss"])
    order = [name for name in names if name in set(points["variant"])]
    figure, axes = plt.subplots(figsize=(7.5, 4.2))
    common = {"x": "tokens", "y": "loss", "hue": "variant", "hue_order": order, "ax": axes}
    common |= {"data": points, "palette": palette(names)}
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
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    seeds = points["seed"].nunique()
    return show(
        figure,
        alt=f"Learning curves of {len(order)} variants. " + _endings(points, order),
        caption=f"Validation loss over training: mean of {counted(seeds, 'seed')}"
        + (" with its 95 % interval, single seeds faint." if seeds > 1 else ", no interval.")
        + floors
        + (f" {counted(cut, 'point')} above {highest:.1f} cut off." if cut else ""),
    )


def currency_curves(tables: Tables, ablation: str) -> HTML:
    """Validation loss against seconds of training, and against its arithmetic."""
    names = [variant.name for variant in tables.ablations[ablation].variants]
    points = tables.validation_points(ablation).dropna(subset=["loss"])
    order = [name for name in names if name in set(points["variant"])]
    # seconds differ from seed to seed: a curve's points are put where their mean is
    spent = points.groupby(["variant", "step"])[["seconds", "flops"]].transform("mean")
    points = points.drop(columns=["seconds", "flops"]).join(spent)
    points = points[(points["step"] > 0) & points["flops"].notna()]
    order = [name for name in order if name in set(points["variant"])]
    if points["step"].nunique() < 2:  # a point or none is no curve
        return NOTHING
    figure, both = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True)
    for axes, (column, label) in zip(
        both, {"seconds": "seconds of training", "flops": "FLOPs of training"}.items(), strict=True
    ):
        sns.lineplot(
            points[points[column] > 0],  # a bigram has no operations to be drawn against
            x=column, y="loss", hue="variant", hue_order=order, style="variant",
            style_order=order, dashes=len(order) > 4, palette=palette(names),
            errorbar=interval, ax=axes, legend=column == "flops",
        )  # fmt: skip
        axes.set(xlabel=label, ylabel=loss_label(tables, ablation), xscale="log")
        axes.xaxis.set_major_locator(matplotlib.ticker.LogLocator(subs=(1, 2, 5)))
        short = matplotlib.ticker.EngFormatter(sep="")
        axes.xaxis.set_major_formatter(short if column == "flops" else "{x:g}")
        axes.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
        # An interval about a lost run reaches anywhere.
        highest = min(points["loss"].max(), 1.1 * tables.uniform_loss)
        axes.set_ylim(points["loss"].min() - 0.1, highest)
    both[1].legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    ends = points.sort_values("step").groupby("variant")[["seconds", "flops"]].last()
    told = "; ".join(
        f"{row['variant']} {number(row['seconds'])} s, {row['flops']:.3g} FLOPs"
        for row in records(ends.reset_index())
    )
    return show(
        figure,
        alt=f"The same curves by cost. Whole trainings: {told}.",
        caption="The same losses by what they cost on this machine, other runs at work beside: mean"
        f" and 95 % interval of {counted(points['seed'].nunique(), 'seed')}.",
    )


def forest(tables: Tables, ablations: list[str]) -> HTML:
    """Paired differences of every variant from its ablation's baseline, with 95 % intervals."""
    figure, told = draw_forest(tables, ablations)
    if not told:
        plt.close(figure)
        return HTML(render("paragraph", text="No variant can be set against its baseline yet."))
    baselines = ", ".join(f"{name}: {tables.ablations[name].baseline}" for name in ablations)
    return show(
        figure,
        alt=f"Mean paired differences in nats per character: {'; '.join(told)}.",
        caption="Each variant against its baseline, paired by seed: mean, 95 % interval, number of"
        f" seeds. Baseline of {baselines}.",
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
        said = plus_minus(Estimate(mean, low, high, row["n"]))
        axes.text(1.02, place, f"{said} (n {row['n']})", transform=right, va="center", fontsize=8)
        told.append(f"{labels[-1]} {said}")
    axes.set_yticks(range(len(rows)), labels)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.axvline(0, color="0.3", linewidth=1)
    axes.set(xlabel="difference in validation loss from the baseline (nats per character)")
    axes.text(0, 1.01, "← better", transform=axes.transAxes, ha="left", va="bottom")
    axes.text(1, 1.01, "worse →", transform=axes.transAxes, ha="right", va="bottom")
    return figure, told


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
    per = "character" if is_text(tables, ablation) else "target"
    return f"validation loss (nats per {per})"


def is_text(tables: Tables, ablation: str) -> bool:
    """Whether characters are predicted in all variants of an ablation."""
    tasks = tables.members.loc[tables.members["ablation"] == ablation, "recipe.task"].dropna()
    return bool(tasks.isin(["language", "continuation", "masked"]).all())


def _floors(axes: Axes, tables: Tables, ablation: str) -> str:
    """Lines at what a guess loses that has learnt nothing or little, where characters are
    predicted; and what the caption says of them.
    """
    if not is_text(tables, ablation):
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
    return "; ".join(f"{name} ends at {number(means[name])}" for name in order) + "."
