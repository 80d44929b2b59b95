"""Collecting run folders into tables, and reading and writing tables."""

import dataclasses
import json
import math
import os
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from experiments.errors import UserError
from experiments.files import make_folder, sha256, unused_path, write_atomically
from experiments.planning.plan import Plan, PlannedRun, first_by_run_id
from experiments.recipe import TEXT_TASKS
from experiments.records.calls import read_calls
from experiments.records.claim_seals import read_seals
from experiments.records.losses import Row, own_measures, with_losses_per_character
from experiments.records.run_folder import MEASURED, RunFolder, Status
from experiments.records.schema import VERSION, schema
from experiments.records.study import Study
from experiments.spec import own_probe

PROBE_TABLES = (
    "positions",
    "lengths",
    "layers",
    "heads",
    "pruning",
    "atlas",
    "samples",
    "own_probes",
    "measures",
)


def collect(results: Path) -> None:
    """Write the tables of a study from the run folders in its results folder.

    The tables are `runs`, `curves`, `calls`, `seals`, `membership`, `tuning` and `PROBE_TABLES`.
    Tables that are measured without runs are written empty where they are missing. Runs that the
    present plan does not ask for (another corpus, older settings) stay on disk and out of the
    tables.

    Raises:
        UserError: the results folder holds no study.
    """
    study = Study.load(results)
    plan = study.plan(results)
    planned = first_by_run_id([*plan.comparison_runs, *plan.trials])
    asked = {probe for run in plan.comparison_runs for probe in run.spec.probes}
    tables: dict[str, list[Row]] = {name: [] for name in ("runs", "curves", *PROBE_TABLES)}
    for run_id, member in planned.items():
        folder = RunFolder(results, run_id)
        if folder.path.exists():
            for name, rows in _rows_of_run(member, folder, study, asked).items():
                tables[name] += rows
    write_missing(results)
    tables |= _rows_of_plan(plan)
    tables |= {"calls": read_calls(results), "seals": read_seals(results)}
    for name, rows in tables.items():
        write_table(results, name, rows)


def _rows_of_run(
    member: PlannedRun, folder: RunFolder, study: Study, asked: set[str]
) -> dict[str, list[Row]]:
    """The rows of a run, by table: `runs`, `curves` and the tables of the probes.

    asked: names of the probes of the plan. A probe of one's own that has been edited since is not
        among them.
    """
    run = _run_row(member, folder)
    tables: dict[str, list[Row]] = {"runs": [run]}
    if run["status"] != Status.DAMAGED:
        tables["curves"] = folder.points()
        for probe, probe_tables in folder.probe_tables().items():
            if own_probe(probe) and probe not in asked:
                continue
            for name, rows in probe_tables.items():
                tables[name] = tables.get(name, []) + rows
    if own := tables.get("own_probes"):
        tables["measures"] = tables.get("measures", []) + own_measures(own)
    task = member.spec.recipe.task
    if task in TEXT_TASKS:
        tables = {
            name: with_losses_per_character(name, rows, study.tokens_per_character)
            for name, rows in tables.items()
        }
    if task == "language" and "val_loss" in run:
        loss = run["val_loss"]
        tables["runs"][0] |= {
            "perplexity": math.exp(min(loss, 700.0)),  # exp(710) overflows
            "bits_per_character": loss / math.log(2) * study.tokens_per_character(),
            "bits_per_byte": loss / math.log(2) * study.tokens_per_byte(),
        }
    run_id = {"run_id": member.spec.run_id}
    return {name: [run_id | row for row in rows] for name, rows in tables.items()}


def _run_row(member: PlannedRun, folder: RunFolder) -> Row:
    """The row of a run in the table `runs`, with losses in nats per target only."""
    spec = member.spec
    summary = folder.summary() or {"status": folder.status()}
    row = _member_row(member) | {
        "tuning": spec.tuning,
        "corpus_hash": spec.corpus,
        **{f"model.{k}": v for k, v in spec.model.relevant().items()},
        **{f"recipe.{k}": v for k, v in spec.recipe.relevant(spec.model.family).items()},
        **summary,
    }
    if "steps" in summary:
        row["flops"] = spec.flops * summary["steps"] / spec.recipe.steps
    return row


