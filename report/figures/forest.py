"""Forest plot: differences in loss of an ablation's variants and of the pairs of its claims."""

import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import HTML
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from experiments.records.run_folder import Status
from report.figures.charts import palette, show
from report.html import EMPTY, join_html, paragraph, table
from report.study.effects import difference_estimates, finished, loss_column, paired_losses
from report.study.tables import Tables, records
from report.svg import INK, LINE, SOFT, set_tip
from report.verdicts.stats import Estimate, estimate
from report.verdicts.text import format_estimate, format_interval, format_number, join_words


def forest(tables: Tables, ablation: str) -> HTML:
    """Paired differences of every variant from the baseline and of the pairs that claims are about,
    with 95 % intervals and the margin.
    """
    if not about_losses(tables, ablation) or len(tables.ablations[ablation].variants) == 1:
        return EMPTY
    rows, lost = differences(tables, ablation), diverged(tables, ablation)
    if rows.empty and lost:
        return join_html(paragraph(f"Diverged in every seed: {join_words(lost)}."))
    if rows.empty:
        return join_html(paragraph("No variant can be compared with its baseline yet."))
    baseline, unit = tables.ablations[ablation].baseline, loss_column(tables, ablation).unit
    texts = [f"{row['difference']} {_text(row)}" for row in records(rows)]
    return show(
        draw_forest(tables, ablation, rows),
        alt=f"Mean paired differences in {unit}: {'; '.join(texts)}.",
        caption=f"Difference in validation loss, in {unit}: variants less {baseline}"
        f"{_pairs_text(tables, ablation, rows)}. Mean and 95 % interval over paired seeds"
        f"{'' if _least_margin(tables, ablation) is None else '; shaded: the margin'}."
        + (f" Diverged in every seed: {join_words(lost)}." if lost else ""),
        data=rows,
        quiet=True,
    )


def _pairs_text(tables: Tables, ablation: str, rows: pd.DataFrame) -> str:
    """Words for the caption on pairs of variants without the baseline; empty if no row is such a
    pair.
    """
    pairs = {*rows["difference"]} - {
        variant.name for variant in tables.ablations[ablation].variants
    }
    return ", and the other pairs that claims are about" if pairs else ""


def difference_table(tables: Tables, ablation: str) -> HTML:
    """The numbers of the forest."""
    rows = differences(tables, ablation) if about_losses(tables, ablation) else pd.DataFrame()
    if rows.empty:
        return EMPTY
    head = ("difference", f"mean, {loss_column(tables, ablation).unit}", "95 % interval", "n")
    cells = [
        (
            row["difference"],
            format_number(row["mean"], row["low"], row["high"]),
            format_interval(row["low"], row["high"]),
            row["n"],
        )
        for row in records(rows)
    ]
    return HTML(table(head, cells))


def about_losses(tables: Tables, ablation: str) -> bool:
    """True if the ablation has a claim about what networks learn, or has no claims."""
    claims = tables.ablations[ablation].claims
    return not claims or any(claim.learnt for claim in claims)


def differences(tables: Tables, ablation: str) -> pd.DataFrame:
    """A row for each difference: difference, mean, low, high and n; positive where the first of the
    two variants is worse.
    """
    lost = diverged(tables, ablation)
    rows = [
        {"difference": row["variant"]} | {key: row[key] for key in ("mean", "low", "high", "n")}
        for row in records(difference_estimates(tables, ablation))
        if row["variant"] not in lost
    ]
    column, baseline = loss_column(tables, ablation).name, tables.ablations[ablation].baseline
    pairs = [
        sorted(claim.effect, key=lambda arm: -claim.effect[arm])
        for claim in tables.ablations[ablation].claims
        if claim.metric == column and len(claim.effect) == 2 and not claim.log
    ]
    for worse, better in pairs:
        name = f"{worse} less {better}"
        if {baseline, *lost} & {worse, better} or name in [row["difference"] for row in rows]:
            continue
        losses = paired_losses(tables, ablation, [worse, better])
        if len(losses):
            result = estimate(list(losses[worse] - losses[better]))
            values = {key: getattr(result, key) for key in ("mean", "low", "high", "n")}
            rows.append({"difference": name} | values)
    return pd.DataFrame(rows, columns=["difference", "mean", "low", "high", "n"])


def diverged(tables: Tables, ablation: str) -> list[str]:
    """The variants all of whose runs diverged, so that they have no difference."""
    members = finished(tables, ablation)
    whole = (members["status"] == Status.DIVERGED).groupby(members["variant"]).all()
    return [each.name for each in tables.ablations[ablation].variants if whole.get(each.name)]


def draw_forest(tables: Tables, ablation: str, rows: pd.DataFrame) -> Figure:
    """Draw the rows of `differences`."""
    figure, axes = plt.subplots(figsize=(5.2, 0.8 + 0.22 * len(rows)), layout="constrained")
    colours = palette([variant.name for variant in tables.ablations[ablation].variants])
    margin = _least_margin(tables, ablation)
    if margin is not None:
        axes.axvspan(-margin, margin, color=LINE, alpha=0.6, linewidth=0)
    for y, row in enumerate(records(rows)):
        colour = colours.get(row["difference"], SOFT)
        if row["low"] is not None:
            ends = [row["low"], row["high"]]
            axes.plot(ends, [y, y], color=colour, linewidth=2, solid_capstyle="butt")
        axes.plot(row["mean"], y, "o", color=colour, markersize=4.5)
        whole_row = axes.axhspan(y - 0.5, y + 0.5, alpha=0, linewidth=0)
        set_tip(whole_row, f"{row['difference']}: {_text(row)}, n = {row['n']}")
    places, texts = range(len(rows)), [_text(row) for row in records(rows)]
    axes.set_yticks(places, rows["difference"], parse_math=False)
    axes.secondary_yaxis("right").set_yticks(places, texts)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    for each in (axes, *axes.child_axes):
        each.tick_params(axis="y", labelsize=8, length=0)
        each.grid(visible=False, axis="y")
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.xaxis.set_major_locator(MaxNLocator(6))  # labels of thousandths are wide
    axes.set_xlabel(f"← better · {loss_column(tables, ablation).unit} · worse →")
    return figure


def _text(row: dict[str, float]) -> str:
    return format_estimate(Estimate(row["mean"], row["low"], row["high"], int(row["n"])))


def _least_margin(tables: Tables, ablation: str) -> float | None:
    """The least margin of the ablation's claims about a difference in loss; None without one."""
    column = loss_column(tables, ablation).name
    margins = [
        claim.margin_in_nats
        for claim in tables.ablations[ablation].claims
        if claim.metric == column
    ]
    return min((margin for margin in margins if margin is not None), default=None)
