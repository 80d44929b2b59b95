"""Attention heads: roles, spread of the logits, and pruning."""

import matplotlib.pyplot as plt
from IPython.display import HTML

from report.figures.charts import (
    MARKED,
    chart_of,
    draw_lines,
    legend_beside,
    line_data,
    show,
    values_at_right_end,
    variant_colours,
)
from report.html import EMPTY, table
from report.study.effects import loss_column
from report.study.tables import Tables
from report.verdicts.stats import estimate
from report.verdicts.text import format_estimate, mean_over_seeds

SCORES_HEAD = ("score", "trained", "untrained", "shuffled text")
_HALF_WIDTH = "± half the width of the 95 % interval"


def scores_note(tables: Tables) -> str:
    """Units of the scores, for the note below a table of scores."""
    return (
        "Previous, first and induction are attention weights; entropy is in nats, distance in"
        f" {tables.study.token}s. Untrained: the same network before training."
    )


def head_table(tables: Tables, ablation: str) -> HTML:
    """Largest score over all heads for each variant, next to the two null values."""
    rows = tables.probe("heads", ablation)
    if rows.empty:
        return EMPTY
    cells = []
    for (variant, score), heads in rows.groupby(["variant", "score"], sort=False):
        largest = heads.groupby("seed")[["value", "untrained", "shuffled"]].max()
        estimates = [format_estimate(estimate(list(largest[kind]))) for kind in largest]
        cells.append((variant, str(score).replace("_", " "), *estimates))
    seeds = mean_over_seeds(rows, _HALF_WIDTH)
    note = f"Largest value over all heads: {seeds}. {scores_note(tables)}"
    return HTML(table(("variant", *SCORES_HEAD), cells, note))


def logit_table(tables: Tables, ablation: str) -> HTML:
    """Variance of the attention logits and entropy of the weights, by width of a head."""
    rows = tables.probe("heads", ablation)
    rows = rows[rows["score"].isin(["logit_variance", "entropy"])]
    if rows.empty:
        return EMPTY
    runs = tables.runs.set_index("run_id")
    cells = []
    for variant, heads in rows.groupby("variant", sort=False):
        run = runs.loc[heads["run_id"].iloc[0]]
        means = heads.groupby(["score", "seed"])[["untrained", "value"]].mean()
        estimates = [
            format_estimate(estimate(list(means.loc[score][kind])))
            for score in ("logit_variance", "entropy")
            for kind in ("untrained", "value")
        ]
        cells.append((variant, f"{run['model.d_model'] / run['model.n_heads']:g}", *estimates))
    spread, entropy = "logit variance, untrained", "entropy, untrained"
    note = (
        "Variance of the logits of a query over all visible keys, and entropy of the attention"
        " weights in nats, averaged over queries of held-out text and over all heads:"
        f" {mean_over_seeds(rows, _HALF_WIDTH)}."
    )
    head = ("variant", "d_k", spread, "trained", entropy, "trained")
    return HTML(table(head, cells, note))


def pruning_curve(tables: Tables, ablation: str) -> HTML:
    """Rise of the validation loss against the number of heads that are switched off."""
    rows = tables.probe("pruning", ablation)
    if rows.empty:
        return EMPTY
    rise, unit = loss_column(tables, ablation, "rise_together")
    colours = variant_colours(rows, tables, ablation)
    figure, axes = plt.subplots(figsize=(7.5, 3.8))
    means = line_data(rows, colours, ["order"], rise)
    draw_lines(axes, means, colours, x="order", y=rise, **MARKED)
    axes.set(xlabel="heads switched off", ylabel=f"rise of the validation loss ({unit})")
    legend_beside(axes)
    caption = "Heads switched off together, in the order of their effect on the loss"
    return show(
        figure,
        alt=f"{caption}. At the right end: {values_at_right_end(rows, colours, 'order', rise)}.",
        caption=f"{caption}, smallest effect first: {mean_over_seeds(rows)}.",
        data=means,
        chart=chart_of(colours, ["order"], rise, f"rise of the validation loss ({unit})"),
    )
