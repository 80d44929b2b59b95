"""Forest plot: differences of all variants from their baselines."""

import textwrap

import matplotlib.pyplot as plt
from IPython.display import HTML
from matplotlib.figure import Figure

from report.figures.charts import palette, show
from report.html import join_html, paragraph
from report.verdicts.effects import difference_estimates, is_text
from report.verdicts.stats import Estimate
from report.verdicts.tables import Tables, records
from report.verdicts.text import format_estimate, join_words


def forest(tables: Tables, ablations: list[str]) -> HTML:
    """Paired differences of every variant from the ablation's baseline, with 95 % intervals."""
    figure, descriptions = draw_forest(tables, ablations)
    if not descriptions:
        plt.close(figure)
        return join_html(paragraph("No variant can be compared with its baseline yet."))
    baselines = ", ".join(f"{name}: {tables.ablations[name].baseline}" for name in ablations)
    return show(
        figure,
        alt=f"Mean paired differences in {_units(tables, ablations)}: {'; '.join(descriptions)}.",
        caption="Difference of each variant from its baseline, paired by seed: mean, 95 % interval"
        f" (if there are at least two seeds) and number of seeds. Baselines: {baselines}.",
    )


def draw_forest(tables: Tables, ablations: list[str]) -> tuple[Figure, list[str]]:
    """Draw the figure of `forest`. Returns the figure and a description of each row."""
    rows = [
        (name, row) for name in ablations for row in records(difference_estimates(tables, name))
    ]
    figure, axes = plt.subplots(figsize=(7.5, 0.9 + 0.26 * len(rows)))
    colours = _row_colours(tables, ablations)
    right_of_axes = axes.get_yaxis_transform()
    labels, descriptions = [], []
    for y, (ablation, row) in enumerate(rows):
        variant, low, high = row["variant"], row["low"], row["high"]
        colour = colours[ablation, variant]
        if low is not None:
            axes.plot([low, high], [y, y], color=colour, linewidth=2, solid_capstyle="butt")
        axes.plot(row["mean"], y, "o", color=colour, markersize=5)
        labels.append(variant if len(ablations) == 1 else f"{ablation}: {variant}")
        text = format_estimate(Estimate(row["mean"], low, high, row["n"]))
        note = f"{text} (n {row['n']})"
        axes.text(1.02, y, note, transform=right_of_axes, va="center", fontsize=8)
        descriptions.append(f"{labels[-1]} {text}")
    axes.set_yticks(range(len(rows)), labels)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.axvline(0, color="0.3", linewidth=1)
    unit = textwrap.fill(f"({_units(tables, ablations)})", 80)
    axes.set(xlabel=f"difference in validation loss from the baseline\n{unit}")
    axes.text(0, 1.01, "← better", transform=axes.transAxes, ha="left", va="bottom")
    axes.text(1, 1.01, "worse →", transform=axes.transAxes, ha="right", va="bottom")
    return figure, descriptions


def _row_colours(
    tables: Tables, ablations: list[str]
) -> dict[tuple[str, str], tuple[float, float, float]]:
    """One colour per variant for a single ablation, otherwise one colour per ablation."""
    variants = {name: [v.name for v in tables.ablations[name].variants] for name in ablations}
    if len(ablations) == 1:
        (ablation,) = ablations
        return {(ablation, name): c for name, c in palette(variants[ablation]).items()}
    by_ablation = palette(ablations)
    return {(a, name): by_ablation[a] for a, names in variants.items() for name in names}


def _units(tables: Tables, ablations: list[str]) -> str:
    """Unit of the losses of several ablations."""
    per_target = [name for name in ablations if not is_text(tables, name)]
    if len(per_target) == len(ablations):
        return "nats per target"
    if per_target:
        return f"nats per character; for {join_words(per_target)}, nats per target"
    return "nats per character"
