"""This study beside the published one of the same profile, where there is one."""

import math
from collections import Counter
from pathlib import Path

import pandas as pd
from IPython.display import HTML

from experiments.data.corpus import SPLITS
from experiments.metrics import TIMED
from experiments.records.collect import read_table
from experiments.records.study import MANIFEST, Study
from report.html import details, join_html, render, table
from report.page.claims import claims_of
from report.verdicts.stats import Estimate
from report.verdicts.tables import Tables, records
from report.verdicts.text import format_estimate, plural


def against_reference(tables: Tables) -> HTML:
    """Each run, each variant's validation loss and each verdict beside the published ones.

    Raises:
        UserError: a published table is missing, damaged, or of another version.
    """
    if (tables.results / MANIFEST).exists():
        return HTML(render("paragraph", text="These are the published results themselves."))
    folder = tables.results.parent / "reference" / tables.study.profile_name
    if not (folder / "study.json").exists():
        text = f"No reference results are published for the profile {tables.study.profile_name}."
        return HTML(render("paragraph", text=text))
    if Study.load(folder).corpus_hash != tables.study.corpus_hash:
        text = "The published reference results are of another corpus, so nothing is compared."
        return HTML(render("paragraph", text=text))
    theirs = Tables.load(folder)
    rows = []
    for name in tables.present():
        for variant in tables.ablations[name].variants:
            ours = tables.variant_estimate(name, variant.name, "score")
            published = theirs.variant_estimate(name, variant.name, "score")
            if ours and published:
                told = compared(ours, published)
                rows.append(
                    (f"{name}/{variant.name}", *map(format_estimate, (ours, published)), told)
                )
    verdicts = _verdicts(tables, folder)
    changes = Counter(row[-1] for row in verdicts)
    changed = changes[CHANGED] + changes[CHANGED_TIME]
    same, both = bit_for_bit(tables, theirs)
    told = (
        f"Of {plural(both, 'run')} that both studies have, {same} came out the same bit for bit,"
        " curves and all that probes saw, times aside."
        f" Of {plural(len(rows), 'variant')}, {sum(row[-1] == OUTSIDE for row in rows)} ended"
        f" outside the noise of seeds. Of {plural(len(verdicts), 'verdict')}, {changed} changed"
        + (f", {changes[CHANGED_TIME]} of them about time." if changed else ".")
    )
    head = ("variant", "validation loss here", "published", "the two are")
    return join_html(
        render("paragraph", text=told),
        details(
            "Every verdict beside the published one",
            table(
                ("claim", "verdict here", "published", "it is"),
                verdicts,
                name="Verdicts beside the published ones",
            ),
        ),
        details(
            "Every validation loss beside the published one",
            table(head, rows, name="Validation losses beside the published ones"),
        ),
    )


UNCHANGED, CHANGED, CHANGED_TIME = "unchanged", "changed", "changed, and about time"


def _verdicts(tables: Tables, folder: Path) -> list[tuple[str, str, str, str]]:
    """Each claim, its verdict here and there, and whether it changed; those that did come first."""
    known = {row["claim"]: row["verdict"] for row in records(claims_of(folder))}
    claims = [claim for ablation in tables.ablations.values() for claim in ablation.claims]
    timed = {claim.id for claim in claims if claim.metric in TIMED}
    rows = []
    for row in records(claims_of(tables.results)):
        name, ours = row["claim"], row["verdict"]
        if name in known:
            changed = CHANGED_TIME if name in timed else CHANGED
            how = UNCHANGED if ours == known[name] else changed
            rows.append((row["sentence"], ours, known[name], how))
    return sorted(rows, key=lambda row: row[-1] == UNCHANGED)


SAME, INSIDE, OUTSIDE = "the same", "inside seed noise", "outside seed noise"
NO_INTERVAL = "not the same, and no interval to judge by"

# What runs measured of networks, and not of the machine.
_OF_RUNS = {
    "runs": ["run_id", "status", "steps", "parameters"]
    + [f"{split}_{what}" for split in SPLITS for what in ("loss", "accuracy", "exact_match")],
    "curves": ["run_id", "step", "split", "loss", "learning_rate", "gradient_norm"],
    **dict.fromkeys(("positions", "lengths", "layers", "heads", "pruning", "samples", "measures")),
}


def bit_for_bit(ours: Tables, theirs: Tables) -> tuple[int, int]:
    """How many runs came out the same to the last bit in two studies, and how many are in both."""
    both = set(ours.runs["run_id"]) & set(theirs.runs["run_id"])
    differing: set[str] = set()
    for name, columns in _OF_RUNS.items():
        found = [_by_run(tables.results, name, columns, both) for tables in (ours, theirs)]
        differing |= {run_id for run_id in both if found[0].get(run_id) != found[1].get(run_id)}
    return len(both - differing), len(both)


def _by_run(
    results: Path, name: str, columns: list[str] | None, runs: set[str]
) -> dict[str, list[tuple[str, ...]]]:
    """The rows of a table by run, in words: so that nulls are equal, and bits that are not show."""
    frame = read_table(results, name)
    frame = frame.loc[frame["run_id"].isin(runs), columns or list(frame.columns)]
    words = frame.drop(columns="run_id").map(repr)
    rows = pd.Series(list(words.itertuples(index=False, name=None)), index=frame["run_id"])
    return {str(run_id): list(its) for run_id, its in rows.groupby(level=0)}


def compared(ours: Estimate, theirs: Estimate) -> str:
    """Whether two means differ by more than their 95 % intervals, put together, allow: by more than
    the root of the sum of their halves' squares, as of two independent means.
    """
    if ours == theirs:
        return SAME
    ends = [(one.low, one.high) for one in (ours, theirs)]
    halves = [(high - low) / 2 for low, high in ends if low is not None and high is not None]
    if not halves:
        return NO_INTERVAL
    return INSIDE if abs(ours.mean - theirs.mean) <= math.hypot(*halves) else OUTSIDE
