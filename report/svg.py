"""Figures as inline SVG: text that can be selected, the page's colours, and short coordinates."""

import base64
import hashlib
import io
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from PIL import Image

from experiments.errors import printable

# Colours of a figure that the page replaces by its own, which differ in light and in dark.
INK = "#1c1c1d"
SOFT = "#595956"
LINE = "#d5d5d1"
PAPER = "#fdfdfd"
_PAGE_COLOURS = {
    INK: "currentColor",
    SOFT: "var(--soft)",
    LINE: "var(--line)",
    PAPER: "var(--paper)",
}

# Settings of matplotlib for figures that become inline SVG.
SETTINGS: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "report",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": LINE,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": LINE,
    "legend.facecolor": PAPER,
    "legend.edgecolor": LINE,
}

# Styles that are frequent, and the classes of the page that stand for them.
_CLASSES = {
    "fill:none;stroke:var(--line);stroke-width:0.8": "grid",
    "fill:none;stroke:var(--line);stroke-linecap:square": "edge",
    "fill:none;opacity:0": "area",  # invisible, but the pointer meets it
}
_SVG = "{http://www.w3.org/2000/svg}"
_HREF = "{http://www.w3.org/1999/xlink}href"
_CONTAINERS = (f"{_SVG}g", f"{_SVG}defs")
_TIP = "tip: "  # begins the id of what has a text to show under the pointer
_IMAGE_DPI = 50  # of heat maps, whose cells are larger than such pixels
_POINTS_PER_PIXEL = 0.75
_DEFAULTS = {  # declarations that the page makes for all figures, or that hold anyway
    "stroke-linecap: round",
    "stroke-linecap: butt",
    "stroke-linejoin: miter",
    "stroke-linejoin: round",
    "font-family: 'DejaVu Sans', sans-serif",
    "font-family: 'DejaVu Sans'",
    "text-anchor: start",
    "font-size: 8.8px",
    f"fill: {INK}",
}


def set_tip(artist: Artist, text: str) -> None:
    """Let the page show a text while the pointer is over an artist."""
    artist.set_gid(_TIP + printable(text))


def inline_svg(figure: Figure, alt: str) -> Markup:
    """A figure as an `svg` element for the page. Ids of different figures differ.

    Args:
        figure: drawn with `SETTINGS`.
        alt: accessible name of the figure.
    """
    buffer = io.StringIO()
    box = None if figure.get_constrained_layout() else "tight"
    figure.savefig(buffer, format="svg", bbox_inches=box, dpi=_IMAGE_DPI, metadata={"Date": None})
    text = printable(buffer.getvalue())  # a name may have characters that XML must not hold
    prefix = "s" + hashlib.sha256(text.encode()).hexdigest()[:8]
    root = ET.fromstring(text)
    width, height = (float(number) for number in root.attrib["viewBox"].split()[2:])
    used = sorted(set(re.findall(r'(?:url\(|href=")#([^")]+)', text)))
    _shorten(root, {identity: f"{prefix}-{place}" for place, identity in enumerate(used)})
    inside = "".join(ET.tostring(child, encoding="unicode") for child in root)
    inside = re.sub(r' xmlns(:\w+)?="[^"]*"', "", inside)
    inside = re.sub(r"(</?)ns\d+:", r"\1", inside)
    for colour, replacement in _PAGE_COLOURS.items():
        inside = inside.replace(colour, replacement)
    for style, name in _CLASSES.items():
        inside = inside.replace(f'style="{style}"', f'class="{name}"')
    inside = inside.replace(" />", "/>")
    return Markup(
        '<svg class="figure" role="img" aria-label="{}" viewBox="0 0 {} {}"'
        ' style="max-width:{:.0f}px">{}</svg>'
    ).format(alt, f"{width:.1f}", f"{height:.1f}", width / _POINTS_PER_PIXEL, Markup(inside))


def _shorten(element: ET.Element, names: Mapping[str, str]) -> None:
    """Round coordinates, replace the ids that are used by `names`, and leave out what draws
    nothing.
    """
    for child in list(element):
        _shorten(child, names)
        attributes = child.attrib
        identity = attributes.get("id", "")
        if identity.startswith(_TIP):
            child.insert(0, title := ET.Element(f"{_SVG}title"))
            title.text = identity.removeprefix(_TIP)
        if identity in names:
            attributes["id"] = names[identity]
        else:
            attributes.pop("id", None)
        if reference := attributes.pop(_HREF, None):  # an image is a data address
            own = reference.startswith("#")
            attributes["href"] = f"#{names[reference[1:]]}" if own else _palette_png(reference)
        for name in ("clip-path", "d", "x", "y", "width", "height", "transform", "style"):
            if name in attributes:
                attributes[name] = _short(name, attributes[name], names)
                if not attributes[name]:
                    del attributes[name]
        if f"stroke:{LINE}" in attributes.get("style", ""):
            attributes.pop("clip-path", None)  # lines of the grid end at the edge anyway
        child.tail = ""
        if not (child.text or "").strip():
            child.text = ""
        empty = child.tag in _CONTAINERS and not len(child)
        empty |= child.tag in (f"{_SVG}metadata", f"{_SVG}style")
        blank = child.tag == f"{_SVG}path" and attributes.get("style") == "fill:none"
        place = list(element).index(child)
        if empty or blank:
            element.remove(child)
        elif child.tag == f"{_SVG}g" and not attributes and not identity.startswith(_TIP):
            element[place : place + 1] = list(child)


def _palette_png(address: str) -> str:
    """The address of a PNG image as data, with a palette in place of four bytes a pixel."""
    image = Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2])))
    buffer = io.BytesIO()
    image.convert("RGB").quantize(256).save(buffer, "png", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _short(name: str, value: str, names: Mapping[str, str]) -> str:
    """The value of an attribute, shorter."""
    if name == "style":
        parts = [part.strip() for part in value.split(";")]
        return ";".join(part.replace(": ", ":") for part in parts if part not in _DEFAULTS)
    if name == "clip-path":
        return re.sub(r"#([^)]+)", lambda found: f"#{names[found[1]]}", value)
    value = re.sub(r"(\.\d)\d+", r"\1", value)  # a tenth of a point cannot be seen
    value = re.sub(r"\.0(?!\d)", "", value)
    if name == "transform":
        return re.sub(r"^rotate\(-?0 .*\)$", "", value)
    if name == "d":
        value = re.sub(r"\s*([A-Za-z])\s*", r"\1", value)
    return re.sub(r"\s+", " ", value).strip()
