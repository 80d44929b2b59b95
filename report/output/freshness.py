"""Whether a page is up to date, decided without loading the packages that build the page."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from experiments.catalogue import users_folder
from experiments.files import ROOT
from experiments.records.run_folder import MEASURED


def is_fresh(results: Path) -> bool:
    """Whether the page and its tables were made from the current results and code."""
    needed = ("report.html", "report.key", "runs.parquet")
    exist = all((results / name).exists() for name in needed)
    return exist and (results / "report.key").read_text() == fingerprint(results)


def fingerprint(results: Path) -> str:
    """Hash of everything that a page is made from.

    Files of runs are hashed by size and modification time; the study, tables measured without
    training, published tables and code by content.
    """
    digest = hashlib.sha256()
    for file in _run_files(results):
        stat = file.stat()
        digest.update(f"{file.relative_to(results)} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    for file in [results / "study.json", *(results / f"{name}.parquet" for name in MEASURED)]:
        digest.update(file.name.encode() + (file.read_bytes() if file.exists() else b""))
    for folder in ("calibration", "reference/calibration", f"reference/{results.name}"):
        for file in sorted((results.parent / folder).glob("*.parquet")):
            digest.update(folder.encode() + file.read_bytes())
    for package in ("experiments", "model", "report"):
        for file in sorted((ROOT / package).rglob("*")):
            if file.suffix in (".py", ".j2", ".css", ".js", ".toml"):
                digest.update(str(file.relative_to(ROOT)).encode() + file.read_bytes())
    own = users_folder()
    for file in sorted(own.glob("*.py")) if own else []:
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()


def _run_files(results: Path) -> Iterator[Path]:
    """Files written by runs and by the command line; in a published study, the tables."""
    if (results / "runs").exists():
        yield from sorted(file for file in (results / "runs").rglob("*") if file.is_file())
        for name in ("calls.jsonl", "seals.jsonl"):
            yield from results.glob(name)
    else:
        yield from sorted(set(results.glob("*.parquet")) - {results / "claims.parquet"})
