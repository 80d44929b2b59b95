"""`python -m report.page.publish results/<profile>`: a whole study becomes the reference that later ones
are set beside, and the README tells what it found.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import click
import pandas as pd

from experiments.errors import UserError
from experiments.files import ROOT, sha256, write_atomically
from experiments.fingerprint import code_fingerprint
from experiments.records.collect import collect
from experiments.records.run_folder import FINISHED
from experiments.records.study import MANIFEST
from report.page import readme
from report.verdicts.judge import judge_all
from report.verdicts.tables import Tables


@click.command()
@click.argument("results", type=click.Path(path_type=Path))
def main(results: Path) -> None:
    """Publish the study in RESULTS, and what `make calibrate` left beside it."""
    try:
        folder = publish(results, ROOT / "results" / "reference")
        readme.refresh(ROOT, folder)
    except UserError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    click.echo(f"published {folder}, and the README's findings")


def publish(results: Path, reference: Path) -> Path:
    """Put a study's tables, and with them what made them, into the folder `reference`. Returns the
    place of its profile there.

    Raises:
        UserError: the study is not whole, or not of one state of the code, and this one.
    """
    if (results / "runs").exists():
        collect(results)
    judge_all(results)
    tables = Tables.load(results)
    lacking = int((~tables.members["status"].isin(FINISHED)).sum())
    if lacking:
        raise UserError(f"{results} is not whole: {lacking} planned results are not there")
    made_by = set(tables.runs["git_revision"])
    if set(tables.runs["code"]) != {code_fingerprint()}:
        raise UserError(f"{results} was made by other code of training than this: see `make all`")
    if len(made_by) != 1 or any(not name or name.endswith("+changes") for name in made_by):
        raise UserError(f"{results} was not made by one commit: {', '.join(sorted(made_by))}")
    folder = reference / tables.study.profile_name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for file in [results / "study.json", *sorted(results.glob("*.parquet"))]:
        shutil.copy(file, folder)
    manifest = json.dumps(_manifest(tables, folder), indent=2, ensure_ascii=False)
    write_atomically(folder / MANIFEST, manifest.encode() + b"\n")
    calibrated = results.parent / "calibration" / "calibration.parquet"
    if calibrated.exists():
        (reference / "calibration").mkdir(exist_ok=True)
        shutil.copy(calibrated, reference / "calibration")
    return folder


def _manifest(tables: Tables, folder: Path) -> dict[str, Any]:
    """Of what, where, when and by what the tables were made, and a checksum of each."""
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
        "seconds_by_the_clock": round(float(tables.calls["seconds"].sum())),
        "environments": environments,
        "tables_sha256": {
            file.name: sha256(file.read_bytes()) for file in sorted(folder.glob("*.parquet"))
        },
    }


def _distinct(values: "pd.Series[Any]") -> list[str]:
    return sorted(map(str, set(values)))


if __name__ == "__main__":
    main()
