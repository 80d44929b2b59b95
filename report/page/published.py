"""Comparison of this study with the published study of the same profile."""

import math
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
from IPython.display import HTML

from experiments.metrics import TIMED
from experiments.recipe import SPLITS
from experiments.records.collect import read_table
from experiments.records.study import MANIFEST, Study
from report.html import details, join_html, paragraph, table
from report.page.claims import claims_of
from report.study.effects import loss_column, variant_estimate
from report.study.tables import Tables, records
from report.verdicts.stats import Estimate
from report.verdicts.text import format_estimate, plural

UNCHANGED, CHANGED, CHANGED_TIMING = "unchanged", "changed", "changed (timing)"
IDENTICAL, WITHIN, OUTSIDE = "identical", "within seed noise", "outside seed noise"
NO_INTERVAL = "different, no interval available"

# Tables, and their columns, that must not depend on the machine. Without columns: all of them.
_REPRODUCIBLE = {
    "runs": [
        *("run_id", "status", "steps", "parameters"),
        *(f"{split}_{name}" for split in SPLITS for name in ("loss", "accuracy", "exact_match")),
    ],
    "curves": ["run_id", "step", "split", "loss", "learning_rate", "gradient_norm"],
    **dict.fromkeys(("positions", "lengths", "layers", "heads", "pruning", "samples", "measures")),
}


def against_reference(tables: Tables) -> HTML:
    """Runs, validation losses and verdicts of this study next to the published ones.

    Raises:
        UserError: a published table is missing, damaged, or of another version.
    """
    folder = tables.results.parent / "reference" / tables.study.profile_name
    if (tables.results / MANIFEST).exists():
        return join_html(paragraph("These are the published results."))
    if not (folder / "study.json").exists():
        name = tables.study.profile_name
        return join_html(paragraph(f"There are no published results for the profile {name}."))
    if Study.load(folder).corpus_hash != tables.study.corpus_hash:
        text = "The published results use another corpus and cannot be compared with this study."
        return join_html(paragraph(text))
    published = Tables.load(folder)
    losses, verdicts = _losses(tables, published), _verdicts(tables, folder)
    identical, common = identical_runs(tables, published)
    outside = sum(comparison == OUTSIDE for *_, comparison in losses)
    changes = Counter(comparison for *_, comparison in verdicts)
    text = (
        f"Of {plural(common, 'run')} in both studies, {identical} gave bit-for-bit identical"
        " results, including curves and probes but not timings."
        f" Of {plural(len(losses), 'variant')}, {outside} differ by more than seed noise."
        f" Of {plural(len(verdicts), 'verdict')}, {changes[CHANGED_TIMING]} about timings and"
        f" {changes[CHANGED]} about other metrics changed."
    )
    loss_head = ("variant", "validation loss here", "published", "comparison")
    verdict_head = ("claim", "verdict here", "published", "comparison")
    return join_html(
        paragraph(text),
        details(
            "Comparison of all verdicts", table(verdict_head, verdicts, name="Verdicts compared")
        ),
        details(
            "Comparison of all validation losses",
            table(loss_head, losses, name="Validation losses compared"),
        ),
    )


def _losses(tables: Tables, published: Tables) -> list[tuple[str, str, str, str]]:
    """Variant, validation loss here and published, and their comparison."""
    rows = []
    for name in tables.present():
        loss, budget = loss_column(tables, name).name, tables.shown_budget(name)
        for variant in tables.ablations[name].variants:
            here = variant_estimate(tables.at(budget), name, variant.name, loss)
            there = variant_estimate(published.at(budget), name, variant.name, loss)
            if here and there:
                numbers = format_estimate(here), format_estimate(there)
                rows.append((f"{name}/{variant.name}", *numbers, compare_means(here, there)))
    return rows


def _verdicts(tables: Tables, folder: Path) -> list[tuple[str, str, str, str]]:
    """Claim, verdict here and published, and their comparison. Changed verdicts come first."""
    published = {_place(row): row["verdict"] for row in records(claims_of(folder))}
    claims = [claim for ablation in tables.ablations.values() for claim in ablation.claims]
    timed = {claim.id for claim in claims if claim.metric in TIMED}
    rows = []
    for row in records(claims_of(tables.results)):
        here, there = row["verdict"], published.get(_place(row))
        if there is not None:
            changed = CHANGED_TIMING if row["claim"] in timed else CHANGED
            rows.append((row["sentence"], here, there, UNCHANGED if here == there else changed))
    return sorted(rows, key=lambda row: row[-1] == UNCHANGED)


def _place(row: dict[str, Any]) -> tuple[str, int | None]:
    """What a row of the table `claims` is about: a claim at a budget."""
    return row["claim"], row["budget"]


def identical_runs(tables: Tables, published: Tables) -> tuple[int, int]:
    """Number of runs that are bit-for-bit identical in two studies, and number in both studies."""
    common = set(tables.runs["run_id"]) & set(published.runs["run_id"])
    different: set[str] = set()
    for name, columns in _REPRODUCIBLE.items():
        here = _rows_by_run(tables.results, name, columns, common)
        there = _rows_by_run(published.results, name, columns, common)
        different |= {run_id for run_id in common if here.get(run_id) != there.get(run_id)}
    return len(common - different), len(common)


def _rows_by_run(
    results: Path, name: str, columns: list[str] | None, runs: set[str]
) -> dict[str, list[tuple[str, ...]]]:
    """Rows of a table by run. Values are compared as `repr`, so that nulls are equal."""
    table = read_table(results, name)
    table = table.loc[table["run_id"].isin(runs), columns or list(table.columns)]
    values = table.drop(columns="run_id").map(repr)
    rows = pd.Series(list(values.itertuples(index=False, name=None)), index=table["run_id"])
    return {str(run_id): list(of_run) for run_id, of_run in rows.groupby(level=0)}


def compare_means(here: Estimate, there: Estimate) -> str:
    """Comparison of two independent means.

    The means differ by more than seed noise if their distance exceeds the root of the sum of
    squares of the half widths of their 95 % intervals.
    """
    if here == there:
        return IDENTICAL
    intervals = [(mean.low, mean.high) for mean in (here, there)]
    half_widths = [
        (high - low) / 2 for low, high in intervals if low is not None and high is not None
    ]
    if not half_widths:
        return NO_INTERVAL
    return WITHIN if abs(here.mean - there.mean) <= math.hypot(*half_widths) else OUTSIDE
