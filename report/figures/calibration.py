"""Our trainings by nanoGPT's recipes beside the losses that it publishes."""

from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import HTML

from experiments.records.collect import read_table
from experiments.records.study import MANIFEST
from report.figures.charts import show
from report.html import join_html, render, table
from report.verdicts.stats import Estimate, estimate
from report.verdicts.tables import records
from report.verdicts.text import format_estimate, format_number, join_words, plural

AGREES, DIFFERS, OPEN = "agrees", "differs", "undecided"


def calibration(results: Path) -> HTML:
    """Each recipe's mean over seeds beside what is published, the verdict, and a figure; from this
    machine's own trainings where there are any, and else from the published ones.
    """
    own, theirs = results.parent / "calibration", results.parent / "reference" / "calibration"
    folder = next((place for place in (own, theirs) if list(place.glob("*.parquet"))), None)
    if folder is None:
        return HTML(render("uncalibrated"))
    runs = read_table(folder, "calibration")
    drawn = [_drawn(some) for _, some in runs.groupby("recipe", sort=False) if _losses(some).size]
    return join_html(
        render("calibration", published=folder == theirs or (results / MANIFEST).exists()),
        table(_HEAD, [_row(some) for _, some in runs.groupby("recipe", sort=False)], _NOTE),
        *(figure.data for figure in drawn),
    )


_HEAD = ("recipe", "published", "ours", "seeds", "last", "agreement", "device", "revision")
_NOTE = (
    "Validation loss on Tiny Shakespeare, nats per character, its last tenth as a whole: the lowest"
    " of the evaluations, mean ± half its 95 % interval. It agrees where the interval lies within"
    " the margin about the published loss, and differs where it lies wholly outside."
)


def agreement(found: Estimate, published: float, margin: float) -> str:
    """Whether a mean is as published, by its 95 % interval and the recipe's margin."""
    if found.low is None or found.high is None:
        return OPEN
    if published - margin < found.low and found.high < published + margin:
        return AGREES
    beyond = found.high < published - margin or found.low > published + margin
    return DIFFERS if beyond else OPEN


def _losses(runs: pd.DataFrame) -> "pd.Series[float]":
    return runs["lowest_loss"].dropna()


def _row(runs: pd.DataFrame) -> tuple[str, ...]:
    first, losses = records(runs)[0], _losses(runs)
    stated = (first["recipe"], f"{first['published']:g} (±{first['margin']:g})")
    if losses.empty:
        return (*stated, "–", "–", "–", f"{first['status']}: {first['reason']}", "–", "–")
    found = estimate(list(losses))
    lost = len(runs) - len(losses)
    return (
        *stated,
        format_estimate(found),
        str(found.n) + (f", {plural(lost, 'run')} without a result" if lost else ""),
        format_estimate(estimate(list(runs["val_loss"].dropna()))),
        agreement(found, first["published"], first["margin"]),
        *(join_words(sorted(set(runs[name].dropna()))) for name in ("device_name", "git_revision")),
    )


def _drawn(runs: pd.DataFrame) -> HTML:
    """Each seed, their mean with its interval, and the published loss with its margin."""
    first, losses = records(runs)[0], _losses(runs)
    published, margin = first["published"], first["margin"]
    found = estimate(list(losses))
    figure, axes = plt.subplots(figsize=(7.5, 1.5))
    axes.axvspan(published - margin, published + margin, color="0.9", linewidth=0)
    axes.axvline(published, color="0.3", linewidth=1)
    axes.plot(losses, [1] * len(losses), "o", alpha=0.6, markersize=5)
    if found.low is not None and found.high is not None:
        axes.plot([found.low, found.high], [0, 0], color="C0", linewidth=2)
    axes.plot(found.mean, 0, "o", color="C0", markersize=6)
    axes.set_yticks([0, 1], ["mean, 95 % interval", "seeds"])
    axes.set_ylim(-0.6, 1.6)
    axes.set(xlabel=f"validation loss (nats per character): {first['recipe']}")
    return show(
        figure,
        alt=f"{first['recipe']}: published {published:g}, ours {format_estimate(found)}; by seed"
        f" {', '.join(map(format_number, losses))}.",
        caption="Our seeds and their mean beside the published loss (line) and the margin about it"
        " (grey).",
    )
