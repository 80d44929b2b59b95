"""The paper's sections on results: the verdicts, and what changed with the training budget."""

from collections import Counter
from typing import Any

import pandas as pd

from report.page.claims import deepest, with_texts
from report.page.summary import largest_effects
from report.page.verdict_map import MapRow, draw_verdict_map, map_rows
from report.paper.document import Paragraph, Part, Picture, Section, Table
from report.study.tables import Tables
from report.verdicts.outcomes import Verdict
from report.verdicts.text import format_interval, format_number, join_words, plural
from report.verdicts.trend import CHANGING, Direction

_MOST_EFFECTS = 10
_UNTESTED = (Verdict.NOT_TESTABLE, Verdict.NOT_RUN)


def results(tables: Tables, claims: pd.DataFrame, second: pd.DataFrame) -> Section:
    """The verdict map, counts of the verdicts, and the largest effects.

    Args:
        tables: the tables of the study.
        claims: the table "claims".
        second: the table "second".
    """
    rows = with_texts(deepest(claims))
    supported = largest_effects(rows, Verdict.SUPPORTED, _MOST_EFFECTS)
    against = [row for row in rows if row["verdict"] == Verdict.REVERSED and not row["fragile"]]
    parts: list[Part] = [
        Paragraph(
            "The table counts the verdicts at each budget. The figure shows the verdict on every"
            " claim about training. A claim that is checked or measured without training a run has"
            " one verdict, without a budget."
        ),
        count_table(claims),
        *_map(tables, claims, second),
    ]
    if supported:
        caption = (
            "Supported claims with the largest effects beyond their margins, in nats per character,"
            " each at the deepest budget at which it is testable, without fragile ones."
        )
        parts.append(_effect_table(caption, supported))
    if against:
        caption = (
            "Claims that the data speak against, each at the deepest budget at which it is"
            " testable, without fragile ones. The effect is in the unit that follows the source."
        )
        parts.append(_effect_table(caption, against, with_units=True))
    return Section("Results", parts)


def count_table(claims: pd.DataFrame) -> Table:
    """Numbers of verdicts: a row for each budget, and one for claims without training."""
    groups = [(f"budget {b:.0f}", rows) for b, rows in claims.groupby("budget")]
    if len(without := claims[claims["budget"].isna()]):
        groups.append(("without training", without))
    rows = [
        (
            name,
            *(str(int((of_budget["verdict"] == verdict).sum())) for verdict in Verdict),
            str(int(of_budget["fragile"].fillna(False).astype(bool).sum())),
            str(len(of_budget)),
        )
        for name, of_budget in groups
    ]
    head = ("", *Verdict, "fragile", "claims")
    return Table("Verdicts at each budget. Fragile claims are among the decided ones.", head, rows)


def _map(tables: Tables, claims: pd.DataFrame, second: pd.DataFrame) -> list[Part]:
    budgets, rows = map_rows(claims, second)
    if not rows:
        return []
    cells = [(row.sentence, _cells(row)) for row in rows]
    alt = "; ".join(f"{sentence} {', '.join(texts)}" for sentence, texts in cells)
    caption = (
        f"The verdict on {plural(len(rows), 'claim')} about training at"
        f" {plural(len(budgets), 'budget')}, in the order of the verdicts at the deepest budget. A"
        " claim without a cell at a budget has arms that are not trained there."
    )
    return [Picture("verdict-map", draw_verdict_map(tables, claims, second), alt, caption)]


def _cells(row: MapRow) -> list[str]:
    """Verdict and effect at each budget, "supported 0.123"; a dash where there is none."""
    return ["–" if cell is None else _verdict_text(cell) for cell in row.cells]


def _verdict_text(cell: dict[str, Any]) -> str:
    """ "supported 0.123"; without the effect where it means nothing."""
    if cell["verdict"] in _UNTESTED:
        return str(cell["verdict"])
    return f"{cell['verdict']} {cell['effect_text']}"


def _effect_table(caption: str, rows: list[dict[str, Any]], *, with_units: bool = False) -> Table:
    """Claims with source, effect, interval and number of seeds or blocks."""
    names = ("budget_text", "effect_text", "interval_text", "n_text")
    cells = []
    for row in rows:
        source = (
            f"{row['said_by']}; {row['unit']}" if with_units and row["unit"] else row["said_by"]
        )
        cells.append((f"{row['sentence']} ({source})", *(row[name] for name in names)))
    return Table(caption, ("claim", "budget", "effect", "interval", "n"), cells)


def changed_with_budget(claims: pd.DataFrame) -> Section:
    """The claims whose verdict differs between budgets, and the trends of the effects."""
    budgets, rows = map_rows(claims)
    several = [row for row in rows if sum(cell is not None for cell in row.cells) > 1]
    heading = "What changed with the budget"
    if not several:
        text = (
            "No claim is judged at more than one budget yet, so nothing can be said about change."
        )
        return Section(heading, [Paragraph(text)])
    changed = [row for row in several if len(_verdicts(row)) > 1]
    parts: list[Part] = [Paragraph(change_summary(claims))]
    if changed:
        head = ("claim", *(f"budget {budget}" for budget in budgets))
        cells = [(row.sentence, *_cells(row)) for row in changed]
        caption = (
            "Claims whose verdict differs between budgets, with the effect where it is testable."
        )
        parts.append(Table(caption, head, cells))
    return Section(heading, [*parts, *_trends(claims)])


def change_summary(claims: pd.DataFrame) -> str:
    """How many claims have another verdict at another budget, and how many became testable."""
    _, rows = map_rows(claims)
    several = [row for row in rows if sum(cell is not None for cell in row.cells) > 1]
    changed = [row for row in several if len(_verdicts(row)) > 1]
    tested = [row for row in changed if len(_verdicts(row) - {*_UNTESTED}) > 1]
    return (
        f"Of {plural(len(several), 'claim')} that are judged at more than one budget,"
        f" {len(changed)} have another verdict at another budget: {len(tested)} between budgets at"
        f" which they are testable, and {len(changed) - len(tested)} only because they are not"
        " testable, or not run, at a budget."
    )


def _verdicts(row: MapRow) -> set[str]:
    return {cell["verdict"] for cell in row.cells if cell is not None}


def _trends(claims: pd.DataFrame) -> list[Part]:
    """Counts of the trends, and a table of the effects that change."""
    rows = with_texts(claims.dropna(subset=["trend"]).drop_duplicates("claim"))
    if not rows:
        return []
    counts = Counter(row["trend"] for row in rows)
    texts = [f"{counts[direction]} {direction}" for direction in Direction if counts[direction]]
    text = (
        "The trend of a claim is the change of its effect with each doubling of the budget, by"
        " least squares within each seed. An effect is stable if it changes by less than the margin"
        f" over all budgets. Of {plural(len(rows), 'trend')}, {join_words(texts)}."
    )
    parts: list[Part] = [Paragraph(text)]
    changing = [row for row in rows if row["trend"] in CHANGING]
    if changing:
        cells = [
            (
                f"{row['sentence']} ({row['unit']})",
                row["trend"],
                _change(row),
                format_interval(row["change_low"], row["change_high"]),
            )
            for row in changing
        ]
        head = ("claim", "trend", "change per doubling", "interval")
        caption = "Effects that still change with the budget, with their units."
        parts.append(Table(caption, head, cells))
    return parts


def _change(row: dict[str, Any]) -> str:
    sign = "×" if row["scale"] == "ratio" else ""
    return sign + format_number(row["change"], row["change_low"], row["change_high"])
