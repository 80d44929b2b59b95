"""Building the page: tables, verdicts, and one section per notebook in a single HTML file."""

from pathlib import Path

from experiments.files import write_atomically
from experiments.records.collect import collect, write_missing
from experiments.records.study import Study
from report.html import render
from report.output.execute import execute
from report.output.freshness import fingerprint
from report.output.story import arranged, page_sections
from report.page.summary import title
from report.study.judge import judge_all
from report.study.tables import Tables


def build(results: Path) -> tuple[Path, dict[str, str]]:
    """Write `claims.parquet` and `report.html` for the current contents of `results`.

    The page is written even if notebooks fail, and shows the errors.

    Returns:
        The path of the page, and the error of every failed section by its heading.

    Raises:
        UserError: there are no results.
    """
    study, page = Study.load(results), results / "report.html"
    write_missing(results)
    key = fingerprint(results)  # taken first: changes during the build make the page outdated
    if (results / "runs").exists():
        collect(results)
    judge_all(results)
    (results / "notebooks.log").unlink(missing_ok=True)
    sections = execute(page_sections(Tables.load(results)), results)
    errors = {section.heading: section.error for section in sections if section.error}
    html = render("page", title=title(study), groups=arranged(sections))
    write_atomically(page, html.encode())
    write_atomically(results / "report.key", b"broken" if errors else key.encode())
    return page, errors
