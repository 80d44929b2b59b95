"""Calibration: trainings with nanoGPT's recipes, compared with the published losses."""

from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import HTML

from experiments.records.collect import read_table
from experiments.records.study import MANIFEST
from report.figures.charts import show
from report.html import join_html, render, table
from report.study.tables import records
from report.svg import INK, LINE
from report.verdicts.stats import Estimate, estimate
from report.verdicts.text import format_estimate, format_number, join_words, plural

AGREES, DIFFERS, UNDECIDED = "agrees", "differs", "undecided"
HEAD = (
    "recipe",
    "published",
    "ours",
    "seeds",
    "final loss",
    "agreement",
    "device",
    "revision",
)
NOTE = (
    "Validation loss on the last tenth of Tiny Shakespeare, in nats per character: the lowest loss"
    " of all evaluations, mean ± half the width of the 95 % interval. Our loss agrees if the"
    " interval lies within the margin around the published loss, and differs if it lies entirely"
    " outside."
)


def calibration(results: Path) -> HTML:
    """Mean loss of each recipe over seeds, the published loss, their agreement, and a figure.

    The trainings of this machine are shown if there are any, otherwise the published trainings.
    """
    recipes = recipes_of(results)
    if not recipes:
        return HTML(render("uncalibrated"))
    figures = [_figure(runs).data for runs in recipes if len(_losses(runs))]
    own, _ = _folders(results)
    is_published = not _has_tables(own) or (results / MANIFEST).exists()
    introduction = render("calibration", published=is_published)
    return join_html(introduction, table(HEAD, map(cells, recipes), NOTE), *figures)


def recipes_of(results: Path) -> list[pd.DataFrame]:
    """The trainings that `calibration` shows, by recipe; none where nothing was trained."""
    folder = next(filter(_has_tables, _folders(results)), None)
    if folder is None:
        return []
    return [runs for _, runs in read_table(folder, "calibration").groupby("recipe", sort=False)]


def _folders(results: Path) -> tuple[Path, Path]:
    """The folders of this machine's trainings and of the published ones."""
    return results.parent / "calibration", results.parent / "reference" / "calibration"


def _has_tables(folder: Path) -> bool:
    return any(folder.glob("*.parquet"))


def agreement(ours: Estimate, published: float, margin: float) -> str:
    """Whether a mean agrees with the published loss, by its 95 % interval and the margin."""
    if ours.low is None or ours.high is None:
        return UNDECIDED
    low, high = published - margin, published + margin
    if low < ours.low and ours.high < high:
        return AGREES
    return DIFFERS if ours.high < low or ours.low > high else UNDECIDED


def _losses(runs: pd.DataFrame) -> "pd.Series[float]":
    return runs["lowest_loss"].dropna()


def cells(runs: pd.DataFrame) -> tuple[str, ...]:
    """The cells of a recipe under `HEAD`."""
    first, losses = records(runs)[0], _losses(runs)
    stated = (first["recipe"], f"{first['published']:g} (±{first['margin']:g})")
    if losses.empty:
        return (*stated, "–", "–", "–", f"{first['status']}: {first['reason']}", "–", "–")
    ours = estimate(list(losses))
    seeds = str(ours.n)
    if failed := len(runs) - len(losses):
        seeds += f", {plural(failed, 'run')} without a result"
    final_loss = format_estimate(estimate(list(runs["val_loss"].dropna())))
    verdict = agreement(ours, first["published"], first["margin"])
    sources = [join_words(sorted(set(runs[c].dropna()))) for c in ("device_name", "git_revision")]
    return (*stated, format_estimate(ours), seeds, final_loss, verdict, *sources)


def _figure(runs: pd.DataFrame) -> HTML:
    """Losses by seed, their mean with its interval, and the published loss with its margin."""
    first, losses = records(runs)[0], _losses(runs)
    published, margin = first["published"], first["margin"]
    ours = estimate(list(losses))
    figure, axes = plt.subplots(figsize=(7.5, 1.5))
    axes.axvspan(published - margin, published + margin, color=LINE, linewidth=0)
    axes.axvline(published, color=INK, linewidth=1)
    axes.plot(losses, [1] * len(losses), "o", alpha=0.6, markersize=5)
    if ours.low is not None and ours.high is not None:
        axes.plot([ours.low, ours.high], [0, 0], color="C0", linewidth=2)
    axes.plot(ours.mean, 0, "o", color="C0", markersize=6)
    axes.set_yticks([0, 1], ["mean, 95 % interval", "seeds"])
    axes.set_ylim(-0.6, 1.6)
    axes.set(xlabel=f"validation loss (nats per character): {first['recipe']}")
    return show(
        figure,
        alt=f"{first['recipe']}: published {published:g}, ours {format_estimate(ours)}; by seed"
        f" {', '.join(map(format_number, losses))}.",
        caption="Losses of our seeds and their mean, the published loss (line) and the margin"
        " around the published loss (grey).",
        data=pd.DataFrame({"recipe": first["recipe"], "published": published, "ours": losses}),
        quiet=True,
    )
