"""Opening of the page: what was removed from what, what it costs, and the outcomes counted."""

from typing import Any

import pandas as pd
from IPython.display import HTML

from experiments.identity import code_fingerprint
from experiments.records.run_folder import FINISHED, Status
from experiments.records.study import Study
from report.html import render, table
from report.page.budgets import gaps_within_margin, progress, tuning_share
from report.page.claims import deepest, verdict_summary, wrong_decisions
from report.page.removals import in_sentences, removals_figure, removals_of
from report.study.tables import Tables
from report.verdicts.outcomes import Verdict
from report.verdicts.stats import LEVEL
from report.verdicts.text import join_words, plural

_MOST_EFFECTS = 3


def opening(tables: Tables, claims: pd.DataFrame) -> HTML:
    """Warnings, what was removed from what, and the number of claims by outcome."""
    rows = deepest(claims)
    unfinished = _status_counts(tables).drop(labels=list(FINISHED), errors="ignore")
    removals = removals_of(tables, claims)
    return HTML(
        render(
            "opening",
            smoke=tables.study.profile_name == "smoke",
            incomplete=bool(unfinished.sum()),
            outdated=_outdated(tables.runs),
            repeated=_repeated(tables.verified),
            absent=[name for name in tables.ablations if name not in tables.present()],
            sentences=in_sentences(tables, removals),
            removals=removals_figure(removals).data,
            tiles=tiles(rows),
            total=len(rows),
            verdicts=f"{verdict_summary(claims)}." if len(rows) else "There are no claims.",
            wrong=wrong_decisions(claims),
        )
    )


def glossary() -> HTML:
    """The words that the page uses for its verdicts."""
    return HTML(render("glossary", level=LEVEL, study=True))


def tiles(rows: pd.DataFrame) -> list[tuple[str, int, list[str]]]:
    """Each outcome in words, with the number of claims that have it and with their verdicts. A
    fragile verdict leaves its claim open.

    rows: one row of the table "claims" for each claim.
    """
    fragile = rows["fragile"].fillna(False).astype(bool)
    outcomes = rows["verdict"].mask(fragile, str(Verdict.UNDECIDED))
    named = {
        "supported": [Verdict.SUPPORTED],
        "negligible": [Verdict.NEGLIGIBLE],
        "reversed": [Verdict.REVERSED],
        "open": [Verdict.UNDECIDED, Verdict.NOT_TESTABLE, Verdict.NOT_RUN],
    }
    return [
        (words, int(outcomes.isin(verdicts).sum()), [str(v) for v in verdicts])
        for words, verdicts in named.items()
    ]


def study_facts(tables: Tables) -> HTML:
    """The state of the study: its runs, budgets, seeds and tuning."""
    return HTML(table(("fact", "value"), _facts(tables)))


def _outdated(runs: pd.DataFrame) -> str:
    """Number of runs made by other code than the current, "2 of 9 runs were made"; empty for
    none.
    """
    code = runs["code"].dropna()
    n = int((code != code_fingerprint()).sum())
    if not n:
        return ""
    if n == len(runs):
        return f"All {plural(n, 'run')} were made" if n > 1 else "The run was made"
    return f"{n:,} of {plural(len(runs), 'run')} {'was' if n == 1 else 'were'} made"


def _repeated(verified: pd.DataFrame) -> str:
    """How many runs of a sample the present code repeats bit for bit; empty without a sample."""
    sample = verified[verified["code"] == code_fingerprint()]
    if sample.empty:
        return ""
    same = int(sample["same"].sum())
    text = (
        f"{same} of {plural(len(sample), 'sampled run')} repeat bit for bit with the present code"
    )
    # Rounding differs between processors and versions.
    other = int((~sample["same"].astype(bool) & (sample["same_machine"] == False)).sum())  # noqa: E712  # null
    if other:
        verb = "does" if other == 1 else "do"
        text += f"; {other} from another machine, or from other versions, {verb} not"
    return text


def _status_counts(tables: Tables) -> "pd.Series[int]":
    """Number of planned runs by status. Runs shared between ablations count once."""
    run_ids = tables.members["run_id"]  # null for a run whose learning rate is not chosen yet
    repeated = run_ids.duplicated() & run_ids.notna()
    return tables.members.loc[~repeated, "status"].value_counts()


def _facts(tables: Tables) -> list[tuple[str, str]]:
    study, counts = tables.study, _status_counts(tables)
    trained = tables.runs[tables.runs["status"] != Status.UNFINISHED]
    machines = join_words(sorted(map(str, trained["device_name"].dropna().unique())))
    compared = [f"{int(n):,} {status}" for status, n in counts.items() if n]
    runs = f"{plural(int(counts.sum()), 'compared run')}: {join_words(compared)}"
    return [
        ("corpus", study.corpus_name),
        ("profile", f"{study.profile_name}: {study.profile.purpose}"),
        ("hardware", machines or "–"),
        ("runs", runs),
        *progress(tables),
        ("learning-rate search", tuning_share(tables)),
        ("arms that end within the margin of their trials", gaps_within_margin(tables)),
        ("failed", plural(int(counts.get(Status.FAILED, 0)), "run")),
        ("seeds", _seeds(tables)),
        ("run dates", run_dates(trained)),
    ]


def _seeds(tables: Tables) -> str:
    """The number of complete seeds, the number of the look at the claims from the second on, and
    the number of claims with seeds of their own.
    """
    study = tables.study
    look = f", look {study.looks}" if study.looks > 1 else ""
    numbers = sorted({n for of_claim in study.added.values() for n in of_claim.values()})
    added = ""
    if numbers:
        added = f"; {' or '.join(map(str, numbers))} for {plural(len(study.added), 'claim')}"
    return f"{tables.complete_seeds()} complete of {study.seeds} planned{look}{added}"


def largest_effects(
    rows: list[dict[str, Any]], verdict: Verdict, most: int = _MOST_EFFECTS
) -> list[dict[str, Any]]:
    """The claims of a verdict with the largest effects beyond their margins, none fragile.

    Only differences in nats per character are considered, because effects in other units cannot be
    ranked against them.

    Args:
        rows: rows of `with_texts`.
        verdict: verdict of the claims.
        most: largest number of claims.
    """
    comparable = [
        row
        for row in rows
        if row["verdict"] == verdict
        and not row["fragile"]
        and row["scale"] == "difference"
        and row["unit"] == "nats per character"
        and abs(row["effect"]) > row["margin"]
    ]
    return sorted(comparable, key=lambda row: -abs(row["effect"]))[:most]


def run_dates(runs: pd.DataFrame) -> str:
    """Day on which the runs were started, or the first and the last day."""
    days = runs["started"].dropna().str.slice(0, 10)
    if days.empty:
        return "–"
    return days.min() if days.min() == days.max() else f"{days.min()} to {days.max()}"


def title(study: Study) -> str:
    """Title of the page."""
    name = "Which parts of a transformer matter?"
    return f"SMOKE TEST, numbers mean nothing: {name}" if study.profile_name == "smoke" else name
