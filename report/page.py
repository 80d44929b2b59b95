"""The page: tables to claims, notebooks executed, all joined into one file."""

import concurrent.futures
import dataclasses
import hashlib
import html
import multiprocessing
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import jinja2
import jupytext
import nbformat
import papermill
from nbconvert import HTMLExporter
from traitlets.config import Config

import report
from experiments.ablation import load_ablations
from experiments.collect import PROBE_TABLES, collect
from experiments.files import write_atomically
from experiments.hardware import usable_cores
from experiments.study import Study
from report.sections import title
from report.tables import Tables
from report.verdict import judge_all

ROOT = Path(report.__file__).parent
TABLES = ("runs", "curves", "membership", *PROBE_TABLES, "identities", "claims")


@dataclass(frozen=True)
class Section:
    """A notebook with its parameters, and what came of it: `body` is HTML, `error` why it broke."""

    anchor: str
    heading: str
    lead: str
    notebook: str
    parameters: dict[str, str]
    body: str = ""
    error: str = ""


def build(results: Path, *, only_if_changed: bool = False) -> tuple[Path, dict[str, str]]:
    """Write `claims.parquet` and `report.html` for what lies in `results` by now.

    Returns the page's path, and the error of every section whose notebook broke, by its heading.
    The page is written in any case, and shows the error there.

    Raises:
        UserError: there are no results.
    """
    if (results / "runs").exists():
        collect(results)
    judge_all(results)
    page, key_file, key = results / "report.html", results / "report.key", _key(results)
    if only_if_changed and page.exists() and key_file.exists() and key_file.read_text() == key:
        return page, {}
    study = Study.load(results)
    (results / "notebooks.log").unlink(missing_ok=True)
    sections = execute(sections_of(Tables.load(results)), results)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(ROOT / "templates"), autoescape=True
    )
    text = environment.get_template("page.html.j2").render(title=title(study), sections=sections)
    broken = {section.heading: section.error for section in sections if section.error}
    write_atomically(page, text.encode())
    write_atomically(key_file, (key if not broken else "broken").encode())
    return page, broken


def sections_of(tables: Tables) -> list[Section]:
    """What was found, a section for each ablation that has runs, how it was made."""
    present = tables.present()
    absent = [name for name in tables.ablations if name not in present]
    lead = f"Not run: {', '.join(absent)}. `make NAME` trains one alone." if absent else ""
    found = Section("findings", "What was found", lead, "findings", {})
    made = Section("method", "How it was made", "", "method", {})
    middle = [
        Section(
            name,
            tables.ablations[name].title,
            " ".join(
                part
                for part in (tables.ablations[name].question, tables.ablations[name].limits)
                if part
            ),
            "ablation",
            {"ablation": name},
        )
        for name in present
    ]
    return [found, *middle, made]


def execute(sections: list[Section], results: Path) -> list[Section]:
    """Run every section's notebook, as many at once as there are cores."""
    # A spawned process each: papermill's event loop wants a main thread of its own.
    context = multiprocessing.get_context("spawn")
    workers = min(usable_cores(), len(sections))
    with (
        tempfile.TemporaryDirectory(prefix="report-") as folder,
        concurrent.futures.ProcessPoolExecutor(workers, mp_context=context) as pool,
    ):
        waiting = [pool.submit(_execute, section, results, folder) for section in sections]
        return [done.result() for done in waiting]


def _execute(section: Section, results: Path, folder: str) -> Section:
    os.environ |= {
        "JUPYTER_RUNTIME_DIR": folder,
        "JUPYTER_PREFER_ENV_PATH": "1",  # this environment's kernel, not one of the user's own
        "IPYTHONDIR": folder,
        "MPLBACKEND": "agg",
        "OMP_NUM_THREADS": "1",
    }
    source = Path(folder) / f"{section.anchor}-source.ipynb"
    executed = Path(folder) / f"{section.anchor}.ipynb"
    notebook = jupytext.read(ROOT / "notebooks" / f"{section.notebook}.py")
    nbformat.write(notebook, source)
    # Kernels talk to stderr when they are shut down; what they say is kept, but not shown.
    with (results / "notebooks.log").open("ab") as log:
        os.dup2(log.fileno(), 2)
    error = ""
    try:
        papermill.execute_notebook(
            source,
            executed,
            parameters={"results": str(results.resolve()), **section.parameters},
            cwd=ROOT.parent,
            progress_bar=False,
            # Each kernel's sockets are files of its own: side by side they would race for ports.
            config=Config(
                {"KernelManager": {"transport": "ipc", "ip": f"{folder}/{section.anchor}"}}
            ),
        )
    except papermill.PapermillExecutionError as broken:
        error = f"{broken.ename}: {broken.evalue}"
    except Exception as broken:  # the kernel died, or never came up: the other sections stand
        error = f"{type(broken).__name__}: {broken}"
    return dataclasses.replace(section, body=_html(executed, error), error=error)


def _html(executed: Path, error: str) -> str:
    """The outputs of an executed notebook, without its code, scripts and styles."""
    broken = f'<p class="warning">This section broke off: {html.escape(error)}</p>' if error else ""
    if not executed.exists():
        return broken
    notebook = nbformat.read(executed, as_version=4)
    notebook.cells = [
        cell
        for cell in notebook.cells
        if cell.cell_type == "code" and "papermill-error-cell-tag" not in cell.metadata.tags
    ]
    for cell in notebook.cells:
        cell.outputs = [
            o for o in cell.outputs if o.output_type in ("display_data", "execute_result")
        ]
    exporter = HTMLExporter(template_name="basic", exclude_input=True, exclude_output_prompt=True)
    body: str = exporter.from_notebook_node(notebook)[0]
    return body + broken


def _key(results: Path) -> str:
    """A hash of all that the page is made of: tables, study, and the code that shows them."""
    digest = hashlib.sha256()
    files = [results / f"{name}.parquet" for name in TABLES] + [results / "study.json"]
    files += sorted(path for path in ROOT.rglob("*") if path.suffix in (".py", ".j2"))
    for file in files:
        digest.update(file.name.encode() + file.read_bytes())
    digest.update(repr(load_ablations()).encode())
    return digest.hexdigest()
