"""Probes of one's own: a figure of each, with a panel per line."""

import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import HTML

from experiments.ablation import OwnProbe
from report.figures.charts import (
    MARKED,
    draw_lines,
    legend_beside,
    line_data,
    show,
    variant_colours,
)
from report.html import EMPTY
from report.study.tables import Tables
from report.verdicts.text import mean_over_seeds

_PANELS_PER_ROW = 3


def own_probes(tables: Tables, ablation: str) -> HTML:
    """The figures of an ablation's probes of its own that return lines."""
    figures = [_figure(tables, ablation, probe) for probe in tables.ablations[ablation].own_probes]
    return HTML("".join(figure.data for figure in figures))


def _figure(tables: Tables, ablation: str, probe: OwnProbe) -> HTML:
    """The lines of a probe: a panel per line, in which each variant has its mean over seeds."""
    rows = tables.own_probe(probe, ablation).dropna(subset="x").rename(columns={"y": "value"})
    if rows.empty:
        return EMPTY
    colours = variant_colours(rows, tables, ablation)
    names = list(dict.fromkeys(rows["line"]))
    columns = min(len(names), _PANELS_PER_ROW)
    height = -(-len(names) // columns)
    figure, panels = plt.subplots(
        height, columns, figsize=(1.5 + 3.6 * columns, 3.2 * height), squeeze=False
    )
    for axes in panels.flat[len(names) :]:
        axes.set_axis_off()
    drawn = []
    for axes, name in zip(panels.flat, names, strict=False):
        points = line_data(rows[rows["line"] == name], colours, ["x"], "value")
        options = MARKED | {"tips": True, "legend": name == names[-1]}
        draw_lines(axes, points, colours, x="x", y="value", **options)
        axes.set(xlabel=probe.x, ylabel=probe.y, title=name)
        drawn.append(points.assign(line=name))
    legend_beside(panels.flat[len(names) - 1])
    figure.tight_layout()
    title = probe.measure.__qualname__.replace("_", " ")
    return show(
        figure,
        alt=f"{title} of {', '.join(colours)}: {', '.join(names)}.",
        caption=f"The ablation's own probe, {title}: {mean_over_seeds(rows)}.",
        data=pd.concat(drawn)[["line", "variant", "x", "value", "low", "high"]],
    )
