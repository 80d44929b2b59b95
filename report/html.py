"""HTML from the Jinja templates in report/templates, which escape every value they insert."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import jinja2
from IPython.display import HTML
from latex2mathml.converter import convert
from markupsafe import Markup

from experiments.errors import printable

TEMPLATES = Path(__file__).parent / "templates"
EMPTY = HTML("")
_ENVIRONMENT = jinja2.Environment(
    loader=jinja2.FileSystemLoader(TEMPLATES),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    finalize=lambda value: printable(value) if type(value) is str else value,
)


def mathml(latex: str) -> Markup:
    """A LaTeX formula as block MathML, in a box that scrolls if the formula is too wide."""
    formula = Markup(convert(str(latex).strip(), display="block"))
    return Markup('<div class="wide">{}</div>').format(formula)


_ENVIRONMENT.filters["mathml"] = mathml


def render(template: str, suffix: str = "html", **values: Any) -> Markup:
    """The template `report/templates/{template}.{suffix}.j2`, filled with `values`."""
    return Markup(_ENVIRONMENT.get_template(f"{template}.{suffix}.j2").render(values))


def paragraph(text: str) -> Markup:
    """A paragraph of plain text."""
    return Markup("<p>{}</p>\n").format(text if isinstance(text, Markup) else printable(text))


def join_html(*parts: Markup | str) -> HTML:
    """Concatenated parts as the output of a notebook cell. A plain string is escaped."""
    return HTML(Markup("").join(parts))


def table(
    head: Sequence[str], rows: Iterable[Sequence[object]], note: Markup | str = "", name: str = ""
) -> Markup:
    """A table that scrolls horizontally and sorts by any column, with a note below.

    Args:
        head: column headings.
        rows: cells of each row; the first cell is the heading of the row.
        note: text below the table.
        name: accessible name of the table. A table with a name gets a search field above.
    """
    return render("table", head=head, rows=[list(row) for row in rows], note=note, name=name)


def details(summary: str, *parts: Markup | str) -> Markup:
    """Collapsed parts that the reader can expand."""
    return render("folded", summary=summary, inside=Markup("").join(parts))


def side_by_side(*figures: HTML) -> HTML:
    """Figures in one row where there is room. Empty figures are left out."""
    shown = [figure.data for figure in figures if figure.data]
    return HTML(render("pair", figures=shown)) if shown else EMPTY


def heading(words: str) -> HTML:
    """A heading inside a section."""
    return HTML(render("heading", words=words))
