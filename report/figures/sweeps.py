"""Figures of what varies along an axis besides training: learning rate, length, depth, width of a
head. Each is nothing where an ablation has none of it.
"""

from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from IPython.display import HTML

from report.figures.charts import interval, legend_beside, loss_label, palette, show, variants_in
from report.html import EMPTY, table
from report.verdicts.cost_growth import FROM, attention_share, exponents, overtakes
from report.verdicts.stats import estimate
from report.verdicts.tables import Tables, records
from report.verdicts.text import (
    format_estimate,
    format_interval,
    format_number,
    mean_over_seeds,
    plural,
)


def rate_curves(tables: Tables, ablation: str) -> HTML:
    """Validation loss against the learning rate that was tried, the chosen one marked."""
    rows = tables.tuning[tables.tuning["ablation"] == ablation].sort_values("rate")
    done = rows.dropna(subset=["val_loss"])
    if done.empty:
        return EMPTY
    names, colours = variants_in(rows, tables, ablation)
    first = done["seed"] == done["seed"].min()  # which tried all rates; the second, the best two
    figure, axes = plt.subplots(figsize=(7.5, 3.8))
    looks: dict[str, Any] = {
        "x": "learning_rate",
        "y": "val_loss",
        "hue": "variant",
        "hue_order": names,
    }
    looks |= {"style": "variant", "style_order": names, "palette": colours, "ax": axes}
    sns.lineplot(done[first], **looks, dashes=False, markers=True)
    if not first.all():
        sns.scatterplot(done[~first], **looks, legend=False)
    chosen = done[done["chosen"] & first]
    for row in records(chosen):
        axes.plot(
            row["learning_rate"], row["val_loss"], "o", markersize=11, fillstyle="none",
            color=colours[row["variant"]],
        )  # fmt: skip
    axes.set(xscale="log", xlabel="peak learning rate", ylabel=loss_label(tables, ablation))
    legend_beside(axes)
    ends = {rows["rate"].min(), rows["rate"].max()}
    at_an_end = [row["variant"] for row in records(chosen) if row["rate"] in ends]
    lost = rows[rows["status"] == "diverged"].groupby("variant")["rate"].nunique()
    told = "; ".join(
        f"{row['variant']} is best at {row['learning_rate']:g}" for row in records(chosen)
    )
    caption = (
        f"Loss after training at each of {rows['rate'].nunique()} learning rates, with a seed that"
        " no comparison uses, and at the best two with another; rings mark the better mean."
    )
    if at_an_end:
        caption += (
            f" Best at an end of what was tried, so perhaps beyond it: {', '.join(at_an_end)}."
        )
    if len(lost):
        diverged = ", ".join(f"{variant} at {plural(n, 'rate')}" for variant, n in lost.items())
        caption += f" Diverged, and not drawn: {diverged}."
    return show(figure, alt=f"Learning-rate sensitivity: {told}.", caption=caption)


def depth_grid(tables: Tables, ablation: str) -> HTML:
    """A heat map of the final loss: kinds of stack by number of layers, where the variants make a
    whole grid of at least two kinds and three depths.
    """
    rows = tables.scored(ablation)
    named = {
        variant.name for variant in tables.ablations[ablation].variants if not variant.tuned_for
    }
    rows = rows[rows["variant"].isin(named)].copy()
    rows["kind"] = [
        f"norm {norm}, {'residual' if residual else 'no residual'}"
        for norm, residual in zip(rows["model.norm_placement"], rows["model.residual"], strict=True)
    ]
    layers = rows["model.n_layers"].nunique()
    cells = rows.drop_duplicates(["kind", "model.n_layers"])
    kinds = rows["kind"].nunique()
    if layers < 3 or kinds < 2 or len(cells) != layers * kinds:
        return EMPTY
    table = rows.pivot_table(
        index="kind", columns="model.n_layers", values="score", aggfunc="mean", sort=False
    )
    table = table[sorted(table.columns)].rename(columns=int)
    figure, axes = plt.subplots(figsize=(1.6 + 1.2 * layers, 1.0 + 0.55 * kinds))
    sns.heatmap(
        table, annot=True, fmt=".2f", cmap="viridis_r", ax=axes,
        cbar_kws={"label": loss_label(tables, ablation)},
    )  # fmt: skip
    axes.set(xlabel="layers", ylabel="")
    told = "; ".join(
        f"{kind}, {depth} layers: {format_number(value)}"
        for kind, values in table.iterrows()
        for depth, value in values.items()
    )
    return show(
        figure,
        alt=f"Final validation loss by depth. {told}.",
        caption="Final validation loss by depth, at the base's learning rate: mean of"
        f" {plural(rows['seed'].nunique(), 'seed')}. A diverged run counts as a uniform guess.",
    )


