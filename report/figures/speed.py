"""Training speed of this machine, as measured by `make bench`."""

from collections.abc import Iterator
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from IPython.display import HTML

from report.figures.charts import MARKED, by_colour, log2_axis, palette, show
from report.html import EMPTY, join_html, render, table
from report.study.tables import Tables, records
from report.verdicts.text import plural

_OVERHEADS = ("between runs", "run, all done", "report, all done")
_SIZES = {"width": "width", "context": "context", "batch": "batch", "workers": "concurrent runs"}


_BASELINES = ("nanoGPT's train.py", "plain loop")


def baseline(bench: pd.DataFrame) -> str:
    """Name of the program that whole runs are compared with: nanoGPT's, or the plain loop."""
    measured = set(bench["what"])
    return next((name for name in _BASELINES if name in measured), _BASELINES[-1])


def _speeds(bench: pd.DataFrame) -> Iterator[tuple[pd.Series, pd.Series, pd.Series]]:
    """Whole runs and their baseline by setting: first row, tokens per second, and the speed as a
    multiple of the baseline in the same repetition. The series are indexed by repetition.
    """
    name = baseline(bench)
    reference = bench[bench["what"] == name].set_index("repeat")["tokens_per_second"]
    compared = bench[bench["what"].isin([name, "whole runs"])]
    for _, rows in compared.groupby(["what", "precision", "compiled"], sort=False):
        speeds = rows.set_index("repeat")["tokens_per_second"]
        yield rows.iloc[0], speeds, speeds / reference


def baseline_ratios(bench: pd.DataFrame) -> dict[str, list[float]]:
    """Tokens per second of whole runs divided by the baseline's, by precision, [repetitions]."""
    return {
        str(setting["precision"]): list(ratios)
        for setting, _, ratios in _speeds(bench)
        if setting["what"] == "whole runs" and not setting["compiled"]
    }


def baseline_table(tables: Tables) -> HTML:
    """Speed of whole runs compared with nanoGPT or a plain training loop, paired by repetition."""
    rows = []
    for setting, speeds, ratios in _speeds(tables.bench):
        name = f"{setting['what']}, {setting['precision']}"
        if setting["compiled"]:
            name += ", compiled"
        concurrent = plural(int(setting["workers"]), "run")
        rows.append((name, concurrent, _median(speeds), _median(ratios, 2)))
    if not rows:
        return HTML(render("unmeasured"))
    name = baseline(tables.bench)
    head = ("nanoGPT's CPU recipe", "concurrent", "tokens per second", f"relative to {name}")
    note = (
        f"Median and range over repetitions, each paired with {name} of the same repetition. Whole"
        f" runs include start-up and evaluation; {name} includes neither and uses all cores for a"
        " single training."
    )
    return HTML(table(head, rows, note))


def base_runs_table(tables: Tables) -> HTML:
    """Speed of whole runs of the study's base network, by precision."""
    runs = tables.bench[tables.bench["what"] == "whole runs of the base"]
    if runs.empty:
        return EMPTY
    rows = []
    for (precision, compiled), repeats in runs.groupby(["precision", "compiled"], sort=False):
        speeds, workers = repeats["tokens_per_second"], int(repeats["workers"].iloc[0])
        name = f"{precision}, compiled" if compiled else precision
        rows.append((name, plural(workers, "run"), _median(speeds), _median(speeds / workers)))
    head = ("whole runs of the base", "concurrent", "tokens per second", "tokens per core-second")
    note = "Median and range over repetitions, start-up and evaluation included."
    return HTML(table(head, rows, note))


def step_table(tables: Tables) -> HTML:
    """A training step on one thread by kind of operation, in milliseconds."""
    steps = tables.bench[tables.bench["what"].str.startswith("step, ")]
    if steps.empty:
        return EMPTY
    setting = steps["what"].str.removeprefix("step, ") + ", " + steps["precision"]
    columns = list(setting.unique())

    def row(name: str, chosen: pd.DataFrame, column: str = "seconds", scale: float = 1000) -> Any:
        medians = (scale * chosen[column]).groupby(setting).median()
        return (name, *(f"{medians[one]:.1f}" for one in columns))

    whole = steps[steps["part"].isna()]
    rows = [row("whole step", whole)]
    for kind, chosen in steps.dropna(subset="part").groupby("part", sort=False):
        rows.append(row(str(kind), chosen))
    rows.append(row("page faults", whole, "page_faults", 1))
    note = (
        "Milliseconds on one thread, median over repetitions: the share of each kind of operation"
        " in a profile of ten steps, of the median step without the profiler. Attention includes"
        " its matrix products. Dispatch is what is no arithmetic: views, allocations, Python, and"
        " the bookkeeping of the backward pass."
    )
    return HTML(table(("training step", *columns), rows, note))


