"""Learning rates: the search for the best peak rate, and the schedules over training."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from IPython.display import HTML

from report.figures.charts import (
    MARKED,
    by_colour,
    chart_of,
    draw_lines,
    legend_beside,
    line_data,
    loss_label,
    show,
    variant_colours,
)
from report.html import EMPTY
from report.study.effects import curve_points, loss_column
from report.study.tables import Tables, records
from report.verdicts.text import plural

_POINTS = 50  # of each variant's schedule: thousands would be a tenth of the page


def rate_search(tables: Tables, ablation: str) -> HTML:
    """Validation loss against the learning rates that were tried, with the chosen rate marked."""
    trials = tables.trials(ablation).sort_values("rate")
    loss = loss_column(tables, ablation).name
    done = trials.dropna(subset=[loss])
    if done.empty:
        return EMPTY
    colours = variant_colours(trials, tables, ablation)
    # The first seed tried all rates, the others only the best two.
    first_seed = done["seed"] == done["seed"].min()
    figure, axes = plt.subplots(figsize=(7.5, 3.8))
    tried = line_data(done[first_seed], colours, ["learning_rate"], loss)
    draw_lines(axes, tried, colours, x="learning_rate", y=loss, tips=True, **MARKED)
    if not first_seed.all():
        style = by_colour(colours) | {"style": "variant", "style_order": list(colours)}
        others = done[~first_seed]
        sns.scatterplot(others, x="learning_rate", y=loss, ax=axes, legend=False, **style)
    chosen = records(done[done["chosen"].astype(bool) & first_seed])
    for row in chosen:
        x, y, colour = row["learning_rate"], row[loss], colours[row["variant"]]
        axes.plot(x, y, "o", color=colour, markersize=11, fillstyle="none")
    axes.set(xscale="log", xlabel="peak learning rate", ylabel=loss_label(tables, ablation))
    rates = sorted(trials["learning_rate"].unique())
    axes.set_xticks(rates, [f"{rate:g}" for rate in rates])
    axes.minorticks_off()
    legend_beside(axes)
    best = "; ".join(f"{row['variant']} is best at {row['learning_rate']:g}" for row in chosen)
    caption = (
        "Loss after training at each learning rate with one seed, and where a rate is tuned at the"
        " best two with two more seeds. No seed is used in a comparison. Rings mark the chosen"
        " rates."
    )
    ends = trials.groupby("variant")["rate"].agg(["min", "max"])
    at_an_end = [
        row["variant"]
        for row in chosen
        if row["method"] == "tuned" and row["rate"] in set(ends.loc[row["variant"]])
    ]
    if at_an_end:
        caption += (
            " The best rate is at an end of the range, so that a better rate may lie outside,"
            f" for: {', '.join(at_an_end)}."
        )
    diverged = trials[trials["status"] == "diverged"].groupby("variant")["rate"].nunique()
    if len(diverged):
        counts = [f"{variant} at {plural(n, 'rate')}" for variant, n in diverged.items()]
        caption += f" Diverged and not drawn: {', '.join(counts)}."
    return show(
        figure,
        alt=f"Learning-rate search: {best}.",
        caption=caption,
        data=done[["variant", "learning_rate", "seed", loss, "chosen"]],
    )


def schedules(tables: Tables, ablation: str) -> HTML:
    """Learning rate over training, if the schedules of the variants differ."""
    fields = ("recipe.schedule", "recipe.warmup_steps")
    variants = tables.ablations[ablation].variants
    if len({tuple(variant.changes.get(field) for field in fields) for variant in variants}) < 2:
        return EMPTY
    points = curve_points(tables, ablation, "train").dropna(subset=["learning_rate"])
    points = points.drop_duplicates(["variant", "step"])  # the schedule is the same for all seeds
    if points.empty:
        return EMPTY
    colours = variant_colours(points, tables, ablation)
    figure, axes = plt.subplots(figsize=(7.5, 3.2))
    rates = line_data(_thinned(points), colours, ["step"], "learning_rate")
    draw_lines(axes, rates, colours, x="step", y="learning_rate", dashes=True)
    axes.set(xlabel="step", ylabel="learning rate")
    legend_beside(axes)
    last = points.sort_values("step").groupby("variant")["learning_rate"].last()
    final = "; ".join(f"{name} ends at {last[name]:.3g}" for name in colours)
    return show(
        figure,
        alt=f"Learning rate over training. {final}.",
        caption="Learning rate over training, drawn from about"
        f" {_POINTS} of the recorded steps of each variant.",
        data=rates,
        chart=chart_of(colours, ["step"], "learning_rate", "learning rate"),
    )


def _thinned(points: pd.DataFrame) -> pd.DataFrame:
    """Points of each variant at even distances, with the highest rate, where a warm-up ends."""
    kept = []
    for _, variant in points.sort_values("step").groupby("variant", sort=False):
        even = np.linspace(0, len(variant) - 1, min(_POINTS, len(variant))).round().astype(int)
        highest = int(variant["learning_rate"].to_numpy().argmax())
        kept.append(variant.iloc[sorted({*even, highest})])
    return pd.concat(kept)
