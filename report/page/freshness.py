"""Whether a page is what would be built now; answered without loading what builds it."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from experiments.files import ROOT
from experiments.records.run_folder import MEASURED


def is_fresh(results: Path) -> bool:
    """Whether the page, and the tables it shows, are of what lies in the results folder by now."""
    there = all((results / name).exists() for name in ("report.html", "report.key", "runs.parquet"))
    return there and (results / "report.key").read_text() == state(results)


def state(results: Path) -> str:
    """A hash of all that a page is made from: what runs left, by size and time of change, what was
    measured apart from them, the study, and the code.
    """
    digest = hashlib.sha256()
    for file in _inputs(results):
        found = file.stat()
        digest.update(f"{file.relative_to(results)} {found.st_size} {found.st_mtime_ns}\n".encode())
    for file in [results / "study.json", *(results / f"{name}.parquet" for name in MEASURED)]:
        digest.update(file.name.encode() + (file.read_bytes() if file.exists() else b""))
    for folder in ("calibration", "reference/calibration", f"reference/{results.name}"):
        for file in sorted((results.parent / folder).glob("*.parquet")):
            digest.update(folder.encode() + file.read_bytes())
    for room in ("experiments", "model", "report"):
        for file in sorted((ROOT / room).rglob("*")):
            if file.suffix in (".py", ".j2", ".css", ".js"):
                digest.update(str(file.relative_to(ROOT)).encode() + file.read_bytes())
    return digest.hexdigest()


def _inputs(results: Path) -> Iterator[Path]:
    """What runs left, and the notes of calls; where only tables are at hand, these."""
    if (results / "runs").exists():
        yield from sorted(file for file in (results / "runs").rglob("*") if file.is_file())
        yield from results.glob("calls.jsonl")
    else:
        yield from sorted(set(results.glob("*.parquet")) - {results / "claims.parquet"})
