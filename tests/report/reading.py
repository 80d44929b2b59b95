"""Reading what the page shows, without its markup."""

import re
from html.parser import HTMLParser
from typing import Any

from IPython.display import HTML


class _Cells(HTMLParser):
    def __init__(self, shown: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.feed(shown)

    def handle_starttag(self, tag: str, _: Any) -> None:
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
        elif tag == "br":
            self.handle_data(" ")

    def handle_data(self, text: str) -> None:
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += text


def cells(shown: HTML) -> list[list[str]]:
    """Texts of the cells of a table's body, by row."""
    body = str(shown.data).partition("<tbody>")[2].partition("</tbody>")[0]
    return [[" ".join(cell.split()) for cell in row] for row in _Cells(body).rows]


def heads(shown: HTML) -> list[str]:
    """Texts of the headings of a table's columns."""
    head = str(shown.data).partition("<thead>")[2].partition("</thead>")[0]
    return [" ".join(cell.split()) for cell in _Cells(head).rows[0]]


def words(shown: HTML) -> str:
    """The text of a part of the page in one line."""
    return " ".join(re.sub(r"<[^>]+>", "", str(shown.data)).split())
