"""Costs that are measured in blocks: time and memory of attention, norms, generation and steps."""

import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import HTML

from experiments.metrics import SPEED_METRICS
from report.figures.charts import (
    MARKED,
    draw_lines,
    legend_beside,
    line_data,
    log2_axis,
    palette,
    show,
)
from report.html import EMPTY, join_html, table
from report.study.cost_growth import FROM, attention_share, growth, overtakes
from report.study.effects import measured_operations
from report.study.reasons import machine
from report.study.tables import Tables
from report.verdicts.stats import Estimate, estimate
from report.verdicts.text import format_estimate, format_interval, format_number, plural

_GENERATION = {"generation multi-head", "generation grouped", "generation multi-query"}


def cost_curves(tables: Tables, ablation: str) -> HTML:
    """Time and memory against context length, if the ablation has a claim about their growth."""
    claims = tables.ablations[ablation].claims
    costs = tables.costs
    rows = costs[(costs["direction"] == "both") & costs["length"].notna()]
    rows = rows[rows["what"].str.startswith(("attention", "model"))]
    if rows.empty or not any(claim.metric.endswith("_exponent") for claim in claims):
        return EMPTY
    colours = palette(list(rows["what"].unique()))
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8))
    panels = (left, "seconds", "seconds"), (right, "peak_bytes", "peak memory (bytes)")
    for axes, cost, label in panels:
        means = line_data(rows.dropna(subset=[cost]), colours, ["length"], cost, column="what")
        lines = MARKED | {"column": "what", "tips": True, "legend": axes is right}
        draw_lines(axes, means, colours, x="length", y=cost, **lines)
        axes.set(xlabel="context (tokens)", ylabel=label, yscale="log")
        log2_axis(axes)
    legend_beside(right)
    figure.tight_layout()
    exponents = [
        (name, *(_exponent(growth(costs, name, "both", metric)) for metric in _EXPONENTS))
        for name in colours
    ]
    spoken = "; ".join(f"{name}: {time}" for name, time, _ in exponents)
    drawn = show(
        figure,
        alt=f"Cost against context length. Exponent of the growth of the time: {spoken}",
        caption="Forward and backward pass of one sequence on one thread. Attention is measured for"
        " a single layer, the model is the complete base. Attention takes more than half of the"
        f" time of the model {_crossings(tables)}.",
        data=rows[["what", "length", "block", "seconds", "peak_bytes"]],
    )
    note = f"Exponent of the growth, from all blocks at lengths of {FROM} and more: mean and 95 %"
    head = ("operation", "time", "peak memory")
    return join_html(drawn.data, table(head, exponents, f"{note} interval."))


_EXPONENTS = ("time_exponent", "memory_exponent")


def _exponent(power: Estimate | None) -> str:
    if power is None:
        return "–"
    mean = format_number(power.mean, power.low, power.high)
    return mean if power.low is None else f"{mean} ({format_interval(power.low, power.high)})"


def _crossings(tables: Tables) -> str:
    """Lengths from which on attention takes more than half of the time, by kernel."""
    crossings = []
    for kernel in ("reference", "fused"):
        share = attention_share(tables.costs, kernel, tables.study.base.n_layers)
        if len(share):
            length = overtakes(share)
            where = "at no measured length"
            if length is not None:
                shortest = length <= share.index[0]
                where = f"from about {length:,.0f} tokens on"
                if shortest:
                    where = f"at every measured length, {length:,.0f} tokens and more,"
            crossings.append(f"{where} with {kernel} attention")
    return " and ".join(crossings)


def cost_table(tables: Tables, ablation: str) -> HTML:
    """Seconds and bytes of the operations and training steps that an ablation's claims compare."""
    operations = {  # names on the page, by names in the table
        operation: f"training step of {name}" if claim.metric in SPEED_METRICS else operation
        for claim in tables.ablations[ablation].claims
        if claim.metric in ("measured_seconds", *SPEED_METRICS)
        for name, operation in measured_operations(ablation, claim).items()
    }
    if _GENERATION & operations.keys():
        operations |= {operation: operation for operation in _GENERATION}
    costs = tables.costs
    rows = costs[costs["what"].isin(list(operations))].fillna({"direction": "–"})
    if rows.empty:
        return EMPTY
    cells = []
    for (operation, direction), blocks in rows.groupby(["what", "direction"], sort=False):
        milliseconds = format_estimate(estimate(list(blocks["seconds"] * 1000)))
        peak = blocks["peak_bytes"].max()
        size = "–" if pd.isna(peak) else f"{peak:,.0f}"
        cells.append((operations[str(operation)], direction, milliseconds, size))
    counted = plural(rows["block"].nunique(), "block")
    note = (
        f"Mean ± half the width of the 95 % interval over {counted} at different times, with"
        f" nothing else running{machine(rows)}. Bytes: peak memory of all tensors; for generation,"
        " final size of the cache."
    )
    return HTML(table(("operation", "direction", "milliseconds", "bytes"), cells, note))
