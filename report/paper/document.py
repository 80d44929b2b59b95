"""The parts of a paper, in plain text, from which HTML and LaTeX are rendered."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from matplotlib.figure import Figure


@dataclass(frozen=True)
class Paragraph:
    """A paragraph, with a heading on its first line if `lead` is given."""

    kind: ClassVar = "paragraph"
    text: str
    lead: str = ""


@dataclass(frozen=True)
class Items:
    """A list of points."""

    kind: ClassVar = "items"
    texts: Sequence[str]


@dataclass(frozen=True)
class Table:
    """A table with a caption.

    wide: index of the column whose cells break into lines.
    """

    kind: ClassVar = "table"
    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    wide: int = 0


@dataclass(frozen=True)
class Picture:
    """A figure with a caption.

    name: name of its file, without suffix.
    alt: alternative text for readers who cannot see the figure.
    """

    kind: ClassVar = "picture"
    name: str
    figure: Figure
    alt: str
    caption: str


@dataclass(frozen=True)
class Commands:
    """Lines that are typed into a terminal."""

    kind: ClassVar = "commands"
    lines: Sequence[str]


Part = Paragraph | Items | Table | Picture | Commands


@dataclass(frozen=True)
class Section:
    """A section of the paper."""

    heading: str
    parts: Sequence[Part]


@dataclass(frozen=True)
class Reference:
    """A cited paper by author and year, its number as in `report.sources`, and its address."""

    paper: str
    number: str
    address: str


@dataclass(frozen=True)
class Paper:
    """A paper.

    byline: below the title: what the paper is made from.
    """

    title: str
    byline: str
    abstract: str
    sections: Sequence[Section]
    references: Sequence[Reference]

    @property
    def pictures(self) -> list[Picture]:
        """The figures of all sections."""
        parts = (part for section in self.sections for part in section.parts)
        return [part for part in parts if isinstance(part, Picture)]
