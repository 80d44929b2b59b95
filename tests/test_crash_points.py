"""A study that fails at an operation on its files, and the faulty disk that makes it fail."""

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from helping import ROOT, clean_environment

from experiments.files import write_atomically
from tests.faulty_disk import FaultyDisk, lose_unflushed

OLD, NEW = b"old", b"new content"


def write_in_place(file: Path) -> None:
    file.write_bytes(NEW)


def write_flushed(file: Path) -> None:
    with file.open("wb") as opened:
        opened.write(NEW)
        opened.flush()
        os.fsync(opened.fileno())


def append(file: Path) -> None:
    with file.open("ab") as opened:
        opened.write(NEW)


def rename_unflushed(file: Path) -> None:
    beside = file.with_name("beside")
    beside.write_bytes(NEW)
    os.replace(beside, file)


def rename_without_folder(file: Path) -> None:
    beside = file.with_name("beside")
    write_flushed(beside)
    os.replace(beside, file)


def write_whole(file: Path) -> None:
    write_atomically(file, NEW)


def delete(file: Path) -> None:
    file.unlink()


def change_then_fail(
    folder: Path, journal: Path, change: Callable[[Path], None], fault: str, at: int
) -> None:
    """Change the file of a folder on a faulty disk; then make a folder beside the file."""
    os.setsid()
    disk = FaultyDisk(folder, journal, fault, at)
    disk.install()
    change(folder / "file")
    if not at:
        (journal / "operations").write_text(str(disk.operations.value))
    (folder / "end").mkdir()


def after(tmp_path: Path, change: Callable[[Path], None], fault: str) -> bytes | None:
    """Content of the file after a change and a fault behind it; None if it is not there."""
    folder, journal = tmp_path / "folder", tmp_path / "journal"
    spawn = multiprocessing.get_context("spawn")
    for at in (0, -1):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "file").write_bytes(OLD)
        if at:
            (folder / "end").rmdir()
            at = int((journal / "operations").read_text()) + 1
            (journal / "entries").unlink()
        process = spawn.Process(target=change_then_fail, args=(folder, journal, change, fault, at))
        process.start()
        process.join()
    lose_unflushed(folder, journal, folders=fault == "power, all lost")
    assert not (folder / "end").exists()
    return (folder / "file").read_bytes() if (folder / "file").exists() else None


@pytest.mark.parametrize(
    ("change", "data_lost", "all_lost"),
    [
        (write_in_place, b"", b""),
        (write_flushed, NEW, NEW),
        (append, OLD, OLD),
        (rename_unflushed, b"", OLD),
        (rename_without_folder, NEW, OLD),
        (write_whole, NEW, NEW),
        (delete, None, OLD),
    ],
)
def test_a_power_cut_takes_what_was_not_flushed(
    tmp_path: Path, change: Callable[[Path], None], data_lost: bytes | None, all_lost: bytes | None
):
    assert after(tmp_path / "data", change, "power, data lost") == data_lost
    assert after(tmp_path / "all", change, "power, all lost") == all_lost


@pytest.mark.slow
@pytest.mark.parametrize(("command", "sample"), [("run", "3"), ("work", "2")])
def test_a_study_that_fails_at_an_operation_on_its_files_loses_nothing(command: str, sample: str):
    words = [sys.executable, "-m", "tests.crash_points", "--command", command, "--sample", sample]
    done = subprocess.run(
        words, cwd=ROOT, env=clean_environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "crash points: 0 problems" in done.stdout
