"""What the notebooks show besides figures: computed sentences and tables, as HTML."""

import dataclasses
import html
from pathlib import Path
from typing import Any

import pandas as pd
from IPython.display import HTML

from experiments.collect import read_table
from experiments.study import Study
from report.figures import is_text
from report.stats import scaled
from report.tables import Tables, records
from report.text import counted, duration, number, p_text, plus_minus, table
from report.verdict import CONTRADICTED, NOT_TESTED, SUPPORTED, UNDECIDED, VERDICTS


def opening(tables: Tables, claims: pd.DataFrame) -> HTML:
    """What the study is, how much of it is there, and the findings in sentences."""
    study, lines = tables.study, []
    seeds, planned = tables.complete_seeds(), study.seeds
    if study.profile_name == "smoke":
        lines.append(
            '<p class="warning">This is a smoke test of the machinery. The networks were hardly'
            " trained, and the numbers mean nothing.</p>"
        )
    runs = tables.members.drop_duplicates("run_id")["status"].value_counts()
    missing = int(sum(n for status, n in runs.items() if status in ("missing", "unfinished")))
    state = f"This page rests on {counted(seeds, 'complete seed')} of {planned} planned: "
    state += ", ".join(f"{counted(int(n), 'run')} {status}" for status, n in runs.items() if n)
    lines.append(f"<p>{state}.</p>")
    if missing or runs.get("failed", 0):
        lines.append(
            '<p class="warning">The study is not complete: what follows is right about the runs'
            " that are there, and each claim says how many seeds it rests on.</p>"
        )
    counts = claims["verdict"].value_counts()
    told = ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if verdict in counts)
    lines.append(f"<p>Of {counted(len(claims), 'textbook claim')}: {told}.</p>")
    lines.append("<ul>" + "".join(f"<li>{sentence(row)}</li>" for row in records(claims)) + "</ul>")
    return HTML("".join(lines))


def sentence(row: dict[str, Any]) -> str:
    """A verdict in a sentence, computed from its row of the table `claims`."""
    said = f"“{html.escape(row['sentence'])}”"
    verdicts = {
        SUPPORTED: "The data support it",
        CONTRADICTED: "The data contradict it",
        UNDECIDED: "The data do not decide",
        NOT_TESTED: "Not tested",
    }
    return f"{said} <b>{verdicts[row['verdict']]}</b>: {html.escape(row['why'])}."


def verdict_table(claims: pd.DataFrame, link: bool = False) -> HTML:
    """The claims with verdict, effect, interval, n and p."""
    body = "".join(_verdict_row(row, link) for row in records(claims))
    notes = []
    seeded = claims[claims["p_sign_flip"].notna()]
    if len(seeded):
        most = int(seeded["n"].max())
        if most >= 2 and 2 / 2**most > 0.05:
            notes.append(
                f"With {most} paired seeds an exact sign-flip test cannot go below"
                f" p = {2 / 2**most:.3g}, so it can never reach 0.05; the verdicts rest on"
                " Student's interval, which takes the differences to be about normal."
            )
    head = "".join(
        f"<th>{name}</th>"
        for name in ("claim", "verdict", "effect", "95 % interval", "n", "p (Holm)", "sign-flip p")
    )
    return HTML(
        f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
        '</div><p class="note">A positive effect (a ratio above one) is what the claim says.'
        f" p is corrected over all claims of the study (Holm). {' '.join(notes)}</p>"
    )


def rules(claims: pd.DataFrame) -> HTML:
    """Each verdict with the rule that gave it and what is published."""
    items = []
    for row in records(claims):
        published = (
            f" <br>Published: {html.escape(row['published'])} (another setting: compare the"
            " direction only)."
            if row["published"]
            else ""
        )
        items.append(
            f"<li>{sentence(row)}<br><small>Rule, written before the run:"
            f" {html.escape(row['rule'])}{published}</small></li>"
        )
    return HTML(f"<ul>{''.join(items)}</ul>")


