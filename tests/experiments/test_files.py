"""Files that are written whole, and paths that lead elsewhere."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from experiments.errors import UserError, exit_status
from experiments.files import make_folder, write_atomically
from experiments.records.calls import read_calls, record_call
from experiments.records.run_folder import RunFolder
from experiments.spec import RunSpec


def test_a_folder_is_made_with_its_parents_and_making_it_again_changes_nothing(tmp_path: Path):
    for _ in range(2):
        make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()


def test_a_link_at_the_name_of_a_temporary_file_is_not_written_through(tmp_path: Path, capsys):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("mine")
    (tmp_path / f".table.{os.getpid()}").symlink_to(elsewhere)
    assert exit_status(lambda: write_atomically(tmp_path / "table", b"new")) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert "is a link: whatever is written there would be elsewhere" in line
    assert elsewhere.read_text() == "mine"
    write_atomically(tmp_path / "table", b"new")  # the link has gone
    assert (tmp_path / "table").read_bytes() == b"new"


@pytest.mark.parametrize("name", ["calls.jsonl", "runs/{}/metrics.jsonl"])
def test_a_link_at_the_name_of_a_file_that_grows_is_not_written_through(
    tmp_path: Path, spec: RunSpec, name: str
):
    results, elsewhere = tmp_path / "results", tmp_path / "elsewhere"
    elsewhere.write_text("mine")
    link = results / name.format(spec.run_id)
    link.parent.mkdir(parents=True)
    link.symlink_to(elsewhere)
    writers: list[Callable[[], object]] = [
        lambda: record_call(results, seconds=1.0),
        lambda: RunFolder(results, spec.run_id).start(spec),
    ]
    assert sum(exit_status(lambda each=each: each() and None) == 2 for each in writers) == 1
    assert elsewhere.read_text() == "mine"


def test_a_line_that_was_half_written_does_not_swallow_the_next(tmp_path: Path):
    record_call(tmp_path, seconds=1.0)
    with (tmp_path / "calls.jsonl").open("a") as calls:
        calls.write('{"seconds": 2.0, "se')
    record_call(tmp_path, seconds=3.0)
    assert [call["seconds"] for call in read_calls(tmp_path)] == [1.0, 3.0]


@pytest.mark.parametrize("name", ["../../../elsewhere", "/elsewhere", "a/b"])
def test_a_name_of_a_probe_cannot_lead_out_of_its_folder(tmp_path: Path, name: str):
    with pytest.raises(UserError, match="is no name of a probe"):
        RunFolder(tmp_path, "run").probe(name)
