"""This study beside the published one of the same profile, where there is one."""

import math

from IPython.display import HTML

from experiments.study import Study
from report.claims import claims_of
from report.markup import render, shown, table
from report.stats import Estimate
from report.tables import Tables, records
from report.text import counted, plus_minus


def against_reference(tables: Tables) -> HTML:
    """Each variant's validation loss beside the published one, and each verdict, same or not."""
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
                rows.append((f"{name}/{variant.name}", *map(plus_minus, (ours, published)), told))
    known = {row["claim"]: row["verdict"] for row in records(claims_of(folder))}
    changed = [
        (row["sentence"], row["verdict"], known[row["claim"]])
        for row in records(claims_of(tables.results))
        if row["claim"] in known and known[row["claim"]] != row["verdict"]
    ]
    outside = sum(row[-1] == OUTSIDE for row in rows)
    told = (
        f"Of {counted(len(rows), 'variant')}, {outside} ended outside the noise of seeds;"
        f" {counted(len(changed), 'verdict')} changed."
    )
    head = ("variant", "validation loss here", "published", "the two are")
    return shown(
        render("paragraph", text=told),
        table(("claim", "verdict here", "published"), changed) if changed else "",
        table(head, rows, name="Validation losses beside the published ones"),
    )


SAME, INSIDE, OUTSIDE = "the same", "inside seed noise", "outside seed noise"


def compared(ours: Estimate, theirs: Estimate) -> str:
    """Whether two means differ by more than their intervals, put together, allow."""
    if ours == theirs:
        return SAME
    ends = [(one.low, one.high) for one in (ours, theirs)]
    halves = [(high - low) / 2 for low, high in ends if low is not None and high is not None]
    return INSIDE if abs(ours.mean - theirs.mean) <= math.hypot(*halves) else OUTSIDE
