"""Building the paper: `python -m report.paper.build results/<profile>` writes HTML and LaTeX."""

import sys
from pathlib import Path

import matplotlib.pyplot as plt

from experiments.errors import exit_status
from experiments.files import write_atomically
from experiments.records.collect import collect, write_missing
from experiments.records.study import Study
from report.figures.charts import saved
from report.page.claims import claims_of
from report.paper.content import paper_of
from report.paper.html import html
from report.paper.latex import latex
from report.study.judge import judge_all
from report.study.tables import Tables


def main(results: Path) -> int:
    """Write the paper of a results folder, and return the exit status."""
    return exit_status(lambda: print(f"paper: {' and '.join(map(str, build(results)))}"))


def build(results: Path) -> tuple[Path, Path]:
    """Write `paper.html`, and `paper/paper.tex` with its figures, for the contents of `results`.

    Returns the two files.

    Raises:
        UserError: there are no results, or a table is damaged.
    """
    Study.load(results)  # which says so where there are no results
    write_missing(results)
    if (results / "runs").exists():
        collect(results)
    judge_all(results)
    paper = paper_of(Tables.load(results), claims_of(results))
    page, source = results / "paper.html", results / "paper" / "paper.tex"
    source.parent.mkdir(exist_ok=True)
    write_atomically(page, html(paper).encode())
    write_atomically(source, latex(paper).encode())
    for picture in paper.pictures:
        pdf = saved(picture.figure, "pdf", metadata={"CreationDate": None})
        write_atomically(source.parent / f"{picture.name}.pdf", pdf)
        plt.close(picture.figure)
    return page, source


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