def logit_table(tables: Tables, ablation: str) -> HTML:
    """Spread of the attention logits and entropy of the weights against the width of a head."""
    rows = tables.probe("heads", ablation)
    rows = rows[rows["score"].isin(["logit_variance", "entropy"])]
    if rows.empty:
        return EMPTY
    runs = tables.runs.set_index("run_id")
    lines = []
    for variant, some in rows.groupby("variant", sort=False):
        config = runs.loc[some["run_id"].iloc[0]]
        width = config["model.d_model"] / config["model.n_heads"]
        cells = [str(variant), f"{width:g}"]
        for score in ("logit_variance", "entropy"):
            for kind in ("untrained", "value"):
                means = some[some["score"] == score].groupby("seed")[kind].mean()
                cells.append(format_estimate(estimate(list(means))))
        lines.append(cells)
    spread, entropy = "logit variance, untrained", "entropy, untrained"
    note = (
        "Variance of a query's logits over the keys it sees, and the entropy of its weights in"
        " nats, averaged over queries of held-out text and over all heads:"
        f" {mean_over_seeds(rows['seed'].nunique(), '± half its 95 % interval')}."
    )
    return HTML(table(("variant", "d_k", spread, "trained", entropy, "trained"), lines, note))


def cost_curves(tables: Tables, ablation: str) -> HTML:
    """Time and memory against length, where an ablation claims something about their growth."""
    costs = tables.costs
    rows = costs[(costs["direction"] == "both") & costs["length"].notna()]
    rows = rows[rows["what"].str.startswith(("attention", "model"))]
    if rows.empty or not any(
        claim.metric.endswith("_exponent") for claim in tables.ablations[ablation].claims
    ):
        return EMPTY
    names = list(dict.fromkeys(rows["what"]))
    figure, both = plt.subplots(1, 2, figsize=(9, 3.8))
    told = []
    for axes, column, label in zip(
        both, ("seconds", "peak_bytes"), ("seconds", "peak memory (bytes)"), strict=True
    ):
        shown = rows.dropna(subset=[column])
        sns.lineplot(
            shown, x="length", y=column, hue="what", hue_order=names, style="what",
            style_order=names, dashes=False, markers=True, palette=palette(names),
            errorbar=interval if column == "seconds" else None, ax=axes,
            legend=column == "peak_bytes",
        )  # fmt: skip
        axes.set(xlabel="context (tokens)", ylabel=label, yscale="log")
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter("{x:g}")
        for name in names:
            powers = exponents(costs, name, "both", column)
            if len(powers):
                found = estimate(list(powers))
                ends = "" if found.low is None else f" ({format_interval(found.low, found.high)})"
                what = f"{format_number(found.mean, found.low, found.high)}{ends}"
                told.append(f"{label.partition(' (')[0]} of {name}: {what}")
    legend_beside(both[1])
    figure.tight_layout()
    layers = tables.study.base.n_layers
    crossings = []
    for kernel in ("reference", "fused"):
        share = attention_share(costs, kernel, layers)
        length = overtakes(share)
        if len(share):
            crossings.append(
                f"with {kernel} attention at about {length:,.0f} tokens"
                if length
                else f"with {kernel} attention at none that was measured"
            )
    return show(
        figure,
        alt="Cost against length. Power of the length, mean over doublings: " + "; ".join(told),
        caption="Forward and backward of one sequence on one thread; attention is that of one"
        " layer, alone, the model the whole base. Power of the length, mean over doublings from"
        f" {FROM} on with 95 % interval: {'; '.join(told)}. Attention takes more than half of the"
        f" model's time {' and '.join(crossings)}.",
    )


def cost_table(tables: Tables, ablation: str) -> HTML:
    """Seconds of what an ablation's claims set side by side, apart from any training."""
    whats = [
        what
        for claim in tables.ablations[ablation].claims
        if claim.metric == "measured_seconds"
        for what in claim.effect
    ]
    rows = tables.costs[tables.costs["what"].isin(_siblings(whats))]
    if rows.empty:
        return EMPTY
    lines = []
    for (what, direction), some in rows.fillna({"direction": "–"}).groupby(
        ["what", "direction"], sort=False
    ):
        found = estimate(list(some["seconds"] * 1000))
        held = some["peak_bytes"].max()
        cells = (
            str(what),
            str(direction),
            format_estimate(found),
            "–" if pd.isna(held) else f"{held:,.0f}",
        )
        lines.append(cells)
    note = (
        "Mean ± half the 95 % interval over repeats; one thread,"
        " nothing else running. Bytes: the most that tensors took at a time; of a generation, what"
        " its cache holds at the end."
    )
    return HTML(table(("measured alone", "direction", "milliseconds", "bytes"), lines, note))


def _siblings(whats: list[str]) -> set[str]:
    """With one way of generating, all of them."""
    generations = {"generation multi-head", "generation grouped", "generation multi-query"}
    return set(whats) | (generations if generations & set(whats) else set())
