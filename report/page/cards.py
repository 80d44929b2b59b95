"""Claim cards: each claim with its verdict at every budget, its effect and what decides it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from IPython.display import HTML

from experiments.claim import Claim
from report.html import EMPTY, render
from report.page.claims import deepest, with_texts
from report.sources import links
from report.study.reasons import MEASURED_ON
from report.study.tables import Tables
from report.verdicts.outcomes import DECIDED, MARKS, Verdict

_WIDTH = 160  # of a strip, in its own units
_ROOM = 1.12  # of a strip's scale beyond the largest number on it


@dataclass(frozen=True)
class Strip:
    """The effect of a claim with its interval and its margin, as places on a line.

    dot: place of the effect.
    low, high: ends of its interval; None without one.
    band: ends of the margin.
    zero: place of no effect.
    """

    dot: float
    low: float | None
    high: float | None
    band: tuple[float, float]
    zero: float


def cards(tables: Tables, claims: pd.DataFrame) -> HTML:
    """A card for each claim of an ablation.

    Args:
        tables: the tables of the study.
        claims: rows of the table "claims" of one ablation.
    """
    return claim_cards(claims, several=len(tables.budgets) > 1)


def claim_cards(
    claims: pd.DataFrame, *, several: bool, stated: Mapping[str, Claim] | None = None
) -> HTML:
    """A card for each claim.

    Args:
        claims: rows as those of the table "claims".
        several: whether claims are judged at several budgets.
        stated: claims that are about anybody's runs, by id; by default those of all ablations,
            whose cards name the command that trains them again.
    """
    if claims.empty:
        return EMPTY
    last = {row["claim"]: row for row in with_texts(deepest(claims), stated)}
    shown = []
    for claim, of_claim in claims.groupby("claim", sort=False):
        rows = with_texts(of_claim, stated)
        strips = strips_of(rows)
        shown.append(
            {
                **last[str(claim)],
                "rows": [row | {"strip": strip} for row, strip in zip(rows, strips, strict=True)],
                "strip": strips[[row["budget"] for row in rows].index(last[str(claim)]["budget"])],
                "links": links(f"{rows[0]['said_by']}; {rows[0]['published']}"),
                "restated": rows[0]["restated"],
            }
        )
    marks = {verdict.value: mark for verdict, (mark, _) in MARKS.items()}
    return HTML(
        render(
            "cards",
            claims=shown,
            marks=marks,
            several=several,
            rerun=stated is None,
            width=_WIDTH,
        )
    )


def strips_of(rows: list[dict[str, Any]]) -> list[Strip | None]:
    """A strip for each row of a claim, all on the same scale; None for a row without an effect."""
    values = [
        _on_line(row, row[name])
        for row in rows
        for name in ("effect", "low", "high")
        if row["effect"] is not None and row[name] is not None
    ]
    if not values:
        return [None] * len(rows)
    counted = rows[0]["counted"]
    margin = _on_line(rows[0], rows[0]["margin"], margin=True)
    reach = 1.0 if counted else _ROOM * max(margin, *map(abs, values))
    left = 0.0 if counted else -reach

    def place(value: float) -> float:
        return round(_WIDTH * (value - left) / (reach - left), 1)

    result: list[Strip | None] = []
    for row in rows:
        if row["effect"] is None:
            result.append(None)
            continue
        low, high = (
            None if row[end] is None else place(_on_line(row, row[end])) for end in ("low", "high")
        )
        band = (place(0.0 if counted else -margin), place(margin))
        result.append(Strip(place(_on_line(row, row["effect"])), low, high, band, place(0.0)))
    return result


def _on_line(row: dict[str, Any], value: float, margin: bool = False) -> float:
    """A number in the unit of a strip: the logarithm of a ratio, any other number as it is."""
    if row["scale"] != "ratio":
        return value
    return math.log1p(value) if margin else math.log(value)


def answer(claims: pd.DataFrame, stated: Mapping[str, Claim] | None = None) -> HTML:
    """One bold sentence with the verdicts on the claims of an ablation, at the deepest budget at
    which each is testable.

    stated: the claims by id; by default those of all ablations.
    """
    rows = with_texts(deepest(claims), stated)
    if not rows:
        return EMPTY
    decided = [row for row in rows if row["verdict"] in DECIDED]
    decided.sort(key=lambda row: row["scale"] == "exact")  # what is computed without runs is last
    told = decided[:_MOST_TOLD]
    counts = {
        str(verdict): sum(row["verdict"] == verdict for row in rows)
        for verdict in (Verdict.UNDECIDED, Verdict.NOT_TESTABLE, Verdict.NOT_RUN)
    }
    texts = [row | {"said": row["sentence"].rstrip("."), "words": _words(row)} for row in told]
    further = len(decided) - len(told)
    return HTML(render("answer", rows=texts, further=further, counts=counts, total=len(rows)))


_MOST_TOLD = 3


def _words(row: dict[str, Any]) -> str:
    """The verdict on a decided claim, with its effect, in words."""
    unit = "" if row["scale"] == "ratio" else row["unit"]
    effect = "" if row["effect_text"] == "–" else f"{row['effect_text']} {unit}".strip()
    if row["verdict"] == Verdict.NEGLIGIBLE:
        margin = f" of {row['margin_text']}" if row["margin_text"] else ""
        words = f"no, {effect}" + ("" if row["counted"] else f" is within the margin{margin}")
    elif row["verdict"] == Verdict.REVERSED:
        equality = row["scale"] == "exact" or row["claims_equality"]
        words = f"no, {effect or row['why']}" if equality else f"no, the reverse, {effect}"
    else:
        words = f"yes, {effect}" if effect else "yes"
    machine = row["why"].partition(MEASURED_ON)[2]
    words += f" on {machine}" if machine else ""
    return words + (", but fragile" if row["fragile"] else "")


def reason(tables: Tables, ablation: str) -> HTML:
    """The reason that an ablation's file gives for what it expects, with the equation; empty if the
    file gives no reason.
    """
    stated = tables.ablations[ablation]
    if not stated.why:
        return EMPTY
    return HTML(render("reason", why=stated.why, equation=stated.equation))
