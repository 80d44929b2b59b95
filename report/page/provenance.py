"""How the study was made: what a reader needs to judge it, to repeat it and to cite it."""

import dataclasses

import pandas as pd
from IPython.display import HTML

from experiments.records.run_folder import FINISHED
from report.html import details, join_html, render, table
from report.page.summary import dates, title
from report.verdicts.tables import Tables, records
from report.verdicts.text import format_duration, format_number, join_words, plural


def how_it_was_made(tables: Tables) -> HTML:
    """Corpus, versions, hardware, time: what a reader needs to judge and to repeat it."""
    study, runs = tables.study, tables.runs
    over = runs[runs["status"] != "unfinished"]
    lengths = ", ".join(f"{split} {n:,}" for split, n in study.corpus_lengths.items())

    recipe, most = dataclasses.asdict(study.profile.recipe), over["peak_memory"].max()
    base = study.base.relevant()
    rows = [
        ("profile", f"{study.profile_name}: {study.profile.purpose}"),
        ("corpus", f"{study.corpus_name}, {study.token}s: {lengths}; {study.vocab_size} distinct"),
        ("corpus hash", study.corpus_hash),
        ("uniform guess", f"{format_number(tables.uniform_loss)} nats per character"),
        ("unigram guess", f"{format_number(tables.unigram_loss)} nats per character"),
        ("base network", ", ".join(f"{k}={v}" for k, v in base.items())),
        ("base recipe", ", ".join(f"{k}={v}" for k, v in recipe.items())),
        ("precision", _distinct(over, "recipe.precision")),
        ("device", _distinct(over, "device_name")),
        ("machine", _distinct(over, "hardware")),
        ("Python, torch, numpy", " / ".join(_distinct(over, name) for name in _VERSIONS)),
        ("packages, and code", " / ".join(_distinct(over, n) for n in ("environment", "code"))),
        ("git revision", _distinct(over, "git_revision")),
        ("data made", dates(over)),
        ("time in workers", format_duration(float(over["wall_seconds"].fillna(0).sum()))),
        ("of it training", format_duration(float(over["train_seconds"].fillna(0).sum()))),
        ("of it probes", format_duration(float(over["probe_seconds"].fillna(0).sum()))),
        ("most memory of a run", "–" if pd.isna(most) else f"{most / 1e6:,.0f} MB"),
        ("time by the clock", _by_the_clock(tables.calls)),
        ("what energy goes into", _spent(over)),
        ("what a rerun would take", _rerun(over, tables.calls)),
    ]
    on_disk = len(list((tables.results / "runs").glob("*")))
    if on_disk > len(runs):
        rows.append(
            ("left out", f"{on_disk - len(runs)} runs on disk that this study does not ask for")
        )
    return HTML(table(("what", "value"), rows))


_VERSIONS = ("python_version", "torch_version", "numpy_version")


def failures(tables: Tables) -> HTML:
    """How many runs failed and diverged, and what is planned and not there."""
    counts = tables.runs["status"].value_counts()
    missing = tables.members[~tables.members["status"].isin([*FINISHED, "failed"])]
    ended = [f"{plural(int(counts.get(how, 0)), 'run')} {how}" for how in ("failed", "diverged")]
    if not len(missing):
        return join_html(
            render("paragraph", text=f"{join_words(ended)}. No planned run is missing.")
        )
    seeds: dict[str, list[str]] = {}
    for row in records(missing):
        seeds.setdefault(f"{row['ablation']}/{row['variant']}", []).append(str(row["seed"]))
    lacking = [(name, ", ".join(sorted(these))) for name, these in sorted(seeds.items())]
    told = f"{join_words(ended)}. {plural(len(missing), 'planned comparison')} not there:"
    return join_html(render("paragraph", text=told), table(("variant", "seeds"), lacking))


def ledger(tables: Tables) -> HTML:
    """Every run there is, those that failed and diverged first, with the reason."""
    order = {"failed": 0, "damaged": 1, "in flight": 2, "unfinished": 3, "diverged": 4}
    runs = sorted(records(tables.runs), key=lambda row: order.get(row["status"], 5))
    rows = [
        (
            f"{row['ablation']}/{row['variant']}",
            row["seed"],
            row["status"],
            format_number(row["val_loss"]),
            "–" if row["wall_seconds"] is None else f"{row['wall_seconds']:.0f}",
            row["started"] or "–",
            row["run_id"],
            row["reason"] or "",
        )
        for row in runs
    ]
    head = ("run", "seed", "status", "validation loss", "seconds", "began", "id", "reason")
    note = "A run that several ablations share is named after the first. Times are UTC."
    whole = table(head, rows, note, name="Ledger of all runs")
    return join_html(details(f"Every one of {plural(len(rows), 'run')}", whole))


def citation(tables: Tables) -> HTML:
    """How to refer to this page: its study, its data and its code."""
    study, runs = tables.study, tables.runs
    days = dates(runs)
    return HTML(
        render(
            "citation",
            title=title(study),
            year=days[:4],
            days=days,
            runs=f"{len(runs):,}",
            revisions=_distinct(runs, "git_revision"),
            corpus=study.corpus_hash,
        )
    )


def _distinct(runs: pd.DataFrame, column: str) -> str:
    return ", ".join(sorted({str(value) for value in runs[column].dropna()})) or "–"


def _spent(runs: pd.DataFrame) -> str:
    """What a power meter would see: cores or cards at work, and arithmetic."""
    seconds = runs["wall_seconds"].fillna(0)
    on_cards = runs["device"] == "cuda"
    told = [
        f"{float(spent.sum()) / 3600:.2g} {unit}"
        for spent, unit in (
            ((seconds * runs["threads"].fillna(1))[~on_cards], "core-hours"),
            (seconds[on_cards], "hours of a run's share of a GPU"),
        )
        if len(spent)
    ]
    return f"{join_words(told) or 'nothing'}; {runs['flops'].sum():.3g} floating-point operations"


def _rerun(runs: pd.DataFrame, calls: pd.DataFrame) -> str:
    """The same runs again, on a machine as busy as this one was."""
    if calls.empty:
        return "–"
    workers = int(calls["workers"].max())
    seconds = float(runs["wall_seconds"].fillna(0).sum()) / workers
    return f"about {format_duration(seconds)} with {plural(workers, 'worker')}, the page left out"


def _by_the_clock(calls: pd.DataFrame) -> str:
    """How long the calls took that trained, and how much of it the workers were at work."""
    if calls.empty:
        return "–"
    there = float((calls["seconds"] * calls["workers"]).sum())
    share = 100 * float(calls["wall_seconds"].sum()) / there
    workers = ", ".join(str(n) for n in sorted(calls["workers"].unique()))
    return (
        f"{format_duration(float(calls['seconds'].sum()))} until the last page was begun, with {workers}"
        f" workers, busy {share:.0f} % of it (calls that ran to their end)"
    )
