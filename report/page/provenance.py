"""How the study was made: corpus, hardware, versions, times, all runs, and the citation."""

import itertools
from typing import Any

import pandas as pd
from IPython.display import HTML

from experiments.records.run_folder import FINISHED, Status
from report.html import EMPTY, join_html, paragraph, render, table
from report.page.summary import run_dates, title
from report.study.tables import Tables, records
from report.verdicts.text import format_duration, format_number, join_words, plural

_TIMES = ("train", "compile", "evaluation", "probe", "checkpoint")
_VERSIONS = ("python_version", "torch_version", "numpy_version")


def facts(tables: Tables) -> HTML:
    """The facts of the study as a table."""
    return HTML(table(("fact", "value"), fact_rows(tables)))


def fact_rows(tables: Tables) -> list[tuple[str, str]]:
    """Corpus, versions, hardware and times, as needed to assess and to repeat the study: name and
    value of each fact.
    """
    study, calls = tables.study, tables.calls
    runs = tables.runs[tables.runs["status"] != Status.UNFINISHED]
    lengths = ", ".join(f"{split} {n:,}" for split, n in study.corpus_lengths.items())
    memory = runs["peak_memory"].max()
    rows = [
        ("profile", f"{study.profile_name}: {study.profile.purpose}"),
        ("corpus", f"{study.corpus_name}, {study.token}s: {lengths}; {study.vocab_size} distinct"),
        ("corpus SHA-256", study.corpus_hash),
        ("loss of a uniform guess", f"{format_number(tables.uniform_loss)} nats per character"),
        ("loss of a unigram guess", f"{format_number(tables.unigram_loss)} nats per character"),
        ("network of most runs", _most_common(runs, "model.")),
        ("recipe of most runs", _most_common(runs, "recipe.")),
        ("precision", distinct(runs, "recipe.precision")),
        ("device", distinct(runs, "device_name")),
        ("machine", distinct(runs, "hardware")),
        ("Python, torch, numpy", " / ".join(distinct(runs, name) for name in _VERSIONS)),
        (
            "hashes of packages and code",
            " / ".join(distinct(runs, n) for n in ("environment", "code")),
        ),
        ("git revision", distinct(runs, "git_revision")),
        ("run dates", run_dates(runs)),
        ("run time, total", _total_time(runs, "wall_seconds")),
        *((f"run time, {name}", _total_time(runs, f"{name}_seconds")) for name in _TIMES),
        ("run time, starts and files", format_duration(_rest(runs))),
        ("share outside training and probes", _outside_training(runs)),
        ("peak memory of a run", "–" if pd.isna(memory) else f"{memory / 1e6:,.0f} MB"),
        ("elapsed time", _elapsed(calls)),
        ("resources", _resources(runs)),
        ("estimated time of a rerun", _rerun(runs, calls)),
    ]
    if damaged := int((~tables.seals["intact"].astype(bool)).sum()):
        rows.append(("damaged seals", f"{plural(damaged, 'line')} of seals.jsonl"))
    unplanned = len(list((tables.results / "runs").glob("*"))) - len(tables.runs)
    if unplanned > 0:
        rows.append(("ignored", f"{unplanned} runs on disk that are not part of this study"))
    return rows


def _most_common(runs: pd.DataFrame, prefix: str) -> str:
    """The most common value of each column that begins with `prefix`, as the runs recorded it."""
    modes = {
        name.removeprefix(prefix): runs[name].mode()
        for name in runs.columns
        if name.startswith(prefix)
    }
    shown = {name: mode.iloc[0] for name, mode in modes.items() if len(mode)}
    return ", ".join(f"{name}={_plain(value)}" for name, value in shown.items()) or "–"


def _plain(value: Any) -> str:
    """A value of a column as text; a whole number, which a column with nulls holds as a float,
    without a decimal point.
    """
    return f"{value:g}" if isinstance(value, float) else str(value)


def _rest(runs: pd.DataFrame) -> float:
    """Seconds of runs that none of `_TIMES` includes."""
    named = sum(float(runs[f"{name}_seconds"].fillna(0).sum()) for name in _TIMES)
    return max(0.0, float(runs["wall_seconds"].fillna(0).sum()) - named)


def _outside_training(runs: pd.DataFrame) -> str:
    """Starts, evaluations and checkpoints as a share of the time of all runs."""
    wall, train, probe = (
        float(runs[f"{name}_seconds"].fillna(0).sum()) for name in ("wall", "train", "probe")
    )
    return f"{100 * (wall - train - probe) / wall:.0f} %" if wall else "–"


def _total_time(runs: pd.DataFrame, column: str) -> str:
    return format_duration(float(runs[column].fillna(0).sum()))


def distinct(runs: pd.DataFrame, column: str) -> str:
    """Distinct values of a column, separated by commas."""
    return ", ".join(sorted({str(value) for value in runs[column].dropna()})) or "–"


def _resources(runs: pd.DataFrame) -> str:
    """Processor or GPU hours, and floating-point operations."""
    seconds = runs["wall_seconds"].fillna(0)
    on_gpu = runs["device"] == "cuda"
    core_hours = (seconds * runs["threads"].fillna(1))[~on_gpu].sum() / 3600
    gpu_hours = seconds[on_gpu].sum() / 3600
    resources = []
    if not on_gpu.all():
        resources.append(f"{core_hours:.2g} core-hours")
    if on_gpu.any():
        resources.append(f"{gpu_hours:.2g} run-hours on a GPU, which several runs may share")
    hours = join_words(resources) or "none"
    return f"{hours}; {runs['flops'].sum():.3g} floating-point operations"


