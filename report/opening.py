"""The page's opening: what the study is, and what it found, in a few computed sentences."""

from typing import Any

import pandas as pd
from IPython.display import HTML

from experiments.fingerprint import code_fingerprint
from experiments.study import Study
from report.claims import in_words
from report.markup import render
from report.tables import Tables
from report.text import counted, listed
from report.verdict import CONTRADICTED, SUPPORTED, VERDICTS

_FEW = 3


def opening(tables: Tables, claims: pd.DataFrame) -> HTML:
    """What the study is, how much of it is there, and the findings in sentences."""
    runs = tables.members.drop_duplicates("run_id")["status"].value_counts()
    lacking = int(runs.drop(labels=["done", "diverged"], errors="ignore").sum())
    counts = claims["verdict"].value_counts()
    told = listed([f"{counts[verdict]} {verdict}" for verdict in VERDICTS if verdict in counts])
    rows = in_words(claims)
    contradicted = [row for row in rows if row["verdict"] == CONTRADICTED]
    return HTML(
        render(
            "opening",
            smoke=tables.study.profile_name == "smoke",
            facts=_facts(tables),
            incomplete=bool(lacking),
            elsewhere=_of_other_code(tables.runs),
            told=f"Of {counted(len(claims), 'claim')}: {told}." if rows else "No claim is stated.",
            largest=_largest(rows),
            contradicted=contradicted,
        )
    )


def _of_other_code(runs: pd.DataFrame) -> str:
    """How many runs were made by other code than this; empty where none was."""
    code = runs["code"].dropna()
    other = int((code != code_fingerprint()).sum())
    return counted(other, "run") if other else ""


def _facts(tables: Tables) -> list[tuple[str, str]]:
    study, trained = tables.study, tables.runs[tables.runs["status"] != "unfinished"]
    runs = tables.members.drop_duplicates("run_id")["status"].value_counts()
    machines = trained["device_name"].dropna().unique()
    trials = int(tables.tuning["run_id"].nunique())
    return [
        ("corpus", study.corpus_name),
        ("profile", f"{study.profile_name}: {study.profile.purpose}"),
        ("hardware", listed(sorted(map(str, machines))) or "–"),
        (
            "runs",
            listed([counted(int(n), "run") + f" {status}" for status, n in runs.items() if n]),
        ),
        ("runs that chose learning rates", f"{trials:,}"),
        ("failed", counted(int(runs.get("failed", 0)), "run")),
        ("seeds", f"{tables.complete_seeds()} complete of {study.seeds} planned"),
        ("data made", dates(trained)),
    ]


def _largest(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The supported claims with the largest effects, of those that can be set side by side."""
    alike = [
        row
        for row in rows
        if row["verdict"] == SUPPORTED
        and row["scale"] == "difference"
        and row["unit"] == "nats per character"
        and row["effect"] > row["margin"]
    ]
    return sorted(alike, key=lambda row: -row["effect"])[:_FEW]


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
