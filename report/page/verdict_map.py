"""Verdict map: the verdict on every claim about training at every training budget."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import HTML
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from experiments.claim import Claim
from report.html import EMPTY, render
from report.page.budgets import budget_head
from report.page.claims import with_texts
from report.page.second_studies import ALIKE, OTHERWISE, compared_marks
from report.study.tables import Tables
from report.verdicts.outcomes import DECIDED, MARKS, Verdict

_TESTABLE = [Verdict.SUPPORTED, Verdict.NEGLIGIBLE, Verdict.REVERSED, Verdict.UNDECIDED]


class Course(StrEnum):
    """Course of a claim: its verdicts from the lowest training budget to the deepest."""

    ALWAYS = "supported at every budget"
    APPEARS = "supported at the deepest budget, but not at the lowest"
    RETURNS = "supported at the lowest budget and at the deepest, but not between"
    DISAPPEARS = "supported before, but negligible or reversed at the deepest budget"
    NEVER = "negligible or reversed at the deepest budget, and never supported"
    OPEN = "undecided or not testable at the deepest budget"


# Headings of the lists of claims, with the courses that each list holds.
COURSES = {
    "Holds at every budget": (Course.ALWAYS,),
    "Supported at the deepest budget, not at the lowest": (Course.APPEARS,),
    "Negligible or reversed at the deepest budget": (Course.NEVER, Course.DISAPPEARS),
}


@dataclass(frozen=True)
class MapRow:
    """A claim with its verdict at each budget.

    cells: the row of `with_texts` at each budget of the map, with the mark of `compared_marks` as
        "second"; None where the claim has none.
    """

    claim: str
    ablation: str
    sentence: str
    cells: list[dict[str, Any] | None]

    @property
    def judged(self) -> list[Verdict]:
        """The verdicts at the budgets at which the claim was judged. A fragile one is undecided."""
        verdicts = [
            Verdict.UNDECIDED if cell.get("fragile") else Verdict(cell["verdict"])
            for cell in self.cells
            if cell
        ]
        return [verdict for verdict in verdicts if verdict != Verdict.NOT_RUN]

    @property
    def last(self) -> Verdict:
        """The claim's verdict at the deepest budget at which it is testable."""
        testable = [verdict for verdict in self.judged if verdict in _TESTABLE]
        return (testable or self.judged or [Verdict.NOT_RUN])[-1]

    @property
    def rank(self) -> int:
        """Place of the claim's last verdict in the order of `MARKS`."""
        return list(MARKS).index(self.last)

    @property
    def course(self) -> Course:
        """Course of the claim's verdicts over the training budgets."""
        if not self.judged or self.judged[-1] in (Verdict.UNDECIDED, Verdict.NOT_TESTABLE):
            return Course.OPEN
        first, last = self.judged[0], self.judged[-1]
        if last != Verdict.SUPPORTED:
            return Course.DISAPPEARS if Verdict.SUPPORTED in self.judged else Course.NEVER
        if first != Verdict.SUPPORTED:
            return Course.APPEARS
        return Course.ALWAYS if {*self.judged} == {first} else Course.RETURNS


def map_rows(
    claims: pd.DataFrame,
    second: pd.DataFrame | None = None,
    stated: Mapping[str, Claim] | None = None,
) -> tuple[list[float], list[MapRow]]:
    """The budgets, and the claims that are judged at a budget, in the order of `MARKS` by their
    verdicts at the deepest budget, and of the same verdict those judged at the most budgets first.

    Args:
        claims: the table "claims".
        second: the table "second", if the rows are to have its marks.
        stated: the claims by id; by default those of all ablations.
    """
    compared = {} if second is None else compared_marks(claims, second)
    trained = claims.dropna(subset=["budget"])
    budgets = sorted({_whole(budget) for budget in trained["budget"]})
    by_claim: dict[str, dict[float, dict[str, Any]]] = {}
    for row in with_texts(trained, stated):
        place = str(row["claim"]), _whole(row["budget"])
        by_claim.setdefault(place[0], {})[place[1]] = row | {"second": compared.get(place, "")}
    rows = []
    for claim, cells in by_claim.items():
        first = next(iter(cells.values()))
        at_budgets = [cells.get(budget) for budget in budgets]
        rows.append(MapRow(claim, first["ablation"], first["sentence"], at_budgets))
    return budgets, sorted(rows, key=lambda row: (row.rank, -len(row.judged)))


def _whole(budget: float) -> float:
    """The budget, as a whole number if it is one."""
    return int(budget) if budget == int(budget) else budget


def at_several_budgets(rows: list[MapRow]) -> list[MapRow]:
    """The claims that are judged at more than one budget."""
    return [row for row in rows if sum(cell is not None for cell in row.cells) > 1]


