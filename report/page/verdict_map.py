"""Verdict map: the verdict on every claim about training at every training budget."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import HTML
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from report.html import EMPTY, render
from report.page.claims import with_texts
from report.verdicts.outcomes import Verdict

# Mark and colour of each verdict. The marks tell the verdicts apart without the colours.
MARKS = {
    Verdict.SUPPORTED: ("✓", "#9cc9e8"),
    Verdict.NEGLIGIBLE: ("≈", "#e8e2cf"),
    Verdict.REVERSED: ("✗", "#f2bd85"),
    Verdict.UNDECIDED: ("?", "#ffffff"),
    Verdict.NOT_TESTABLE: ("–", "#e6e6e6"),
    Verdict.NOT_RUN: ("", "#ffffff"),
}
_TESTABLE = [Verdict.SUPPORTED, Verdict.NEGLIGIBLE, Verdict.REVERSED, Verdict.UNDECIDED]


@dataclass(frozen=True)
class MapRow:
    """A claim with its verdict at each budget.

    cells: the row of `with_texts` at each budget of the map; None where the claim has none.
    """

    claim: str
    ablation: str
    sentence: str
    cells: list[dict[str, Any] | None]

    @property
    def rank(self) -> int:
        """Place of the claim's verdict at the deepest budget at which it is testable."""
        verdicts = [cell["verdict"] for cell in self.cells if cell]
        testable = [verdict for verdict in verdicts if verdict in _TESTABLE]
        return list(MARKS).index(testable[-1] if testable else verdicts[-1])


def map_rows(claims: pd.DataFrame) -> tuple[list[int], list[MapRow]]:
    """The budgets, and the claims that are judged at a budget, in the order of `MARKS` by their
    verdicts at the deepest budget.

    claims: the table "claims".
    """
    trained = claims.dropna(subset=["budget"])
    budgets = sorted({int(budget) for budget in trained["budget"]})
    by_claim: dict[str, dict[int, dict[str, Any]]] = {}
    for row in with_texts(trained):
        by_claim.setdefault(row["claim"], {})[int(row["budget"])] = row
    rows = []
    for claim, cells in by_claim.items():
        first = next(iter(cells.values()))
        at_budgets = [cells.get(budget) for budget in budgets]
        rows.append(MapRow(claim, first["ablation"], first["sentence"], at_budgets))
    return budgets, sorted(rows, key=lambda row: row.rank)


def verdict_map(claims: pd.DataFrame, sections: Sequence[str]) -> HTML:
    """The map as a table; empty where no claim is judged at a budget.

    Args:
        claims: the table "claims".
        sections: ablations that have a section on the page, to which their claims are linked.
    """
    budgets, rows = map_rows(claims)
    if not rows:
        return EMPTY
    marks = {verdict.value: mark for verdict, (mark, _) in MARKS.items()}
    return HTML(
        render("verdict_map", budgets=budgets, rows=rows, marks=marks, sections=list(sections))
    )


def draw_verdict_map(claims: pd.DataFrame) -> Figure:
    """The map as a figure: a row for each claim, a column for each budget, with the effects of
    testable claims.
    """
    budgets, rows = map_rows(claims)
    # Close rows, so that a map of seventy claims fits on a page and can still be read.
    figure, axes = plt.subplots(figsize=(1 + 0.9 * len(budgets), 0.8 + 0.18 * len(rows)))
    for y, row in enumerate(rows):
        for x, cell in enumerate(row.cells):
            if cell is None:
                continue
            mark, colour = MARKS[Verdict(cell["verdict"])]
            axes.add_patch(Rectangle((x, y), 1, 1, facecolor=colour, edgecolor="0.75"))
            text = f"{mark} {cell['effect_text']}" if cell["verdict"] in _TESTABLE else mark
            axes.text(x + 0.5, y + 0.5, text, ha="center", va="center", fontsize=7)
    axes.set_xlim(0, len(budgets))
    axes.set_ylim(len(rows), 0)
    places = [x + 0.5 for x in range(len(budgets))]
    axes.set_xticks(places, [f"budget {budget}" for budget in budgets])
    axes.xaxis.tick_top()
    sentences = [row.sentence for row in rows]
    axes.set_yticks([y + 0.5 for y in range(len(rows))], sentences, parse_math=False)
    axes.tick_params(length=0, labelsize=7)
    axes.grid(visible=False)
    for side in axes.spines.values():
        side.set_visible(False)
    known = [verdict for verdict in MARKS if verdict != Verdict.NOT_RUN]
    legend = "   ".join(f"{MARKS[verdict][0]} {verdict}" for verdict in known)
    axes.set_xlabel(f"{legend}\nnumbers: effect in the unit of the claim", fontsize=7, loc="right")
    return figure