def time_to_loss(tables: Tables) -> HTML:
    """Seconds to nanoGPT's final loss, and overheads of a study besides training."""
    bench = tables.bench
    trainings = bench[bench["loss"].notna()]
    parts = []
    if len(trainings):
        reference = str(trainings["what"].iloc[0])
        reference_rows = trainings[trainings["what"] == reference]
        reference_seconds = reference_rows.set_index("repeat")["seconds"]
        rows = []
        for name, repeats in trainings.groupby("what", sort=False):
            seconds = repeats.set_index("repeat")["seconds"]
            ratio = _median(seconds / reference_seconds, 2)
            rows.append((name, _median(seconds, 1), ratio, _median(repeats["loss"], 3)))
        head = ("training", "seconds", f"relative to {reference}", "validation loss")
        note = (
            "Tiny Shakespeare, from the start of the process to its end. The loss is over the whole"
            " validation split."
        )
        parts.append(table(head, rows, note))
    overheads = bench[bench["what"].isin(_OVERHEADS)]
    if len(overheads):
        seconds_by_name = overheads.groupby("what", sort=False)["seconds"]
        cells = [(name, _median(seconds, 2)) for name, seconds in seconds_by_name]
        parts.append(table(("overhead", "seconds"), cells))
    return join_html(*parts)


def speed_by_size(tables: Tables) -> HTML:
    """Tokens per second and share of the peak, by width, context, batch and concurrent runs."""
    rows = with_share_of_peak(tables.bench)
    if rows.empty:
        return EMPTY
    default = rows.loc[rows["varied"] == "", list(_SIZES)].iloc[0]
    colours = palette(list(rows["precision"].unique()))
    figure, panels = plt.subplots(2, len(_SIZES), figsize=(9.5, 5), sharey="row", sharex="col")
    lines: dict[str, Any] = {
        **by_colour(colours, "precision"),
        **MARKED,
        "style": "precision",
        "errorbar": ("pi", 100),
        "estimator": "median",
    }
    for (top, bottom), (size, label) in zip(panels.T, _SIZES.items(), strict=True):
        varied = rows[rows["varied"].isin(["", size])]
        legend = size == "workers"
        sns.lineplot(varied, x=size, y="tokens_per_second", ax=top, legend=False, **lines)
        sns.lineplot(varied, x=size, y="share", ax=bottom, legend=legend, **lines)
        top.set(ylabel="tokens per second", ylim=(0, None))
        bottom.set(ylabel="% of the peak", ylim=(0, None), xlabel=label)
        log2_axis(top)
        log2_axis(bottom)
    panels[1, -1].legend(frameon=False)
    figure.tight_layout()
    settings = ["precision", *_SIZES]
    medians = rows.groupby(settings, sort=False)[["tokens_per_second", "share"]].median()
    fastest = records(medians.reset_index().nlargest(1, "tokens_per_second"))[0]
    setting = ", ".join(f"{label} {default[size]:g}" for size, label in _SIZES.items())
    return show(
        figure,
        alt=f"Tokens per second and percent of the peak in {len(medians)} settings; at most"
        f" {fastest['tokens_per_second']:,.0f} tokens per second, in {fastest['precision']}.",
        caption="Training without start-up and evaluation: median and range over repetitions of the"
        f" sum over concurrent runs. One size at a time is varied from {setting}; with the context,"
        " the batch is adapted to keep the number of tokens per step. The peak is the best"
        " square matrix product of one thread in the same precision and the same repetition.",
        data=rows[[*settings, "repeat", "tokens_per_second", "share"]],
        quiet=True,
    )


def with_share_of_peak(bench: pd.DataFrame) -> pd.DataFrame:
    """The "training" rows with `share`, the percentage of the peak that each run reached."""
    products = bench[bench["what"] == "matrix product"]
    peaks = products[["precision", "repeat", "flops_per_second"]]
    rows = bench[bench["what"] == "training"].merge(
        peaks, on=["precision", "repeat"], suffixes=("", "_peak")
    )
    per_run = rows["flops_per_second"] / rows["workers"]
    return rows.assign(share=100 * per_run / rows["flops_per_second_peak"])


def _median(values: "pd.Series[float]", decimals: int = 0) -> str:
    """Median and range."""
    median, low, high = values.median(), values.min(), values.max()
    return f"{median:,.{decimals}f} ({low:,.{decimals}f} to {high:,.{decimals}f})"
