"""What all figures share: embedding in the page, colours, lines with intervals, axis labels."""

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

from report.html import render
from report.verdicts.effects import loss_column
from report.verdicts.stats import estimate
from report.verdicts.tables import Tables
from report.verdicts.text import format_number

matplotlib.use("Agg")
sns.set_theme(context="paper", style="whitegrid", palette="colorblind")
plt.rcParams |= {
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
    "font.family": "sans-serif",
    "svg.hashsalt": "report",
}

Colours = dict[str, tuple[float, float, float]]

_SVG_ONLY_BELOW = 60_000  # bytes; no PNG of a figure was ever smaller
_PNG_SCALE = 2.5  # PNG pixels per CSS pixel
_CSS_DPI = 96
_POINTS_PER_INCH = 72


def show(figure: Figure, alt: str, caption: str) -> HTML:
    """The figure as an image for the page, as SVG or PNG, whichever is smaller.

    Args:
        figure: closed after it is drawn.
        alt: alternative text for readers who cannot see the image.
        caption: text below the image.
    """
    image, kind = saved(figure, "svg", metadata={"Date": None}), "svg+xml"
    width, height = (
        round(float(points) * _CSS_DPI / _POINTS_PER_INCH)
        for points in re.findall(rb'(?:width|height)="([\d.]+)pt"', image[:2000])
    )
    if len(image) > _SVG_ONLY_BELOW:
        png = saved(figure, "png", metadata={"Software": None}, dpi=_PNG_SCALE * _CSS_DPI)
        if len(png) < len(image):
            image, kind = png, "png"
    plt.close(figure)
    values: dict[str, Any] = {
        "kind": kind,
        "alt": alt,
        "caption": caption,
        "width": width,
        "height": height,
    }
    return HTML(render("figure", data=base64.b64encode(image).decode(), **values))


def saved(figure: Figure, kind: str, **options: Any) -> bytes:
    """The figure as the bytes of a file of a kind, such as "svg".

    options: passed to `Figure.savefig`.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, bbox_inches="tight", **options)
    return buffer.getvalue()


def palette(names: list[str]) -> Colours:
    """One colour for each name."""
    return dict(zip(names, sns.color_palette("colorblind", len(names)), strict=True))


def variant_colours(rows: pd.DataFrame, tables: Tables, ablation: str) -> Colours:
    """Colours of the variants that occur in `rows`, in the order of the ablation.

    A variant has the same colour in all figures of an ablation.
    """
    colours = palette([variant.name for variant in tables.ablations[ablation].variants])
    return {name: colour for name, colour in colours.items() if name in set(rows["variant"])}


def by_colour(colours: Colours, column: str = "variant") -> dict[str, Any]:
    """seaborn options for one colour per value of a column."""
    return {"hue": column, "hue_order": list(colours), "palette": colours}


def draw_lines(
    axes: Axes,
    rows: pd.DataFrame,
    colours: Colours,
    *,
    x: str,
    y: str,
    column: str = "variant",
    **options: Any,
) -> None:
    """Draw the mean of y against x with a 95 % interval, one line per value of a column.

    Lines are also told apart by dashes if there are more than four, unless `options`, which are
    passed to `seaborn.lineplot`, choose otherwise.
    """
    style = {"style": column, "style_order": list(colours), "dashes": len(colours) > 4}
    defaults = by_colour(colours, column) | style | {"errorbar": interval}
    sns.lineplot(rows, x=x, y=y, ax=axes, **(defaults | options))


# Options of `draw_lines` for lines through few points.
MARKED: dict[str, Any] = {"markers": True, "dashes": False}


def log2_axis(axes: Axes) -> None:
    """Make the x axis logarithmic to base 2, with plain numbers at the ticks."""
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}")


def legend_beside(axes: Axes) -> None:
    """Place the legend to the right of the axes."""
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)


def interval(values: "pd.Series[float]") -> tuple[float, float]:
    """The 95 % interval of a mean as a seaborn error bar; NaN for a single value."""
    result = estimate(list(values))
    if result.low is None or result.high is None:
        return float("nan"), float("nan")
    return result.low, result.high


def loss_label(tables: Tables, ablation: str) -> str:
    """Axis label of the validation loss, with the unit of the ablation."""
    return f"validation loss ({loss_column(tables, ablation).unit})"


def values_at_right_end(rows: pd.DataFrame, names: Colours, x: str, y: str) -> str:
    """Mean of y at the largest x, by variant, for an alternative text."""
    means = rows[rows[x] == rows[x].max()].groupby("variant")[y].mean()
    return "; ".join(f"{name} {format_number(means[name])}" for name in names if name in means)