def _rows_of_plan(plan: Plan) -> dict[str, list[Row]]:
    """The rows of the tables `membership` and `tuning`."""
    members = [_member_row(each) | {"budget": each.budget} for each in plan.comparison_runs]
    members += [dataclasses.asdict(waiting) for waiting in plan.untuned]
    return {"membership": members, "tuning": [_trial_row(plan, trial) for trial in plan.trials]}


def _trial_row(plan: Plan, trial: PlannedRun) -> Row:
    """The row of a trial in the table `tuning`."""
    sweep = plan.sweeps[trial.ablation, trial.variant, trial.budget]
    assert trial.rate is not None
    exponent = round(math.log2(trial.rate))
    return _member_row(trial) | {
        "budget": trial.budget,
        "rate": trial.rate,
        "learning_rate": trial.spec.recipe.learning_rate,
        "chosen": exponent == sweep.chosen,
        "refused": exponent in sweep.refused,
        "method": None if sweep.chosen is None else "tuned" if sweep.full else "checked",
    }


def _member_row(member: PlannedRun) -> Row:
    """The columns that say which run of which ablation a row is about."""
    spec = member.spec
    return {
        "ablation": member.ablation,
        "variant": member.variant,
        "seed": spec.seed,
        "run_id": spec.run_id,
    }


def write_missing(results: Path) -> None:
    """Write empty tables for those of `MEASURED` that are missing; set damaged ones aside."""
    for table in MEASURED:
        if not is_measured(results, table):
            set_aside(results, table)
            write_table(results, table, [])


def write_table(results: Path, name: str, rows: list[Row]) -> None:
    """Write `<name>.parquet` with the table's schema. Columns that a row lacks are null.

    Raises:
        KeyError: a row has a column that is not in the schema.
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
    compression = "zstd" if name == "curves" else "snappy"  # the largest table, by far
    pq.write_table(table, buffer, compression=compression, write_page_checksum=True)
    write_atomically(results / f"{name}.parquet", buffer.getvalue().to_pybytes())


def append_rows(results: Path, name: str, rows: list[Row]) -> None:
    """Add rows to a table of `MEASURED`. A table that cannot be read is set aside and begun anew.

    Raises:
        KeyError: a row has a column that is not in the schema.
    """
    set_aside(results, name)
    file = results / f"{name}.parquet"
    before = pq.read_table(file).to_pylist() if file.exists() else []
    write_table(results, name, before + rows)


def is_measured(results: Path, name: str) -> bool:
    """Whether a table of `MEASURED` exists in this schema version and has rows."""
    try:
        return len(read_table(results, name)) > 0
    except UserError:
        return False


def set_aside(results: Path, name: str) -> None:
    """Move a table that cannot be read, if it exists, to the folder `damaged`."""
    file, damaged = results / f"{name}.parquet", results / "damaged"
    try:
        read_table(results, name)
    except UserError:
        if file.exists():
            make_folder(damaged)
            os.replace(file, unused_path(damaged, name, ".parquet"))


def read_table(results: Path, name: str) -> pd.DataFrame:
    """Read `<name>.parquet`.

    Raises:
        UserError: the file is missing, damaged, or of another schema version.
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
    intact = table.schema.equals(schema(name))
    # All other tables are made anew from run folders, whose files have checksums of their own.
    if intact and name in (*MEASURED, "calibration"):
        intact = metadata.get(b"sha256", b"") == _content(table).encode()
    if not intact:
        raise UserError(f"{file} is damaged: `make all` makes it anew")
    frame: pd.DataFrame = table.to_pandas()
    return frame


def _content(table: pa.Table) -> str:
    """A checksum of a table's rows, independent of the file's layout."""
    try:
        return sha256(json.dumps(table.to_pylist()).encode())
    except UnicodeDecodeError:  # damage has made a text undecodable
        return ""
