"""What all figures share: embedding in the page, colours, lines with intervals, axis labels."""

import io
import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from IPython.display import HTML
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from report.html import render
from report.study.effects import loss_column
from report.study.tables import Tables
from report.svg import SETTINGS, inline_svg, set_tip
from report.verdicts.stats import mean_intervals
from report.verdicts.text import format_number

matplotlib.use("Agg")
sns.set_theme(context="paper", style="whitegrid", palette="colorblind")
for setting, value in (SETTINGS | {"pdf.fonttype": 42}).items():
    plt.rcParams[setting] = value  # type: ignore[index]

Colours = dict[str, tuple[float, float, float]]

_LONGEST_ALT = 299  # characters; a longer text is a burden where it is read aloud


def show(
    figure: Figure,
    alt: str,
    caption: str,
    data: pd.DataFrame | None = None,
    chart: Mapping[str, Any] | None = None,
    *,
    quiet: bool = False,
) -> HTML:
    """The figure as inline SVG, with its caption and its data.

    Args:
        figure: closed after it is drawn.
        alt: accessible name of the figure, cut after `_LONGEST_ALT` characters.
        caption: text below the figure.
        data: the numbers that the figure shows, below the caption as CSV.
        chart: how the page's script draws the data, from `chart_of`.
        quiet: whether the data is not shown, but only saved by the button that the page makes.
    """
    svg = inline_svg(figure, textwrap.shorten(alt, _LONGEST_ALT, placeholder=" …"))
    plt.close(figure)
    rows = "" if data is None else data.to_csv(index=False, float_format="%.5g")
    return HTML(render("figure", svg=svg, caption=caption, rows=rows, chart=chart, quiet=quiet))


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


def line_data(
    rows: pd.DataFrame,
    colours: Colours,
    x: Sequence[str],
    y: str,
    *,
    by: str | None = None,
    column: str = "variant",
) -> pd.DataFrame:
    """Points of lines: the mean of y, with the ends low and high of its 95 % interval.

    Args:
        rows: what is averaged.
        colours: the lines in their order, each a value of `column`; others are left out.
        x: columns that a point may be drawn against; their means are taken as well.
        y: the column whose mean is drawn.
        by: the column whose values make the points, such as the step; the first of `x` by default.
        column: the column that tells the lines apart.
    """
    by = by or x[0]
    rows = rows[rows[column].isin(list(colours))]
    points = rows.astype(dict.fromkeys([*x, y], float)).groupby([rows[column], rows[by]])
    means = points[[*x, y]].mean()
    means[["low", "high"]] = mean_intervals(points[y])
    means = means.reindex(list(colours), level=0)
    return means.reset_index(column).reset_index(drop=True)


def draw_lines(
    axes: Axes,
    points: pd.DataFrame,
    colours: Colours,
    *,
    x: str,
    y: str,
    column: str = "variant",
    tips: bool = False,
    **options: Any,
) -> None:
    """Draw the points of `line_data` against x, one line per value of a column, with their
    intervals as bands.

    Lines are also told apart by dashes if there are more than four, unless `options`, which are
    passed to `seaborn.lineplot`, choose otherwise. With `tips`, the page shows the values of a line
    under the pointer.
    """
    style = {"style": column, "style_order": list(colours), "dashes": len(colours) > 4}
    options = by_colour(colours, column) | style | options
    sns.lineplot(points, x=x, y=y, ax=axes, estimator=None, **options)
    lines = iter(axes.lines)
    for name, colour in colours.items():
        line = points[points[column] == name]
        if line[y].isna().all():
            continue  # seaborn draws nothing
        axes.fill_between(line[x], line["low"], line["high"], color=colour, alpha=0.2, linewidth=0)
        if tips:
            set_tip(next(lines), line_tip(name, line[x], line[y]))


def line_tip(name: str, x: "pd.Series[float]", y: "pd.Series[float]") -> str:
    """Text of a line for `set_tip`: its name, and y at each x where there is a value."""
    values = [(place, value) for place, value in zip(x, y, strict=True) if not math.isnan(value)]
    text = "; ".join(f"{value:.3g} at {place:g}" for place, value in values)
    return f"{name}: {text}"


def chart_of(
    colours: Colours,
    x: Sequence[str],
    y: str,
    unit: str,
    *,
    log: bool = False,
    cap: float | None = None,
    guides: Sequence[float] = (),
) -> dict[str, Any]:
    """Settings of a chart: what the page's script needs to draw the rows of `line_data`.

    Args:
        colours: the lines in their order.
        x: columns of which the reader chooses one.
        y: the column that is drawn.
        unit: axis label of y.
        log: whether the first axis is logarithmic until the reader changes it.
        cap: the absolute value above which values are drawn at the edge.
        guides: values of y that are marked by dotted lines.
    """
    return {
        "x": [*x],
        "y": y,
        "unit": unit,
        "log": log,
        "cap": cap,
        "guides": [*guides],
        "colours": {name: to_hex(colour) for name, colour in colours.items()},
    }


# Options of `draw_lines` for lines through few points.
MARKED: dict[str, Any] = {"markers": True, "dashes": False}


def log2_axis(axes: Axes) -> None:
    """Make the x axis logarithmic to base 2, with plain numbers at the ticks."""
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}")


def legend_beside(axes: Axes) -> None:
    """Place the legend to the right of the axes."""
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)


def loss_label(tables: Tables, ablation: str) -> str:
    """Axis label of the validation loss, with the unit of the ablation."""
    return f"validation loss ({loss_column(tables, ablation).unit})"


def values_at_right_end(rows: pd.DataFrame, names: Colours, x: str, y: str) -> str:
    """Mean of y at the largest x, by variant, for an alternative text."""
    means = rows[rows[x] == rows[x].max()].groupby("variant")[y].mean()
    return "; ".join(f"{name} {format_number(means[name])}" for name in names if name in means)
