"""Figures as inline SVG."""

import base64
import io
import re

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from PIL import Image

from report.figures.charts import show
from report.svg import set_tip


def test_figure_is_inline_svg_in_the_colours_of_the_page():
    figure, axes = plt.subplots()
    axes.plot([0, 1], [0.123456, 1], label="<line>")
    axes.legend()
    data = pd.DataFrame({"x": [0.0, 1.0], "name": ["<b>", "=1"]})
    html = show(figure, alt="<b>" + "long " * 100, caption="<i>", data=data).data
    assert "<img" not in html
    assert 'aria-label="&lt;b&gt;long' in html
    alt = html.partition('aria-label="')[2].partition('"')[0]
    assert len(alt) < 310
    assert alt.endswith("…")
    assert "&lt;i&gt;" in html
    assert "&lt;line&gt;" in html
    assert "currentColor" in html or "var(--line)" in html
    assert not re.search(r"\d\.\d{2,}", html.partition("<svg")[2].partition("</svg>")[0])
    assert "x,name\n0,&lt;b&gt;" in html


def test_ids_of_different_figures_differ():
    ids = []
    for height in (1, 2):
        figure, axes = plt.subplots()
        axes.plot([0, 1], [0, height], "o")
        html = show(figure, alt="", caption="").data
        ids.append(set(re.findall(r' id="([^"]+)"', html)))
        references = {*re.findall(r"url\(#([^)]+)\)", html), *re.findall(r'href="#([^"]+)"', html)}
        assert references == ids[-1]
    assert ids[0]
    assert not ids[0] & ids[1]


def test_a_tip_is_the_title_of_what_it_was_set_on():
    figure, axes = plt.subplots()
    (line,) = axes.plot([0, 1], [0, 1])
    axes.plot([0, 1], [1, 0])
    set_tip(line, "a < b: −0.1")
    svg = show(figure, alt="", caption="").data.partition("<svg")[2].partition("</svg>")[0]
    assert re.findall(r"<g><title>(.*?)</title><path", svg) == ["a &lt; b: −0.1"]


def test_heat_maps_are_images_with_a_palette_and_the_same_colours():
    figure, axes = plt.subplots(figsize=(2, 2))
    axes.imshow(np.linspace(0, 1, 64).reshape(8, 8), cmap="Blues", interpolation="nearest")
    html = show(figure, alt="", caption="").data
    (data,) = re.findall(r'href="data:image/png;base64,([^"]+)"', html)
    image = Image.open(io.BytesIO(base64.b64decode(data)))
    assert image.mode == "P"
    pixels = np.asarray(image.convert("RGB"), dtype=int)
    for pixel, value in ((pixels[-3, 2], 0.0), (pixels[2, -3], 1.0)):  # upside down, as in SVG
        assert abs(pixel - np.multiply(plt.get_cmap("Blues")(value)[:3], 255)).max() <= 4
