"""Notebook of one ablation, executed and with its code, to go on from.

`python -m report.output.notebook results/<profile> <ablation>` writes it.
"""

import sys
import tempfile
from pathlib import Path

import jupytext
import papermill
from traitlets.config import Config

from experiments.errors import UserError, exit_status
from experiments.files import ROOT, write_atomically
from experiments.records.study import Study
from report.output.execute import NOTEBOOKS, stderr_in_log


def main(results: Path, ablation: str) -> int:
    """Write the notebook of an ablation, and return the exit status."""
    return exit_status(lambda: print(f"notebook: {write_notebook(results, ablation)}"))


def write_notebook(results: Path, ablation: str) -> Path:
    """Execute `report/notebooks/ablation.py` for an ablation, and write it with its code and its
    output to `notebooks/<ablation>.ipynb` in the results folder.

    Raises:
        UserError: there are no results, or a cell fails.
    """
    Study.load(results)
    parameters = {"results": str(results.resolve()), "ablation": ablation}
    with tempfile.TemporaryDirectory(prefix="notebook-") as folder:
        source, output = Path(folder) / "source.ipynb", Path(folder) / "output.ipynb"
        jupytext.write(jupytext.read(NOTEBOOKS / "ablation.py"), source)
        sockets = Config({"KernelManager": {"transport": "ipc", "ip": f"{folder}/kernel"}})
        try:
            with stderr_in_log(results):
                papermill.execute_notebook(
                    source,
                    output,
                    parameters,
                    cwd=ROOT,
                    progress_bar=False,
                    config=sockets,
                )
        except papermill.PapermillExecutionError as error:
            raise UserError(
                f"the notebook of {ablation} failed: {error.ename}: {error.evalue}"
            ) from None
        file = results / "notebooks" / f"{ablation}.ipynb"
        file.parent.mkdir(exist_ok=True)
        write_atomically(file, output.read_bytes())
    return file


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
