"""The schema of the tables: names, types and meanings of the columns, from `columns.toml`."""

import dataclasses
import tomllib
import typing
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from experiments.recipe import Recipe
from model import ModelConfig

VERSION = 11

Column = tuple[str, pa.DataType, str]  # name, type, meaning

_TYPES = {"text": pa.string(), "int": pa.int64(), "float": pa.float64(), "bool": pa.bool_()}
_TYPES["floats"] = pa.list_(pa.field("element", pa.float64()))  # parquet's name for an item
_CONFIGS = {"model.*": ModelConfig, "recipe.*": Recipe}


def per_character(name: str) -> str:
    """Name of the column or measure that holds the same loss in nats per character."""
    return f"{name}_per_character"


def _config_columns(prefix: str, kind: type) -> Iterator[Column]:
    """One column per field of a configuration, of the field's type."""
    types = {int: "int", int | None: "int", float: "float", float | None: "float", bool: "bool"}
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        meaning = f"`{field.name}` of the run's {kind.__name__}; null where the network does not"
        arrow_type = _TYPES[types.get(hints[field.name], "text")]
        yield f"{prefix}.{field.name}", arrow_type, f"{meaning} read it"


def _columns(name: str, text: str) -> Iterator[Column]:
    """The columns that one line of `columns.toml` stands for."""
    kind, _, meaning = text.partition(": ")
    if kind == "config":
        yield from _config_columns(name.removesuffix(".*"), _CONFIGS[name])
    elif kind == "loss":
        only_text = "null where targets are not tokens of text"
        yield name, _TYPES["float"], f"{meaning}, in nats per target"
        unit = "in nats per character of text"
        yield per_character(name), _TYPES["float"], f"{meaning}, {unit}; {only_text}"
    else:
        yield name, _TYPES[kind], meaning


_DICTIONARY = tomllib.loads((Path(__file__).parent / "columns.toml").read_text("utf-8"))
COLUMNS: dict[str, list[Column]] = {
    table: [column for name, text in lines.items() for column in _columns(name, text)]
    for table, lines in _DICTIONARY.items()
}


def schema(table: str) -> pa.Schema:
    """The Arrow schema of a table. The metadata holds the table's name and the schema version."""
    fields = [pa.field(name, kind) for name, kind, _ in COLUMNS[table]]
    return pa.schema(fields, metadata={"table": table, "version": str(VERSION)})


def describe(table: str) -> list[dict[str, str]]:
    """The data dictionary of a table: one row per column."""
    return [
        {"column": name, "type": str(kind), "meaning": meaning}
        for name, kind, meaning in COLUMNS[table]
    ]
