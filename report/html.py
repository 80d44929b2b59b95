"""HTML from the templates, which escape whatever comes from outside on its way in."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import jinja2
from IPython.display import HTML
from markupsafe import Markup

EMPTY = HTML("")
_ENVIRONMENT = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(template: str, suffix: str = "html", **values: Any) -> Markup:
    """A template of report/templates with these values."""
    return Markup(_ENVIRONMENT.get_template(f"{template}.{suffix}.j2").render(values))


def join_html(*parts: Markup | str) -> HTML:
    """Parts, one after the other, as a notebook shows them; a string is text."""
    return HTML(Markup("").join(parts))


def table(
    head: Sequence[str], rows: Iterable[Sequence[object]], note: Markup | str = "", name: str = ""
) -> Markup:
    """Cells as an HTML table, which scrolls by itself where it is too wide, and can be sorted by
    any column; with a note below it. `name` says what it is to those who cannot see it, and where
    it is given, a field to search the rows is set above.
    """
    return render("table", head=head, rows=[list(row) for row in rows], note=note, name=name)


def details(summary: str, *parts: Markup | str) -> Markup:
    """Parts that the reader can unfold."""
    return render("folded", summary=summary, inside=Markup("").join(parts))


def heading(anchor: str, words: str) -> Markup:
    """A heading within a section, with a link to itself."""
    return render("heading", anchor=anchor, words=words)
