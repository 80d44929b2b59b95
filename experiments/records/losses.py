"""Numbers that are computed from recorded ones: losses per character, and metrics of own probes."""

from collections.abc import Callable, Mapping
from typing import Any

from experiments.metrics import METRICS
from experiments.records.schema import COLUMNS, per_character
from experiments.spec import own_probe

Row = dict[str, Any]


def with_losses_per_character(
    table: str, rows: list[Row], tokens_per_character: Callable[[str], float]
) -> list[Row]:
    """Add each loss in nats per character to rows that hold losses in nats per target.

    Args:
        table: name of the table. Each of its columns with a sibling `<name>_per_character` in the
            schema is a loss; in `measures`, each measure with such a sibling in `METRICS`.
        rows: rows of runs whose targets are tokens of the corpus.
        tokens_per_character: returns the number of tokens per character of a split's text.
    """
    if table == "measures":
        losses = [row for row in rows if per_character(row["measure"]) in METRICS]
        factor = tokens_per_character("val")
        return rows + [
            row | {"measure": per_character(row["measure"]), "value": row["value"] * factor}
            for row in losses
        ]
    columns = {name for name, _, _ in COLUMNS[table]}
    losses_of_table = [name for name in columns if per_character(name) in columns]
    return [
        row
        | {
            per_character(name): row[name] * tokens_per_character(_split(table, name, row))
            for name in losses_of_table
            if row.get(name) is not None
        }
        for row in rows
    ]


def _split(table: str, column: str, row: Mapping[str, Any]) -> str:
    """The split that a loss is a mean over: val, unless the column or the row names another."""
    return column.removesuffix("_loss") if table == "runs" else row.get("split", "val")


def own_measures(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The metrics among the rows of the table "own_probes", as rows of the table "measures"."""
    return [
        {
            "measure": f"{own_probe(row['probe']).partition(':')[2]}.{row['line']}",
            "value": row["y"],
        }
        for row in rows
        if row["x"] is None
    ]