def _without_training(claims: pd.DataFrame) -> list[MapRow]:
    """The claims that are judged without training, each with one cell."""
    rows = [row | {"second": ""} for row in with_texts(claims[claims["budget"].isna()])]
    of_claims = [MapRow(row["claim"], row["ablation"], row["sentence"], [row]) for row in rows]
    return sorted(of_claims, key=lambda row: row.rank)


def verdict_map(tables: Tables, claims: pd.DataFrame, second: pd.DataFrame) -> HTML:
    """The map as a table, with the claims that need no training at its end; empty without claims.

    Args:
        tables: the tables of the study.
        claims: the table "claims".
        second: the table "second".
    """
    budgets, rows = map_rows(claims, second)
    heads = [budget_head(tables, int(budget)) for budget in budgets]
    return _map(heads, rows, _without_training(claims), tables.present())


def map_of_runs(claims: pd.DataFrame, stated: Mapping[str, Claim]) -> HTML:
    """The map of claims about anybody's runs.

    Args:
        claims: rows as those of the table "claims", all with the ablation "".
        stated: the claims by id.
    """
    budgets, rows = map_rows(claims, stated=stated)
    return _map([(f"budget {budget}", "") for budget in budgets], rows, [], [""])


def _map(
    heads: list[tuple[str, str]], rows: list[MapRow], untrained: list[MapRow], present: list[str]
) -> HTML:
    """The map as a table.

    Args:
        heads: the name and the size of each budget.
        rows: the claims that are judged at budgets.
        untrained: the claims that are judged without training.
        present: the ablations with a section, whose claims are links.
    """
    several = at_several_budgets(rows)
    courses = [
        (text, [row for row in several if row.course in courses])
        for text, courses in COURSES.items()
    ]
    everything = rows + untrained
    if not everything:
        return EMPTY
    marks = {verdict.value: mark for verdict, (mark, _) in MARKS.items()}
    return HTML(
        render(
            "verdict_map",
            heads=heads,
            study=present != [""],
            decided=[row for row in rows if row.last in DECIDED],
            undecided=[row for row in rows if row.last not in DECIDED],
            untrained=untrained,
            courses=courses if several else [],
            several=len(several),
            marks=marks,
            sections=present,
            counts={v.value: n for v in MARKS if (n := sum(row.last == v for row in everything))},
            any_second=any(cell and cell["second"] for row in rows for cell in row.cells),
            fragile=any(cell and cell["fragile"] for row in everything for cell in row.cells),
        )
    )


def draw_verdict_map(tables: Tables, claims: pd.DataFrame, second: pd.DataFrame) -> Figure:
    """The map as a figure: a row for each claim, a column for each budget, with the effects of
    testable claims.

    Args:
        tables: the tables of the study.
        claims: the table "claims".
        second: the table "second".
    """
    budgets, rows = map_rows(claims, second)
    # Close rows, so that a map of seventy claims fits on a page and can still be read.
    figure, axes = plt.subplots(figsize=(1 + 0.9 * len(budgets), 0.8 + 0.18 * len(rows)))
    for y, row in enumerate(rows):
        for x, cell in enumerate(row.cells):
            if cell is None:
                continue
            mark, colour = MARKS[Verdict(cell["verdict"])]
            axes.add_patch(Rectangle((x, y), 1, 1, facecolor=colour, edgecolor="0.75"))
            mark = f"({mark})" if cell["fragile"] else mark
            text = f"{mark} {cell['effect_text']}" if cell["verdict"] in _TESTABLE else mark
            text += f"  {cell['second']}" if cell["second"] else ""
            axes.text(x + 0.5, y + 0.5, text, ha="center", va="center", fontsize=7)
    axes.set_xlim(0, len(budgets))
    axes.set_ylim(len(rows), 0)
    places = [x + 0.5 for x in range(len(budgets))]
    heads = [budget_head(tables, int(budget)) for budget in budgets]
    axes.set_xticks(places, ["\n".join([head, *size.split(", ")]) for head, size in heads])
    axes.xaxis.tick_top()
    sentences = [row.sentence for row in rows]
    axes.set_yticks([y + 0.5 for y in range(len(rows))], sentences, parse_math=False)
    axes.tick_params(length=0, labelsize=7)
    axes.grid(visible=False)
    for side in axes.spines.values():
        side.set_visible(False)
    known = [verdict for verdict in MARKS if verdict != Verdict.NOT_RUN]
    legend = "   ".join(f"{MARKS[verdict][0]} {verdict}" for verdict in known)
    legend += "\nnumbers: effect in the unit of the claim"
    if any(cell and cell["fragile"] for row in rows for cell in row.cells):
        legend += "   (✓) fragile"
    if any(cell and cell["second"] for row in rows for cell in row.cells):
        legend += f"   {ALIKE} decided alike by a second study   {OTHERWISE} decided otherwise"
    axes.set_xlabel(legend, fontsize=7, loc="right")
    return figure