def _rerun(runs: pd.DataFrame, calls: pd.DataFrame) -> str:
    """Expected time of the same runs on the same machine."""
    if calls.empty:
        return "–"
    workers = int(calls["workers"].max())
    seconds = float(runs["wall_seconds"].fillna(0).sum()) / workers
    return f"about {format_duration(seconds)} with {plural(workers, 'worker')}, without the page"


def seconds_by_the_clock(runs: pd.DataFrame, calls: pd.DataFrame) -> float:
    """Time that the commands took. A command that was killed left no record: its runs count with
    their own time, divided by the number of runs at once.
    """
    lost = float(runs["wall_seconds"].fillna(0).sum()) - float(calls["wall_seconds"].sum())
    workers = 1 if calls.empty else int(calls["workers"].max())
    return float(calls["seconds"].sum()) + max(0.0, lost) / workers


def _elapsed(calls: pd.DataFrame) -> str:
    """Time taken by the commands that trained runs, and the utilisation of their workers."""
    if calls.empty:
        return "–"
    available = float((calls["seconds"] * calls["workers"]).sum())
    busy = 100 * float(calls["wall_seconds"].sum()) / available
    workers = ", ".join(str(n) for n in sorted(calls["workers"].unique()))
    elapsed = format_duration(float(calls["seconds"].sum()))
    return (
        f"{elapsed} without the last page, with {workers} workers that were busy {busy:.0f} % of"
        " the time (completed commands only)"
    )


def mixed_machines(tables: Tables, ablation: str) -> HTML:
    """The variants whose runs come from another machine than the baseline's of the same seed; empty
    if there are none.
    """
    runs = tables.of(ablation).dropna(subset=["hardware"])
    baseline = tables.ablations[ablation].baseline
    by_seed = runs.pivot_table(
        index="seed", columns="variant", values="hardware", aggfunc="first", sort=False
    )
    if baseline not in by_seed:
        return EMPTY
    pairs = {name: by_seed[[baseline, name]].dropna() for name in by_seed if name != baseline}
    apart = {
        str(name): pair[pair[baseline] != pair[name]]
        for name, pair in pairs.items()
        if (pair[baseline] != pair[name]).any()
    }
    if not apart:
        return EMPTY
    return HTML(
        render(
            "mixed_machines",
            baseline=baseline,
            variants=join_words([*apart]),
            of_baseline=join_words(sorted({*pd.concat(apart.values())[baseline]})),
            of_variants=join_words(sorted({*itertools.chain(*(apart[v][v] for v in apart))})),
        )
    )


def failures(tables: Tables) -> HTML:
    """Number of failed and diverged runs, and the missing seeds of each variant."""
    trials = tables.runs["tuning"].fillna(False).astype(bool)
    counts, of_trials = (
        rows["status"].value_counts() for rows in (tables.runs, tables.runs[trials])
    )
    ended = join_words(
        [
            f"{plural(int(counts.get(status, 0)), 'run')} {status}"
            + (f" ({n} of them trials of learning rates)" if (n := of_trials.get(status)) else "")
            for status in (Status.FAILED, Status.DIVERGED)
        ]
    )
    over = [*FINISHED, Status.FAILED]
    missing = tables.members[~tables.members["status"].isin(over)]
    if missing.empty:
        return join_html(paragraph(f"{ended}. No planned run is missing."))
    rows = [
        (f"{ablation}/{variant}", budget, ", ".join(sorted(map(str, members["seed"]))))
        for (ablation, variant, budget), members in missing.groupby(
            ["ablation", "variant", "budget"]
        )
    ]
    text = f"{ended}. {plural(len(missing), 'planned run')} missing, counted once per ablation:"
    return join_html(paragraph(text), table(("variant", "budget", "missing seeds"), rows))


def ledger(tables: Tables) -> HTML:
    """All runs, failed and diverged runs first, with the reason of the failure."""
    order = [Status.FAILED, Status.DAMAGED, Status.IN_FLIGHT, Status.UNFINISHED, Status.DIVERGED]
    rank = {str(status): i for i, status in enumerate(order)}
    runs = sorted(records(tables.runs), key=lambda run: rank.get(run["status"], len(order)))
    rows = pd.DataFrame(
        {
            "run": f"{run['ablation']}/{run['variant']}",
            "seed": run["seed"],
            "status": run["status"],
            "validation loss": format_number(run["val_loss"]),
            "seconds": "–" if run["wall_seconds"] is None else f"{run['wall_seconds']:.0f}",
            "started": (run["started"] or "–").removesuffix("+00:00"),
            "id": run["run_id"],
            "reason": run["reason"] or "",
        }
        for run in runs
    )
    if rows.empty:
        return EMPTY
    note = (
        "A run that several ablations share is listed under the first. The validation loss is in"
        " nats per target. Times are in UTC."
    )
    return HTML(
        render("rows", name="All runs", n=len(rows), csv=rows.to_csv(index=False), note=note)
    )


def citation(tables: Tables) -> HTML:
    """A BibTeX entry for this page, with the study, its data and its code."""
    dates = run_dates(tables.runs)
    return HTML(
        render(
            "citation",
            title=title(tables.study),
            year=dates[:4],
            days=dates,
            runs=f"{len(tables.runs):,}",
            revisions=distinct(tables.runs, "git_revision"),
            corpus=tables.study.corpus_hash,
        )
    )
