"""`columns`: the data dictionary."""

from rich.console import Console
from rich.table import Table

from experiments.records.schema import COLUMNS, describe


def columns() -> None:
    """Print every table's columns, with their types and meanings."""
    for name in COLUMNS:
        table = Table("column", "type", "meaning", title=f"{name}.parquet")
        for row in describe(name):
            table.add_row(row["column"], row["type"], row["meaning"])
        Console().print(table)