def changes_table(tables: Tables, ablation: str) -> HTML:
    """What each variant changes of the base, and the parameters that it has."""
    base = tables.study.profile.base_model(tables.study.vocab_size)
    recipe = tables.study.profile.recipe
    chosen = tables.tuning[tables.tuning["chosen"] & (tables.tuning["ablation"] == ablation)]
    tuning = {row["variant"]: f"{row['learning_rate']:g}" for row in records(chosen)}
    rows = []
    for variant in tables.ablations[ablation].variants:
        model, trained = variant.applied_to(base, recipe)
        differing = [
            f"{part}.{name} = {value:g}" if isinstance(value, float) else f"{part}.{name} = {value}"
            for part, mine, its in (("model", model, base), ("recipe", trained, recipe))
            for name, value in dataclasses.asdict(mine).items()
            if value != getattr(its, name)
        ]
        if variant.rate_of:
            rate = tuning.get(variant.rate_of, "not chosen yet")
            differing.append(f"recipe.learning_rate = {rate}, the best for {variant.rate_of}")
        rows.append((variant.name, ", ".join(differing) or "the base itself"))
    return HTML(table(("variant", "differs from the base in"), rows))


def metrics_table(tables: Tables, ablation: str) -> HTML:
    """Final metrics of every variant: mean and 95 % interval over its finished seeds."""
    columns = {
        "score": "validation loss",
        "test_loss": "test loss",
        "val_accuracy": "accuracy",
        "val_exact_match": "all right",
        "perplexity": "perplexity",
        "bits_per_character": "bits per character",
        "parameters": "parameters",
        "tokens_per_second": "tokens/s",
        "train_seconds": "seconds",
        "flops": "FLOPs",
        "utilisation": "of peak",
    }
    if is_text(tables, ablation):
        del columns["val_exact_match"]  # no text is
    rows = []
    for variant in tables.ablations[ablation].variants:
        mine = (tables.members["ablation"] == ablation) & (
            tables.members["variant"] == variant.name
        )
        statuses = tables.members.loc[mine, "status"].value_counts()
        cells = [variant.name, ", ".join(f"{n} {status}" for status, n in statuses.items())]
        for column in columns:
            found = tables.variant_estimate(ablation, variant.name, column)
            if found is None:
                cells.append("–")
            elif column == "parameters":
                cells.append(f"{found.mean:,.0f}")
            elif column == "flops":
                cells.append(f"{found.mean:.3g}")
            elif column == "utilisation":
                cells.append(plus_minus(scaled(found, 100)) + " %")
            else:
                cells.append(plus_minus(found))
        rows.append(tuple(cells))
    note = (
        "Mean ± half the 95 % interval over seeds; losses in nats per target, which"
        " in language modelling is a character. Accuracy is the share of targets that were the"
        " likeliest answer; all right, the share of examples of which every target was; of peak,"
        " the share of the operations per second that a matrix product reaches here by itself. A"
        " diverged run counts as a uniform guess in the validation loss and is left out"
        " elsewhere."
    )
    head = ("variant", "runs", *columns.values())
    there = [place for place in range(len(head)) if any(row[place] != "–" for row in rows)]
    shown = [tuple(row[place] for place in there) for row in rows]
    return HTML(table([head[place] for place in there], shown, note))


def how_it_was_made(results: Path, tables: Tables) -> HTML:
    """Corpus, versions, hardware, time: what a reader needs to judge and to repeat it."""
    study, runs = tables.study, tables.runs
    over = runs[runs["status"] != "unfinished"]
    lengths = ", ".join(f"{split} {n:,}" for split, n in study.corpus_lengths.items())

    def distinct(column: str) -> str:
        return ", ".join(sorted({str(value) for value in over[column].dropna()})) or "–"

    recipe, most = dataclasses.asdict(study.profile.recipe), over["peak_memory"].max()
    base = study.profile.base_model(study.vocab_size).relevant()
    rows = [
        ("profile", f"{study.profile_name}: {study.profile.purpose}"),
        ("corpus", f"{study.corpus_name}, characters: {lengths}; {study.vocab_size} distinct"),
        ("corpus hash", study.corpus_hash),
        ("uniform guess", f"{number(tables.uniform_loss)} nats per character"),
        ("unigram guess", f"{number(study.unigram_loss)} nats per character"),
        ("base network", ", ".join(f"{k}={v}" for k, v in base.items())),
        ("base recipe", ", ".join(f"{k}={v}" for k, v in recipe.items())),
        ("precision", distinct("recipe.precision")),
        ("device", distinct("device_name")),
        ("machine", distinct("hardware")),
        ("Python, torch, numpy", " / ".join(map(distinct, _VERSIONS))),
        ("git revision", distinct("git_revision")),
        ("data made", _dates(over)),
        ("time in workers", duration(float(over["wall_seconds"].fillna(0).sum()))),
        ("of it training", duration(float(over["train_seconds"].fillna(0).sum()))),
        ("of it probes", duration(float(over["probe_seconds"].fillna(0).sum()))),
        ("most memory of a run", "–" if pd.isna(most) else f"{most / 1e6:,.0f} MB"),
        ("time by the clock", _by_the_clock(tables.calls)),
    ]
    on_disk = len(list((results / "runs").glob("*"))) if (results / "runs").exists() else 0
    if on_disk > len(runs):
        rows.append(
            ("left out", f"{on_disk - len(runs)} runs on disk that this study does not ask for")
        )
    return HTML(table(("", ""), rows))


