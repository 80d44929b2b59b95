"""How fast this machine trains, beside what that is compared with: what `make bench` measured."""

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from IPython.display import HTML

from report.figures.charts import show
from report.html import EMPTY, join_html, render, table
from report.verdicts.tables import Tables
from report.verdicts.text import plural

_STUDY = ("between runs", "run, all done", "report, all done")


def against_plain_ratios(bench: pd.DataFrame) -> dict[str, list[float]]:
    """Tokens a second of whole runs over the plain loop's of the same repeat, by precision."""
    plain = bench[bench["what"] == "plain loop"].set_index("repeat")["tokens_per_second"]
    whole = bench[(bench["what"] == "whole runs") & ~bench["compiled"].astype(bool)]
    return {
        str(precision): list(some.set_index("repeat")["tokens_per_second"] / plain)
        for precision, some in whole.groupby("precision", sort=False)
    }


def against_plain(tables: Tables) -> HTML:
    """Whole runs in the study's runner beside the plain loop, paired by repeat."""
    bench = tables.bench
    plain = bench[bench["what"] == "plain loop"].set_index("repeat")["tokens_per_second"]
    rows = []
    whole = bench[bench["what"].isin(["plain loop", "whole runs"])]
    for _, some in whole.groupby(["what", "precision", "compiled"], sort=False):
        first = some.iloc[0]
        speeds = some.set_index("repeat")["tokens_per_second"]
        how = f"{first['what']}, {first['precision']}" + (", compiled" * bool(first["compiled"]))
        at_once = plural(int(first["workers"]), "run")
        rows.append((how, at_once, _middle(speeds), _middle(speeds / plain, 2)))
    if not rows:
        return HTML(render("unmeasured"))
    head = ("nanoGPT's recipe for a processor", "at once", "tokens a second", "of the plain loop")
    note = (
        "Median and range over repeats, each paired with the plain loop of its own repeat. Whole"
        " runs count their start and their evaluations in; the plain loop, which has all cores for"
        " one training, neither."
    )
    return HTML(table(head, rows, note))


def to_quality(tables: Tables) -> HTML:
    """Seconds to nanoGPT's final loss, and what a study takes besides training."""
    bench = tables.bench
    reached = bench[bench["loss"].notna()]
    rows, reference = [], ""
    if len(reached):
        reference = str(reached["what"].iloc[0])
        theirs = reached[reached["what"] == reference].set_index("repeat")["seconds"]
        for what, some in reached.groupby("what", sort=False):
            seconds = some.set_index("repeat")["seconds"]
            cells = (_middle(seconds, 1), _middle(seconds / theirs, 2), _middle(some["loss"], 3))
            rows.append((what, *cells))
    head = ("one training", "seconds", f"of {reference}", "validation loss")
    around = [
        (what, _middle(some["seconds"], 2))
        for what, some in bench[bench["what"].isin(_STUDY)].groupby("what", sort=False)
    ]
    note = (
        "On Tiny Shakespeare, from a process not yet started to its end; the loss is that of all"
        " that is validated on."
    )
    return join_html(
        table(head, rows, note) if rows else "",
        table(("around the training", "seconds"), around) if around else "",
    )


def by_size(tables: Tables) -> HTML:
    """Training alone by width, context, batch and workers: tokens a second, and the share of the
    machine's peak.
    """
    rows = shares(tables.bench)
    if rows.empty:
        return EMPTY
    usual = rows.loc[rows["varied"] == "", list(_SIZES)].iloc[0]
    figure, panels = plt.subplots(2, len(_SIZES), figsize=(9.5, 5), sharey="row", sharex="col")
    for place, (column, label) in enumerate(_SIZES.items()):
        chosen = rows[rows["varied"].isin(["", column])]
        for axes, y in zip(panels[:, place], ("tokens_per_second", "share"), strict=True):
            sns.lineplot(
                chosen, x=column, y=y, hue="precision", style="precision", markers=True,
                dashes=False, errorbar=("pi", 100), estimator="median", ax=axes,
                legend=place == len(_SIZES) - 1 and y == "share",
            )  # fmt: skip
            axes.set_xscale("log", base=2)
            axes.xaxis.set_major_formatter("{x:g}")
            axes.set_ylim(bottom=0)
            axes.set(xlabel=label, ylabel="tokens a second" if y != "share" else "% of the peak")
    panels[1, -1].legend(frameon=False)
    figure.tight_layout()
    told = "; ".join(
        f"{some.iloc[0]['precision']} {'/'.join(f'{some.iloc[0][name]:g}' for name in _SIZES)}:"
        f" {_middle(some['tokens_per_second'])} and {_middle(some['share'])} %"
        for _, some in rows.groupby(["precision", *_SIZES], sort=False)
    )
    return show(
        figure,
        alt="Tokens a second and percent of the peak, by width/context/batch/runs: " + told,
        caption="Training alone, median and range over repeats, of all runs at once together; one"
        f" thing changed at a time from {_setting(usual)}, and with the context the batch, so that"
        " a step has as many tokens. The peak is that of one thread's best square matrix product in"
        " the same precision, measured in the same repeat.",
    )


_SIZES = {"width": "width", "context": "context", "batch": "batch", "workers": "runs at once"}


def shares(bench: pd.DataFrame) -> pd.DataFrame:
    """The rows of "training" with `share`, the percentage of the peak that each run reached."""
    products = bench[bench["what"] == "matrix product"]
    peaks = products[["precision", "repeat", "flops_per_second"]]
    rows = bench[bench["what"] == "training"].merge(
        peaks, on=["precision", "repeat"], suffixes=("", "_peak")
    )
    rows["share"] = 100 * rows["flops_per_second"] / rows["workers"] / rows["flops_per_second_peak"]
    return rows


def _setting(usual: pd.Series) -> str:
    return ", ".join(f"{label} {usual[name]:g}" for name, label in _SIZES.items())


def _middle(values: pd.Series, decimals: int = 0) -> str:
    """The median, and the range."""
    low, middle, high = values.min(), values.median(), values.max()
    return f"{middle:,.{decimals}f} ({low:,.{decimals}f} to {high:,.{decimals}f})"
