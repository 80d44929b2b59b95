"""The executed notebook of one ablation."""

import os
import shutil
from pathlib import Path

import nbformat
import pytest
from helping import ROOT

from experiments.cli.report import notebook
from experiments.errors import UserError
from report.output.execute import stderr_in_log
from report.output.notebook import main

PUBLISHED = ROOT / "results" / "reference" / "cpu"


def test_a_notebook_has_the_code_and_the_output_of_its_ablation(tmp_path: Path, capfd):
    results = shutil.copytree(PUBLISHED, tmp_path / "cpu")
    assert main(results, "heads") == 0
    file = results / "notebooks" / "heads.ipynb"
    out, err = capfd.readouterr()
    assert (out, err) == (f"notebook: {file}\n", "")
    cells = [cell for cell in nbformat.read(file, as_version=4).cells if cell.cell_type == "code"]
    assert any("rate_search(tables, ablation)" in cell.source for cell in cells)
    shown = [str(output) for cell in cells for output in cell.outputs]
    assert any("Several heads beat one at the same cost" in text for text in shown)
    assert all(output.output_type != "error" for cell in cells for output in cell.outputs)


def test_what_kernels_write_to_stderr_is_in_a_log(tmp_path: Path, capfd):
    with stderr_in_log(tmp_path):
        os.write(2, b"KeyboardInterrupt caught in kernel\n")
    os.write(2, b"afterwards\n")
    assert capfd.readouterr().err == "afterwards\n"
    assert (tmp_path / "notebooks.log").read_text() == "KeyboardInterrupt caught in kernel\n"


def test_a_notebook_without_results_is_refused_in_one_line(tmp_path: Path, capsys):
    assert main(tmp_path / "cpu", "heads") == 2
    assert "run `make all` first" in capsys.readouterr().err


def test_an_unknown_ablation_is_refused_before_anything_is_written():
    with pytest.raises(UserError, match="did you mean 'heads'"):
        notebook("head")
    with pytest.raises(UserError, match="make notebook ABLATION=heads"):
        notebook()
