"""Exporting a study's tables: CSV files, the claims as JSON, and a description of all columns."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.errors import UserError
from experiments.files import sha256, write_atomically
from experiments.records.collect import read_table
from experiments.records.schema import COLUMNS, VERSION, Column

CLAIMS_VERSION = 1  # of the claims as JSON: raised with the names or the meaning of a column

PACKAGE = "datapackage.json"

_TYPES = {"string": "string", "int64": "integer", "double": "number", "bool": "boolean"}
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet takes for the start of a formula
_NOTE = (
    "A text that begins with =, +, -, @, a tab or a carriage return has an apostrophe before it, so"
    " that no spreadsheet takes it for a formula."
)


def export(results: Path, folder: Path) -> int:
    """Write the tables of a results folder into another folder, for those who read no parquet.

    Each table becomes `<table>.csv` in UTF-8, in which an empty cell is a null, a list is JSON, and
    numbers have all their digits. The verdicts become `claims.json` too. `datapackage.json`
    describes every column, in the format of Frictionless data packages.

    Returns the number of tables.

    Raises:
        UserError: there are no tables, or one is damaged or of another version.
    """
    names = [name for name in COLUMNS if (results / f"{name}.parquet").exists()]
    if not names:
        raise UserError(f"there are no tables in {results}: run `make all` first")
    resources = []
    for name in names:
        table = read_table(results, name)
        content = as_csv(table, COLUMNS[name]).encode()
        write_atomically(folder / f"{name}.csv", content)
        resources.append(_resource(name, content, COLUMNS[name]))
        if name == "claims":
            write_atomically(folder / "claims.json", claims_json(rows_of(table)).encode())
    package = {
        "profile": "tabular-data-package",
        "name": f"transformer-ablations-{results.name}",
        "title": f"Tables of the ablation study, profile {results.name}",
        "description": _NOTE,
        "version": str(VERSION),
        "licenses": [{"name": "MIT"}],
        "resources": resources,
    }
    text = json.dumps(package, indent=2, ensure_ascii=False)
    write_atomically(folder / PACKAGE, text.encode() + b"\n")
    return len(names)


def as_csv(table: pd.DataFrame, columns: list[Column]) -> str:
    """A table as CSV.

    Args:
        table: its rows.
        columns: its columns, as the schema has them.
    """
    shown = table.copy()
    for name, kind, _ in columns:
        if str(kind) == "string":
            shown[name] = table[name].map(_as_text, na_action="ignore")
        elif str(kind) not in _TYPES:  # a list
            shown[name] = table[name].map(_as_json, na_action="ignore")
        elif str(kind) == "int64":
            shown[name] = table[name].astype("Int64")  # without a point, where others are null
    return shown.to_csv(index=False, lineterminator="\r\n")


def rows_of(table: pd.DataFrame) -> list[dict[Any, Any]]:
    """The rows of a table with None for nulls, and in Python's own types."""
    return table.astype(object).where(table.notna(), None).to_dict("records")


def claims_json(rows: list[dict[Any, Any]]) -> str:
    """Verdicts as JSON, with the version of their columns."""
    content = {"version": CLAIMS_VERSION, "claims": rows}
    return json.dumps(content, indent=1, ensure_ascii=False)


def _as_text(value: str) -> str:
    return f"'{value}" if value.startswith(_FORMULA) else value


def _as_json(values: Any) -> str:
    return json.dumps(list(values))


def _resource(name: str, content: bytes, columns: list[Column]) -> dict[str, Any]:
    """The description of a table's file."""
    fields = [
        {"name": column, "type": _TYPES.get(str(kind), "array"), "description": meaning}
        for column, kind, meaning in columns
    ]
    return {
        "name": name.replace("_", "-"),
        "path": f"{name}.csv",
        "profile": "tabular-data-resource",
        "format": "csv",
        "mediatype": "text/csv",
        "encoding": "utf-8",
        "bytes": len(content),
        "hash": f"sha256:{sha256(content)}",
        "schema": {"fields": fields, "missingValues": [""]},
    }
