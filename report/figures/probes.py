"""What the probes found, as figures, tables and text: each is nothing where there is none of it."""

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from IPython.display import HTML
from matplotlib.ticker import MaxNLocator

from report.figures.charts import interval, legend_beside, show, variants_in
from report.html import EMPTY, render, table
from report.verdicts.stats import estimate
from report.verdicts.tables import Tables, records
from report.verdicts.text import format_estimate, format_number, join_words, mean_over_seeds


def position_curves(tables: Tables, ablation: str) -> HTML:
    """Loss against the place in the context: who makes more of what came before."""
    rows = tables.probe("positions", ablation)
    if rows.empty:
        return EMPTY
    # Single places are noisy: means over stretches that double, from the first place, 1.
    rows["stretch"] = rows["position"].map(lambda p: 1 if p == 0 else 2 ** (p.bit_length() - 1) + 1)
    means = rows.groupby(["variant", "seed", "stretch"])["loss"].mean().reset_index()
    return _lines(
        means,
        tables,
        ablation,
        x="stretch",
        y="loss",
        labels=("place in the context, from", "validation loss (nats per character)"),
        caption="Loss by place in the context, in stretches that double",
    )


def length_curves(tables: Tables, ablation: str) -> HTML:
    """Loss against the length that is read, in multiples of the training length."""
    rows = tables.probe("lengths", ablation).dropna(subset=["loss"])
    if rows.empty:
        return EMPTY
    missing = sorted(
        set(tables.probe("lengths", ablation)["variant"])
        - set(rows.loc[rows["multiple"] > 1, "variant"])
    )
    note = f" Not to be read past its training length: {', '.join(missing)}." if missing else ""
    return _lines(
        rows,
        tables,
        ablation,
        x="multiple",
        y="loss",
        labels=("length, in training lengths", "validation loss (nats per character)"),
        caption="Loss of whole texts at and beyond the training length",
        note=note,
    )


def layer_gradients(tables: Tables, ablation: str) -> HTML:
    """Gradients and activations by layer, before the first step and after the last."""
    rows = tables.probe("layers", ablation)
    rows = rows[rows["part"] == "feed_forward"]
    if rows.empty:
        return EMPTY
    last = rows.groupby("run_id")["step"].transform("max")
    rows = rows[(rows["step"] == 0) | (rows["step"] == last)].assign(layer=rows["layer"] + 1)
    rows["when"] = rows["step"].map(
        lambda step: "before the first step" if step == 0 else "at the end"
    )
    quantities = {"gradient_norm": "norm of the gradient", "output_rms": "size of the output"}
    rows = rows.rename(columns=quantities).melt(
        ["variant", "seed", "layer", "when"], [*quantities.values()], "quantity"
    )
    rows = rows[rows["value"] > 0]  # NaN of a lost run, and what is too small for float32
    present, colours = variants_in(rows, tables, ablation)
    grid = sns.relplot(
        rows, x="layer", y="value", hue="variant", hue_order=present, col="when", row="quantity",
        kind="line", marker="o", errorbar=interval, palette=colours, height=3.0, aspect=1.2,
        facet_kws={"sharey": "row"},
    )  # fmt: skip
    grid.set(yscale="log", xlabel="layer")
    grid.set_titles("{row_name}, {col_name}")
    grid.set_ylabels("")
    for axes in grid.axes.flat:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return show(
        grid.figure,
        alt=f"Gradients and activations by layer of {', '.join(present)}.",
        caption="Of each feed-forward network, on one fixed batch: the norm of the loss's gradient"
        " by its last matrix, and the root mean square of what it writes:"
        f" {mean_over_seeds(rows['seed'].nunique())}.",
    )


def head_table(tables: Tables, ablation: str) -> HTML:
    """For each variant and role, the strongest head, beside its two nulls."""
    rows = tables.probe("heads", ablation)
    if rows.empty:
        return EMPTY
    lines = []
    for (variant, score), some in rows.groupby(["variant", "score"], sort=False):
        best = some.groupby("seed")[["value", "untrained", "shuffled"]].max()
        lines.append(
            (
                variant,
                str(score).replace("_", " "),
                *(format_estimate(estimate(list(best[kind]))) for kind in best),
            )
        )
    note = (
        "The largest value over all heads:"
        f" {mean_over_seeds(rows['seed'].nunique(), '± half its 95 % interval')}. {scores_note(tables)}"
    )
    return HTML(table(("variant", *SCORES_HEAD), lines, note))


SCORES_HEAD = ("score", "trained", "untrained", "shuffled text")


def scores_note(tables: Tables) -> str:
    """What the scores of heads are measured in."""
    return (
        "Previous, first and induction are shares of attention; entropy is in nats, distance in"
        f" {tables.study.token}s. Untrained is the same network before training."
    )


def pruning_curve(tables: Tables, ablation: str) -> HTML:
    """How the loss rises as more and more heads are switched off."""
    rows = tables.probe("pruning", ablation)
    if rows.empty:
        return EMPTY
    return _lines(
        rows,
        tables,
        ablation,
        x="order",
        y="rise_together",
        labels=("heads switched off", "rise of the validation loss (nats per character)"),
        caption="Heads switched off together, the least missed first",
        doubling=False,
    )


def samples(tables: Tables, ablation: str) -> HTML:
    """What each variant writes, folded away."""
    rows = tables.probe("samples", ablation)
    written = {
        variant.name: records(rows[rows["variant"] == variant.name])
        for variant in tables.ablations[ablation].variants
    }
    seeds = join_words([str(seed) for seed in sorted(set(rows["seed"]))])
    return HTML(render("samples", written=written, seeds=seeds)) if len(rows) else EMPTY


def _lines(
    rows: pd.DataFrame,
    tables: Tables,
    ablation: str,
    *,
    x: str,
    y: str,
    labels: tuple[str, str],
    caption: str,
    doubling: bool = True,
    note: str = "",
) -> HTML:
    """A line per variant, mean and 95 % interval over seeds."""
    present, colours = variants_in(rows, tables, ablation)
    figure, axes = plt.subplots(figsize=(7.5, 3.8))
    sns.lineplot(
        rows, x=x, y=y, hue="variant", hue_order=present, style="variant", style_order=present,
        dashes=False, markers=True, palette=colours, errorbar=interval, ax=axes,
    )  # fmt: skip
    if doubling:
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter("{x:g}")
    axes.set(xlabel=labels[0], ylabel=labels[1])
    legend_beside(axes)
    furthest = rows[rows[x] == rows[x].max()].groupby("variant")[y].mean()
    told = "; ".join(
        f"{name} {format_number(furthest[name])}" for name in present if name in furthest
    )
    return show(
        figure,
        alt=f"{caption}. At the right end: {told}.",
        caption=f"{caption}: {mean_over_seeds(rows['seed'].nunique())}.{note}",
    )
