"""The paper as LaTeX, from a Jinja template whose values are all escaped."""

import re

import jinja2

from report.html import TEMPLATES
from report.paper.document import Paper

# What LaTeX would take for a command, or turn into another character. Characters of Latin-1 and
# typographic quotes and dashes are known to LaTeX as they are.
_ESCAPES = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "`": r"\textasciigrave{}",
    '"': r"\textquotedbl{}",
    "\u00a0": "~",
    "−": r"\ensuremath{-}",
    "≈": r"\ensuremath{\approx}",
    "≠": r"\ensuremath{\neq}",
    "≤": r"\ensuremath{\le}",
    "≥": r"\ensuremath{\ge}",
    "√": r"\ensuremath{\surd}",
    "σ": r"\ensuremath{\sigma}",
    "→": r"\ensuremath{\to}",
    "✓": r"\ding{51}",
    "✗": r"\ding{55}",
} | {character: f"\\{character}" for character in "{}$&%#_"}
_KNOWN = "“”‘’–—…"


def escape(value: object) -> str:
    """Plain text as LaTeX. A character that LaTeX's fonts lack is named by its number."""
    text = re.sub(r"[\x00- \x7f]+", " ", str(value))
    return "".join(map(_escaped, text)).replace("--", "-{}-")  # no dash in place of two hyphens


def _escaped(character: str) -> str:
    known = character.isascii() or "\u00a1" <= character <= "\u00ff" or character in _KNOWN
    return _ESCAPES.get(character, character if known else f"U+{ord(character):04X}")


# Braces and percent signs are LaTeX's own, so the template's marks are others.
_ENVIRONMENT = jinja2.Environment(
    loader=jinja2.FileSystemLoader(TEMPLATES),
    block_start_string="<%",
    block_end_string="%>",
    variable_start_string="<<",
    variable_end_string=">>",
    comment_start_string="<#",
    comment_end_string="#>",
    finalize=escape,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def latex(paper: Paper) -> str:
    """The source of a paper. It reads the figures from PDF files beside it."""
    return _ENVIRONMENT.get_template("paper.tex.j2").render(paper=paper)
