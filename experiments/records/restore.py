"""Restoring a published study: run folders are made from its tables, so that the study goes on."""

import json
import shutil
from collections import defaultdict
from pathlib import Path

import pyarrow.parquet as pq

from experiments.errors import UserError
from experiments.files import seal, write_atomically
from experiments.metrics import PROBE_OF
from experiments.planning.plan import PlannedRun, first_by_run_id
from experiments.records.collect import PROBE_TABLES, read_table
from experiments.records.losses import Row
from experiments.records.provenance import write_environment
from experiments.records.run_folder import MEASURED, RunFolder
from experiments.records.schema import per_character
from experiments.records.study import MANIFEST, Study

# Columns of the table `runs` that `collect` takes from the plan or computes.
_OF_THE_PLAN = ("run_id", "ablation", "variant", "seed", "tuning", "corpus_hash", "flops")
_COMPUTED = ("perplexity", "bits_per_character", "bits_per_byte")


def restore(reference: Path, results: Path) -> int:
    """Make the results folder of a published study from the study's tables.

    Each run has its summary, its curves and the rows of its probes, as if it had been trained in
    the folder. Logs are not published, so there are none.

    Args:
        reference: folder of the published tables.
        results: the results folder, which must not exist.

    Returns the number of runs.

    Raises:
        UserError: the results folder exists, the tables cannot be read, or the present ablations
            do not plan a run that was published.
    """
    if results.exists():
        raise UserError(f"{results} exists: choose another folder with RESULTS, or `make clean`")
    study = Study.load(reference)
    rows = _rows_by_run(reference)
    runs = {row["run_id"]: row for row in _records(reference, "runs")}
    folder = results.with_name(f".{results.name}.restoring")
    shutil.rmtree(folder, ignore_errors=True)
    try:
        _write_runs(study, folder, runs, rows)
        _write_study(study, reference, folder)
        folder.rename(results)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return len(runs)


def _write_runs(
    study: Study, folder: Path, runs: dict[str, Row], rows: dict[str, dict[str, list[Row]]]
) -> None:
    """Write the folders of the runs. Trials come first, since they decide what is planned next."""
    written: set[str] = set()
    folder.mkdir(parents=True)
    while True:
        plan = study.plan(folder)
        planned = first_by_run_id([*plan.comparison_runs, *plan.trials])
        now = [run_id for run_id in planned if run_id in runs and run_id not in written]
        if not now:
            break
        for run_id in now:
            _write_run(folder, planned[run_id], runs[run_id], rows[run_id])
        written |= {*now}
    if unplanned := sorted({*runs} - written):
        where = "/".join(runs[unplanned[0]][name] for name in ("ablation", "variant"))
        raise UserError(
            f"{len(unplanned)} published runs are not planned by the present code: the first is"
            f" of {where}"
        )


def _write_run(folder: Path, member: PlannedRun, run: Row, tables: dict[str, list[Row]]) -> None:
    """Write the folder of a run, as its training would have written it."""
    target = RunFolder(folder, run["run_id"])
    write_atomically(target.path / "spec.json", member.spec.to_json().encode())
    points = [json.dumps(_recorded(point)) for point in tables.pop("curves", [])]
    write_atomically(target.metrics, "".join(f"{point}\n" for point in points).encode())
    for probe, content in _by_probe(tables).items():
        write_atomically(target.probe(probe), json.dumps(content).encode())
    not_recorded = (*_OF_THE_PLAN, *_COMPUTED)
    target.finish(
        {
            name: value
            for name, value in _recorded(run).items()
            if name not in not_recorded and not name.startswith(("model.", "recipe."))
        }
    )


def _by_probe(tables: dict[str, list[Row]]) -> dict[str, dict[str, list[Row]]]:
    """The rows of a run's probes, by probe and table. The table of a built-in probe has the probe's
    name, and its measures are in `measures`; what `collect` computes is left out.
    """
    probes: dict[str, dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for table, rows in tables.items():
        for row in rows:
            name = row.get("measure", "")
            if "." in name or name.endswith(per_character("")):
                continue
            probe, recorded = table, _recorded(row)
            if table == "own_probes":
                probe, recorded = row["probe"], {"x": None, "y": None} | recorded
            elif table == "measures":
                probe = PROBE_OF.get(name) or PROBE_OF[per_character(name)]
            probes[probe][table].append(recorded)
    return probes


def _write_study(study: Study, reference: Path, folder: Path) -> None:
    """Write what a study has beside its runs: facts, seals, calls, packages and measurements."""
    study.save(folder)
    for name in ("seals", "calls"):
        lines = [json.dumps(seal(_as_sealed(row))) for row in _records(reference, name)]
        write_atomically(folder / f"{name}.jsonl", "".join(f"{line}\n" for line in lines).encode())
    for content in json.loads((reference / MANIFEST).read_bytes())["environments"]:
        write_environment(folder, content)
    for name in (*MEASURED, "claims"):
        shutil.copy(reference / f"{name}.parquet", folder)


def _as_sealed(row: Row) -> Row:
    """The content of a sealed line. Whether a seal is intact is found out when it is read."""
    return {name: value for name, value in row.items() if name != "intact"}


def _rows_by_run(reference: Path) -> dict[str, dict[str, list[Row]]]:
    """The rows of curves and probes, by run and table."""
    rows: dict[str, dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for table in ("curves", *PROBE_TABLES):
        for row in _records(reference, table):
            rows[row.pop("run_id")][table].append(row)
    return rows


def _records(reference: Path, table: str) -> list[Row]:
    """The rows of a table, with whole numbers as such and None where a value is missing.

    Raises:
        UserError: the table cannot be read.
    """
    read_table(reference, table)
    rows: list[Row] = pq.read_table(reference / f"{table}.parquet").to_pylist()
    return rows


def _recorded(row: Row) -> Row:
    """The values of a row that a run records: those that are there, without losses per character,
    which `collect` computes.
    """
    return {
        name: value
        for name, value in row.items()
        if value is not None and not name.endswith(per_character(""))
    }
