"""The page: tables to claims, notebooks executed, all joined into one file."""

import concurrent.futures
import contextlib
import dataclasses
import functools
import multiprocessing
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import jupytext
import nbformat
import papermill
from markupsafe import Markup
from nbconvert import HTMLExporter
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook
from traitlets.config import Config

import report
from experiments.files import ROOT, write_atomically
from experiments.records.collect import collect, write_missing
from experiments.records.provenance import usable_cores
from experiments.records.study import Study
from report.figures.atlas import networks
from report.html import render
from report.page.freshness import state
from report.page.summary import title
from report.verdicts.judge import judge_all
from report.verdicts.tables import Tables

NOTEBOOKS = Path(report.__file__).parent / "notebooks"


@dataclass(frozen=True)
class Section:
    """A notebook with its parameters, what stands around it, and what came of it: `error` says why
    it broke.
    """

    anchor: str
    heading: str
    lead: str
    notebook: str
    parameters: dict[str, str]
    limits: str = ""
    body: Markup | str = ""
    error: str = ""


def build(results: Path) -> tuple[Path, dict[str, str]]:
    """Write `claims.parquet` and `report.html` for what lies in `results` by now.

    Returns the page's path, and the error of every section whose notebook broke, by its heading.
    The page is written in any case, and shows the error there.

    Raises:
        UserError: there are no results.
    """
    study, page = Study.load(results), results / "report.html"
    write_missing(results)
    built_from = state(results)  # before the tables: what changes from here on makes it stale
    if (results / "runs").exists():
        collect(results)
    judge_all(results)
    (results / "notebooks.log").unlink(missing_ok=True)
    sections = execute(sections_of(Tables.load(results)), results)
    text = render("page", title=title(study), sections=sections)
    broken = {section.heading: section.error for section in sections if section.error}
    write_atomically(page, text.encode())
    write_atomically(results / "report.key", (built_from if not broken else "broken").encode())
    return page, broken


def sections_of(tables: Tables) -> list[Section]:
    """What was found, a section for each ablation that has runs, how it was made."""
    present = tables.present()
    absent = [name for name in tables.ablations if name not in present]
    lead = f"Not run: {', '.join(absent)}. make NAME trains one alone." if absent else ""
    found = Section("findings", "What was found", lead, "findings", {})
    derived = Section("theory", "Theory, in numbers", "", "theory", {})
    fast = Section("speed", "How fast it trains", "", "speed", {})
    agreed = Section("calibration", "Calibration", "", "calibration", {})
    made = Section("method", "How it was made", "", "method", {})
    middle = [
        Section(
            name,
            tables.ablations[name].title,
            tables.ablations[name].question,
            "ablation",
            {"ablation": name},
            tables.ablations[name].limits,
        )
        for name in present
    ]
    looked = [Section("atlas", "Where every head looks", "", "atlas", {})] * bool(networks(tables))
    return [found, *middle, *looked, derived, fast, agreed, made]


def execute(sections: list[Section], results: Path) -> list[Section]:
    """Run every section's notebook: a kernel per core, which runs one section after the other."""
    # A spawned process each: papermill's event loop wants a main thread of its own.
    context = multiprocessing.get_context("spawn")
    workers = min(usable_cores(), len(sections))
    shares = [sections[start::workers] for start in range(workers)]
    with (
        tempfile.TemporaryDirectory(prefix="report-") as folder,
        concurrent.futures.ProcessPoolExecutor(workers, mp_context=context) as pool,
    ):
        waiting = [pool.submit(_execute, share, results, folder) for share in shares]
        executed = {section.anchor: section for done in waiting for section in done.result()}
    return [executed[section.anchor] for section in sections]


def _execute(sections: list[Section], results: Path, folder: str) -> list[Section]:
    """The sections in one kernel. A cell that breaks ends none but itself; where the kernel dies,
    each section gets one of its own.
    """
    os.environ |= {
        "JUPYTER_RUNTIME_DIR": folder,
        "JUPYTER_PREFER_ENV_PATH": "1",  # this environment's kernel, not one of the user's own
        "IPYTHONDIR": folder,
        "MPLBACKEND": "agg",
        "OMP_NUM_THREADS": "1",
    }
    name = sections[0].anchor
    source, executed = Path(folder) / f"{name}-source.ipynb", Path(folder) / f"{name}.ipynb"
    nbformat.write(_joined(sections, results, folder), source)
    # Kernels talk to stderr when they are shut down; what they say is kept, but not shown.
    with (results / "notebooks.log").open("ab") as log:
        os.dup2(log.fileno(), 2)
    run = functools.partial(
        papermill.execute_notebook,
        source,
        cwd=ROOT,
        progress_bar=False,
        # Each kernel's sockets are files of its own: side by side they would race for ports.
        config=Config({"KernelManager": {"transport": "ipc", "ip": f"{folder}/{name}"}}),
    )
    try:
        try:
            cells = run(None).cells  # written after every cell, it takes twice as long
        except papermill.PapermillExecutionError:  # but where a cell breaks, what is not is lost
            with contextlib.suppress(papermill.PapermillExecutionError):
                run(executed)
            cells = nbformat.read(executed, as_version=4).cells
    except Exception as error:  # the kernel died, or never came up
        if len(sections) > 1:
            return [_execute([section], results, folder)[0] for section in sections]
        return [_shown(sections[0], [], f"{type(error).__name__}: {error}")]
    return [_shown(section, cells) for section in sections]


def _joined(sections: list[Section], results: Path, folder: str) -> nbformat.NotebookNode:
    """One notebook of all the sections', each with its parameters, its cells marked as its own."""
    notebooks: list[nbformat.NotebookNode] = []
    for section in sections:
        source = Path(folder) / f"{section.anchor}-alone.ipynb"
        jupytext.write(jupytext.read(NOTEBOOKS / f"{section.notebook}.py"), source)
        parameters = {"results": str(results.resolve()), **section.parameters}
        notebook = parameterize_notebook(load_notebook_node(str(source)), parameters)
        for place, cell in enumerate(notebook.cells):
            cell.id = f"{len(notebooks)}-{place}"  # jupytext's own are drawn anew each time
            cell.metadata["section"] = section.anchor
            cell.metadata["tags"] = [*cell.metadata.get("tags", []), "raises-exception"]
        notebooks.append(notebook)
    joined: nbformat.NotebookNode = nbformat.v4.new_notebook(
        cells=[cell for notebook in notebooks for cell in notebook.cells],
        metadata=notebooks[0].metadata,  # they agree about the kernel
    )
    return joined


def _shown(section: Section, cells: list[nbformat.NotebookNode], broken: str = "") -> Section:
    """The outputs of a section's executed cells as HTML, without code, scripts and styles."""
    mine = [
        cell
        for cell in cells
        if cell.cell_type == "code" and cell.metadata.get("section") == section.anchor
    ]
    errors = [o for cell in mine for o in cell.outputs if o.output_type == "error"]
    error = f"{errors[0].ename}: {errors[0].evalue}" if errors else broken
    for cell in mine:
        cell.outputs = [
            o for o in cell.outputs if o.output_type in ("display_data", "execute_result")
        ]
    exporter = HTMLExporter(template_name="basic", exclude_input=True, exclude_output_prompt=True)
    body = Markup(exporter.from_notebook_node(nbformat.v4.new_notebook(cells=mine))[0])
    return dataclasses.replace(section, body=body, error=error)
