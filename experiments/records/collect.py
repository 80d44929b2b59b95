"""From run folders to tidy tables."""

import json
import math
import os
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from experiments.errors import UserError
from experiments.files import sha256, unused_path, write_atomically
from experiments.plan import PlannedRun
from experiments.records.run_folder import MEASURED, RunFolder, read_calls
from experiments.records.schema import VERSION, schema
from experiments.records.study import Study

PROBE_TABLES = (
    "positions",
    "lengths",
    "layers",
    "heads",
    "pruning",
    "atlas",
    "samples",
    "measures",
)


def collect(results: Path) -> None:
    """Write `runs`, `curves`, `membership` and what the probes found, for what lies in the results
    folder by now.

    Runs that the present plan does not ask for (another corpus, older settings) stay on disk and
    out of the tables.

    Raises:
        UserError: nothing has been run there.
    """
    study = Study.load(results)
    plan = study.plan(results)
    firsts: dict[str, PlannedRun] = {}
    for member in [*plan.members, *plan.trials]:
        firsts.setdefault(member.spec.run_id, member)
    begun = [
        member for run_id, member in firsts.items() if RunFolder(results, run_id).path.exists()
    ]
    rows = [_row(member, results, study) for member in begun]
    whole = [row["run_id"] for row in rows if row["status"] != "damaged"]
    points = [
        {"run_id": run_id, **point}
        for run_id in whole
        for point in RunFolder(results, run_id).points()
    ]
    write_missing(results)
    found: dict[str, list[dict[str, Any]]] = {table: [] for table in PROBE_TABLES}
    for run_id in whole:
        for tables in RunFolder(results, run_id).found():
            for table, its in tables.items():
                found[table] += [{"run_id": run_id} | row for row in its]
    for table, all_of_it in found.items():
        write_table(results, table, all_of_it)
    write_table(results, "runs", rows)
    write_table(results, "curves", points)
    write_table(results, "calls", read_calls(results))
    write_table(
        results,
        "membership",
        [
            {
                "ablation": member.ablation,
                "variant": member.variant,
                "seed": member.spec.seed,
                "run_id": member.spec.run_id,
            }
            for member in plan.members
        ]
        + [waiting._asdict() for waiting in plan.waiting],
    )
    write_table(
        results,
        "tuning",
        [
            {
                "ablation": trial.ablation,
                "variant": trial.variant,
                "rate": trial.rate,
                "learning_rate": trial.spec.recipe.learning_rate,
                "seed": trial.spec.seed,
                "run_id": trial.spec.run_id,
                "chosen": plan.rates.get((trial.ablation, trial.variant)) == trial.rate,
            }
            for trial in plan.trials
        ],
    )


def write_missing(results: Path) -> None:
    """Write the tables of what has not been measured yet, empty; what is damaged is set aside."""
    for table in MEASURED:
        if not is_measured(results, table):
            set_aside(results, table)
            write_table(results, table, [])


def _row(member: PlannedRun, results: Path, study: Study) -> dict[str, Any]:
    spec = member.spec
    folder = RunFolder(results, spec.run_id)
    summary = folder.summary() or {"status": folder.status()}
    row = {
        "run_id": spec.run_id,
        "ablation": member.ablation,
        "variant": member.variant,
        "seed": spec.seed,
        "corpus_hash": spec.corpus,
        **{f"model.{k}": v for k, v in spec.model.relevant().items()},
        **{f"recipe.{k}": v for k, v in spec.recipe.relevant(spec.model.family).items()},
        **summary,
    }
    if "steps" in summary:
        row["flops"] = spec.flops * summary["steps"] / spec.recipe.steps
    if "val_loss" in row and spec.recipe.task == "language":
        row["perplexity"] = math.exp(min(row["val_loss"], 700.0))  # exp(710) overflows
        bits = row["val_loss"] / math.log(2)
        row["bits_per_character"] = bits * study.tokens_per_character()
        row["bits_per_byte"] = bits * study.tokens_per_byte()
    return row


def write_table(results: Path, name: str, rows: list[dict[str, Any]]) -> None:
    """Write `<name>.parquet` by its schema, whatever columns the first rows lack.

    Raises:
        KeyError: a row has a column that the schema does not.
    """
    wanted = schema(name)
    for row in rows:
        if unknown := set(row) - set(wanted.names):
            raise KeyError(f"table '{name}' has no columns {sorted(unknown)}")
    frame = pd.DataFrame(rows, columns=wanted.names, dtype=object)
    table = pa.Table.from_pandas(frame, schema=wanted, preserve_index=False)
    # pandas' own metadata would make the bytes depend on its version
    buffer = pa.BufferOutputStream()
    metadata = {**wanted.metadata, b"sha256": _content(table).encode()}
    table = table.replace_schema_metadata(metadata)
    pq.write_table(table, buffer, write_page_checksum=True)
    write_atomically(results / f"{name}.parquet", buffer.getvalue().to_pybytes())


def is_measured(results: Path, name: str) -> bool:
    """Whether a table of MEASURED is there, by this schema, with anything in it."""
    try:
        return len(read_table(results, name)) > 0
    except UserError:
        return False


def set_aside(results: Path, name: str) -> None:
    """Move a table that cannot be read to the folder `damaged`, if there is one."""
    file, aside = results / f"{name}.parquet", results / "damaged"
    try:
        read_table(results, name)
    except UserError:
        if file.exists():
            aside.mkdir(exist_ok=True)
            os.replace(file, unused_path(aside, name, ".parquet"))


def read_table(results: Path, name: str) -> pd.DataFrame:
    """Read `<name>.parquet`.

    Raises:
        UserError: it is missing, damaged, or of another schema version.
    """
    file = results / f"{name}.parquet"
    if not file.exists():
        raise UserError(f"{file} is missing: run `make all` first")
    try:
        table = pq.read_table(file, page_checksum_verification=True)
    except (OSError, pa.ArrowException):
        raise UserError(f"{file} is damaged: `make all` makes it anew") from None
    metadata = table.schema.metadata or {}
    version = metadata.get(b"version", b"none").decode(errors="replace")
    if version != str(VERSION):
        raise UserError(f"{file} has schema version {version}, this code reads {VERSION}")
    whole = table.schema.equals(schema(name))
    # The others are made anew from the runs' own files, whose checksums are their own.
    if whole and name in (*MEASURED, "calibration"):
        whole = metadata.get(b"sha256", b"") == _content(table).encode()
    if not whole:
        raise UserError(f"{file} is damaged: `make all` makes it anew")
    frame: pd.DataFrame = table.to_pandas()
    return frame


def _content(table: pa.Table) -> str:
    """A checksum of what a table says, however its file is laid out."""
    try:
        return sha256(json.dumps(table.to_pylist()).encode())
    except UnicodeDecodeError:  # a text that is none any more
        return ""
