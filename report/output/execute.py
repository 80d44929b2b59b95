"""Execution of the notebooks: every section's cells run in a kernel and become HTML."""

import concurrent.futures
import contextlib
import dataclasses
import functools
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import jupytext
import nbformat
import papermill
from markupsafe import Markup
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook
from traitlets.config import Config

import report
from experiments.files import ROOT
from experiments.records.provenance import usable_cores
from report.html import paragraph

NOTEBOOKS = Path(report.__file__).parent / "notebooks"


@dataclass(frozen=True)
class Section:
    """A section of the page, made by a notebook with parameters."""

    anchor: str
    heading: str
    lead: str = ""
    """Text below the heading."""
    notebook: str = ""
    """Name in report/notebooks; the anchor if empty."""
    parameters: dict[str, str] = field(default_factory=dict)
    limits: str = ""
    """Limitations, shown below the reason."""
    group: str = ""
    """Heading of the group that the section belongs to."""
    chapter: str = ""
    """Heading over this section and its neighbours with the same chapter; its own if empty."""
    body: Markup | str = ""
    """Output of the executed notebook."""
    folded: Markup | str = ""
    """Output of the cells that are tagged "folded", shown on demand."""
    error: str = ""
    """First error of the notebook."""


def execute(sections: list[Section], results: Path) -> list[Section]:
    """Sections with their notebooks executed, in one kernel per core."""
    # Spawned processes, because papermill's event loop must run in the main thread.
    context = multiprocessing.get_context("spawn")
    workers = min(usable_cores(), len(sections))
    shares = [sections[start::workers] for start in range(workers)]
    with (
        tempfile.TemporaryDirectory(prefix="report-") as folder,
        concurrent.futures.ProcessPoolExecutor(workers, mp_context=context) as pool,
    ):
        futures = [pool.submit(_execute, share, results, folder) for share in shares]
        executed = {section.anchor: section for done in futures for section in done.result()}
    return [executed[section.anchor] for section in sections]


@contextlib.contextmanager
def stderr_in_log(results: Path) -> Iterator[None]:
    """Append what this process and its kernels write to stderr to `notebooks.log`.

    A kernel writes an error when it is interrupted as it shuts down, which is no error of a
    notebook.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with (results / "notebooks.log").open("ab") as log:
            os.dup2(log.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _execute(sections: list[Section], results: Path, folder: str) -> list[Section]:
    """Execute sections one after the other in one kernel.

    An error in a cell affects no other cell. If the kernel dies, every section is executed again in
    a kernel of its own.
    """
    os.environ |= {
        "JUPYTER_RUNTIME_DIR": folder,
        "JUPYTER_PREFER_ENV_PATH": "1",  # the kernel of this environment, not one of the user's
        "IPYTHONDIR": folder,
        "MPLBACKEND": "agg",
        "OMP_NUM_THREADS": "1",
    }
    try:
        with stderr_in_log(results):
            cells = _run(_joined(sections, results, folder), f"{folder}/{sections[0].anchor}")
    except Exception as error:  # the kernel died or did not start
        if len(sections) > 1:
            return [_execute([section], results, folder)[0] for section in sections]
        return [dataclasses.replace(sections[0], error=f"{type(error).__name__}: {error}")]
    return [_with_output(section, cells) for section in sections]


def _run(notebook: nbformat.NotebookNode, path: str) -> list[nbformat.NotebookNode]:
    """Executed cells of a notebook. Files are written next to `path`."""
    source, output = Path(f"{path}-source.ipynb"), Path(f"{path}.ipynb")
    nbformat.write(notebook, source)
    run = functools.partial(
        papermill.execute_notebook,
        source,
        cwd=ROOT,
        progress_bar=False,
        # Sockets are files of each kernel's own, because parallel kernels race for TCP ports.
        config=Config({"KernelManager": {"transport": "ipc", "ip": path}}),
    )
    try:
        return run(None).cells  # without an output file, which papermill writes after every cell
    except papermill.PapermillExecutionError:
        # The cells of a failed notebook are returned in the output file only, so it runs again.
        with contextlib.suppress(papermill.PapermillExecutionError):
            run(output)
        return nbformat.read(output, as_version=4).cells


def _joined(sections: list[Section], results: Path, folder: str) -> nbformat.NotebookNode:
    """A notebook with the cells of all sections, each marked with the anchor of its section."""
    cells: list[nbformat.NotebookNode] = []
    for section in sections:
        source = Path(folder) / f"{section.anchor}-alone.ipynb"
        name = section.notebook or section.anchor
        jupytext.write(jupytext.read(NOTEBOOKS / f"{name}.py"), source)
        parameters = {"results": str(results.resolve()), **section.parameters}
        notebook = parameterize_notebook(load_notebook_node(str(source)), parameters)
        for cell in notebook.cells:
            cell.id = f"cell-{len(cells)}"  # in place of jupytext's random ids
            cell.metadata["section"] = section.anchor
            cell.metadata["tags"] = [*cell.metadata.get("tags", []), "raises-exception"]
            cells.append(cell)
    return nbformat.v4.new_notebook(cells=cells, metadata=notebook.metadata)


def _with_output(section: Section, cells: list[nbformat.NotebookNode]) -> Section:
    """The section with its cells' outputs as HTML, without code, scripts and styles."""
    cells = [
        cell
        for cell in cells
        if cell.cell_type == "code" and cell.metadata.get("section") == section.anchor
    ]
    outputs = [output for cell in cells for output in cell.outputs]
    errors = [f"{o.ename}: {o.evalue}" for o in outputs if o.output_type == "error"]
    for cell in cells:
        kinds = ("display_data", "execute_result")
        cell.outputs = [output for output in cell.outputs if output.output_type in kinds]
    folded = [cell for cell in cells if "folded" in cell.metadata["tags"]]
    shown = [cell for cell in cells if cell not in folded]
    error = errors[0] if errors else ""
    return dataclasses.replace(section, body=_html(shown), folded=_html(folded), error=error)


def _html(cells: list[nbformat.NotebookNode]) -> Markup:
    """The outputs of executed cells: HTML as it is, and a text where a cell has no HTML."""
    texts = [output.data for cell in cells for output in cell.outputs]
    return Markup("\n").join(
        Markup(data["text/html"]) if "text/html" in data else paragraph(data["text/plain"])
        for data in texts
    )
