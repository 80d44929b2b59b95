"""Building the page: tables, verdicts, and one section per notebook in a single HTML file."""

from pathlib import Path

from experiments.files import write_atomically
from experiments.records.collect import collect, write_missing
from experiments.records.study import Study
from report.figures.atlas import networks
from report.html import render
from report.output.execute import Section, execute
from report.output.freshness import fingerprint
from report.page.summary import title
from report.verdicts.judge import judge_all
from report.verdicts.tables import Tables


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
    html = render("page", title=title(study), sections=sections)
    write_atomically(page, html.encode())
    write_atomically(results / "report.key", b"broken" if errors else key.encode())
    return page, errors


def page_sections(tables: Tables) -> list[Section]:
    """Findings, one section per ablation that has runs, and the sections that follow."""
    present = tables.present()
    absent = [name for name in tables.ablations if name not in present]
    lead = f"Not run: {', '.join(absent)}. make NAME trains one of them." if absent else ""
    sections = [Section("findings", "Findings", lead)]
    for name in present:
        ablation = tables.ablations[name]
        parameters = {"ablation": name}
        sections.append(
            Section(
                name, ablation.title, ablation.question, "ablation", parameters, ablation.limits
            )
        )
    if networks(tables):
        sections.append(Section("atlas", "Attention atlas"))
    return [
        *sections,
        Section("theory", "Theory in numbers"),
        Section("speed", "Training speed"),
        Section("calibration", "Calibration"),
        Section("method", "How the study was made"),
    ]
