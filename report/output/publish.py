"""Publishing a study: its tables become the reference, and the README reports its findings.

`python -m report.output.publish results/<profile>` publishes a study.
"""

import dataclasses
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.errors import UserError, exit_status
from experiments.files import ROOT, sha256, write_atomically
from experiments.identity import code_fingerprint
from experiments.records.collect import collect, read_table, write_table
from experiments.records.run_folder import FINISHED
from experiments.records.study import MANIFEST
from report.output import readme
from report.page.provenance import seconds_by_the_clock
from report.study.judge import judge_all
from report.study.tables import Tables, records
from report.verdicts.text import plural

REPEATED = 20  # runs: a code that changes a seventh of all runs changes one of these in 95 %

_MISSING = "missing"  # status of a planned run without a row in the table "runs"


def main(results: Path) -> int:
    """Publish the study in `results`, and the calibration next to it. Returns the exit status."""

    def publish_all() -> None:
        folder = publish(results, ROOT / "results" / "reference")
        readme.refresh(ROOT, folder)
        print(f"published {folder}, and the README's findings")

    return exit_status(publish_all)


def publish(results: Path, reference: Path) -> Path:
    """Copy the tables of a study, with a manifest of their origin, to the folder `reference`. An
    ablation is published without a deeper budget at which it waits for runs.

    Returns the folder of the study's profile in `reference`.

    Raises:
        UserError: the study is incomplete, has runs that were not made by a commit, or has runs of
            an older code that the present code was not shown to repeat.
    """
    if (results / "runs").exists():
        collect(results)
    judge_all(results)
    tables = Tables.load(results)
    later = _later(tables.members)
    missing = int((~later & ~tables.members["status"].isin(FINISHED)).sum())
    if missing:
        raise UserError(f"{results} is incomplete: {missing} planned results are missing")
    tables = dataclasses.replace(tables, runs=tables.runs[tables.runs["status"].isin(FINISHED)])
    _check_code(tables)
    for name in sorted(set(tables.runs["git_revision"].fillna(""))):
        if not name or name.endswith("+changes"):
            raise UserError(f"{results} has runs that were not made by a commit: '{name}'")
    folder = reference / tables.study.profile_name
    with tempfile.TemporaryDirectory(dir=results) as made:
        new = Path(made) / folder.name
        new.mkdir()
        _write(results, tables, later, new)
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(new, folder)
    calibration = results.parent / "calibration" / "calibration.parquet"
    if calibration.exists():
        (reference / "calibration").mkdir(exist_ok=True)
        shutil.copy(calibration, reference / "calibration")
    return folder


def _check_code(tables: Tables) -> None:
    """Refuse runs of an older training code, unless the present code has repeated `REPEATED` of
    them, or all, bit for bit on the machine that trained them, and has failed to repeat none.
    """
    runs, present = tables.runs.set_index("run_id"), code_fingerprint()
    again = tables.verified
    again = again[(again["code"] == present) & (again["same_machine"] == True)]  # noqa: E712  # null
    for code in sorted({*runs["code"]} - {present}):
        of_code = again[again["run_id"].map(runs["code"]) == code]
        n, same = int((runs["code"] == code).sum()), int(of_code["same"].sum())
        needed = min(REPEATED, n)
        if same < needed or same < len(of_code):
            raise UserError(
                f"{tables.results} has {plural(n, 'run')} of other training code than the present:"
                f" at least {needed} of them must be repeated bit for bit on the same machine by"
                f" `make verify`, with SAMPLE or ALL=1, and {same} of {len(of_code)} are"
            )


def _write(results: Path, tables: Tables, later: "pd.Series[bool]", folder: Path) -> None:
    """Write the published files of a study: all but what waits for runs, and a manifest."""
    for file in [results / "study.json", *sorted(results.glob("*.parquet"))]:
        shutil.copy(file, folder)
    if later.any():
        for table in ("membership", "tuning"):
            write_table(folder, table, _published_now(results, table, tables.members[later]))
        judge_all(folder)
    manifest = json.dumps(_manifest(tables, folder), indent=2, ensure_ascii=False)
    write_atomically(folder / MANIFEST, manifest.encode() + b"\n")


def _later(members: pd.DataFrame) -> "pd.Series[bool]":
    """True for each planned run that is not published yet. The runs of an ablation at a budget are
    published together. They wait while a run is missing and none has failed. The ablation's lowest
    budget never waits.
    """
    places = [members["ablation"], members["budget"]]
    over, missing = members["status"].isin(FINISHED), members["status"] == _MISSING
    lowest = members["budget"] == members.groupby("ablation")["budget"].transform("min")
    waiting = missing.groupby(places).transform("any")
    return waiting & (over | missing).groupby(places).transform("all") & ~lowest


def _published_now(results: Path, table: str, later: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table, without the ablations and budgets of `later`."""
    places = {*zip(later["ablation"], later["budget"], strict=True)}
    rows = records(read_table(results, table))
    return [row for row in rows if (row["ablation"], row["budget"]) not in places]


def _manifest(tables: Tables, folder: Path) -> dict[str, Any]:
    """Origin of the tables (data, code, machines, dates), and a checksum of each table."""
    runs, study = tables.runs, tables.study
    environments = [
        json.loads((tables.results / "environments" / f"{name}.json").read_text())
        for name in sorted(set(runs["environment"]))
    ]
    return {
        "profile": study.profile_name,
        "corpus": study.corpus_name,
        "corpus_sha256": study.corpus_hash,
        "git_revision": _distinct(runs["git_revision"]),
        "code": _distinct(runs["code"]),
        "hardware": _distinct(runs["hardware"]),
        "device": _distinct(runs["device_name"]),
        "first_run": str(runs["started"].min()),
        "last_run": str(runs["started"].max()),
        "runs": {str(status): int(n) for status, n in runs["status"].value_counts().items()},
        "seconds_by_the_clock": round(seconds_by_the_clock(runs, tables.calls)),
        "environments": environments,
        "tables_sha256": {
            file.name: sha256(file.read_bytes()) for file in sorted(folder.glob("*.parquet"))
        },
    }


def _distinct(values: "pd.Series[Any]") -> list[str]:
    return sorted(map(str, set(values)))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
