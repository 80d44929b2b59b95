"""The page's opening: what the study is, and what it found, in a few computed sentences."""

from typing import Any

import pandas as pd
from IPython.display import HTML

from experiments.fingerprint import code_fingerprint
from experiments.records.run_folder import FINISHED
from experiments.records.study import Study
from report.html import render
from report.page.claims import in_words
from report.verdicts.judge import CONTRADICTED, SUPPORTED, VERDICTS
from report.verdicts.tables import Tables
from report.verdicts.text import join_words, plural

_FEW = 3


def opening(tables: Tables, claims: pd.DataFrame) -> HTML:
    """What the study is, how much of it is there, and the findings in sentences."""
    runs = _asked_for(tables)
    lacking = int(runs.drop(labels=list(FINISHED), errors="ignore").sum())
    counts = claims["verdict"].value_counts()
    told = join_words([f"{counts[verdict]} {verdict}" for verdict in VERDICTS if verdict in counts])
    rows = in_words(claims)
    contradicted = [row for row in rows if row["verdict"] == CONTRADICTED]
    return HTML(
        render(
            "opening",
            smoke=tables.study.profile_name == "smoke",
            facts=_facts(tables),
            incomplete=bool(lacking),
            elsewhere=_of_other_code(tables.runs),
            told=f"Of {plural(len(claims), 'claim')}: {told}." if rows else "No claim is stated.",
            largest=largest(rows),
            contradicted=contradicted,
            sections=tables.present(),
        )
    )


def _of_other_code(runs: pd.DataFrame) -> str:
    """Says how many runs were made by other code than this; empty where none was."""
    code = runs["code"].dropna()
    other = int((code != code_fingerprint()).sum())
    if not other:
        return ""
    return f"{plural(other, 'run')} {'was' if other == 1 else 'were'} made by other code"


def _asked_for(tables: Tables) -> "pd.Series[int]":
    """How many of the runs that are compared stand how; one that waits for its rate has no id."""
    repeated = tables.members["run_id"].duplicated() & tables.members["run_id"].notna()
    return tables.members.loc[~repeated, "status"].value_counts()


def _facts(tables: Tables) -> list[tuple[str, str]]:
    study, trained = tables.study, tables.runs[tables.runs["status"] != "unfinished"]
    runs = _asked_for(tables)
    machines = trained["device_name"].dropna().unique()
    trials = int(tables.tuning["run_id"].nunique())
    return [
        ("corpus", study.corpus_name),
        ("profile", f"{study.profile_name}: {study.profile.purpose}"),
        ("hardware", join_words(sorted(map(str, machines))) or "–"),
        (
            "runs",
            join_words([plural(int(n), "run") + f" {status}" for status, n in runs.items() if n]),
        ),
        ("runs that chose learning rates", f"{trials:,}"),
        ("failed", plural(int(runs.get("failed", 0)), "run")),
        ("seeds", f"{tables.complete_seeds()} complete of {study.seeds} planned"),
        ("data made", dates(trained)),
    ]


def largest(rows: list[dict[str, Any]], verdict: str = SUPPORTED) -> list[dict[str, Any]]:
    """The claims of a verdict with the largest effects, of those that can be set side by side: of
    differences in nats per character. A row has what the table `claims` has, and its words.
    """
    alike = [
        row
        for row in rows
        if row["verdict"] == verdict
        and row["scale"] == "difference"
        and row["unit"] == "nats per character"
        and abs(row["effect"]) > row["margin"]
    ]
    return sorted(alike, key=lambda row: -abs(row["effect"]))[:_FEW]


def dates(runs: pd.DataFrame) -> str:
    """The day, or the days from first to last, on which runs began."""
    days = runs["started"].dropna().str.slice(0, 10)
    if days.empty:
        return "–"
    return days.min() if days.min() == days.max() else f"{days.min()} to {days.max()}"


def title(study: Study) -> str:
    """The page's title."""
    name = f"Which parts of a transformer matter? {study.corpus_name}, profile {study.profile_name}"
    return f"SMOKE TEST, numbers mean nothing: {name}" if study.profile_name == "smoke" else name