_VERSIONS = ("python_version", "torch_version", "numpy_version")


def failures(tables: Tables) -> HTML:
    """Every run that failed or diverged, with the reason, and how many are missing."""
    bad = tables.runs[tables.runs["status"].isin(["failed", "diverged"])]
    missing = tables.members[tables.members["status"].isin(["missing", "unfinished"])]
    parts = []
    if len(bad):
        rows = [
            (
                row["run_id"],
                f"{row['ablation']}/{row['variant']}",
                str(row["seed"]),
                row["status"],
                row["reason"],
            )
            for row in records(bad)
        ]
        parts.append(table(("run", "variant", "seed", "status", "reason"), rows))
    else:
        parts.append("<p>No run failed and none diverged.</p>")
    if len(missing):
        seeds: dict[str, list[str]] = {}
        for row in records(missing):
            seeds.setdefault(f"{row['ablation']}/{row['variant']}", []).append(str(row["seed"]))
        lacking = [(name, ", ".join(sorted(these))) for name, these in sorted(seeds.items())]
        parts.append("<p>Planned and not there:</p>" + table(("variant", "seeds"), lacking))
    else:
        parts.append("<p>No planned run is missing.</p>")
    return HTML("".join(parts))


def claims_of(results: Path, ablation: str | None = None) -> pd.DataFrame:
    """The table `claims`, whole or of one ablation."""
    claims = read_table(results, "claims")
    return claims if ablation is None else claims[claims["ablation"] == ablation]


def title(study: Study) -> str:
    """The page's title."""
    name = f"Which parts of a transformer matter? {study.corpus_name}, profile {study.profile_name}"
    return f"SMOKE TEST, numbers mean nothing: {name}" if study.profile_name == "smoke" else name


def _verdict_row(row: dict[str, Any], link: bool) -> str:
    said = html.escape(row["sentence"])
    if link:
        said = f'<a href="#{html.escape(row["ablation"])}">{said}</a>'
    badge = f'<span class="badge {row["verdict"].replace(" ", "-")}">{row["verdict"]}</span>'
    low, high = row["low"], row["high"]
    times = "×" if row["scale"] == "ratio" and row["effect"] is not None else ""
    interval = f"{number(low, low, high)} to {number(high, low, high)}" if low is not None else "–"
    cells = (
        f"{said}<br><small>{html.escape(row['said_by'])}</small>",
        badge,
        f"{times}{number(row['effect'], low, high)}",
        interval,
        f"{row['n']}/{row['planned']}" if row["scale"] != "exact" else "exact",
        p_text(row["p_holm"]),
        p_text(row["p_sign_flip"]),
    )
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _by_the_clock(calls: pd.DataFrame) -> str:
    """How long the calls took that trained, and how much of it the workers were at work."""
    if calls.empty:
        return "–"
    there = float((calls["seconds"] * calls["workers"]).sum())
    share = 100 * float(calls["wall_seconds"].sum()) / there
    workers = ", ".join(str(n) for n in sorted(calls["workers"].unique()))
    return (
        f"{duration(float(calls['seconds'].sum()))} until the last page was begun, with {workers}"
        f" workers, busy {share:.0f} % of it (calls that ran to their end)"
    )


def _dates(runs: pd.DataFrame) -> str:
    days = runs["started"].dropna().str.slice(0, 10)
    if days.empty:
        return "–"
    return days.min() if days.min() == days.max() else f"{days.min()} to {days.max()}"
