"""The page as people meet it: in a browser, with and without scripts, mouse, light and paper."""

import re
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from browsing import opened_in
from playwright.sync_api import Browser, Page


def unfold(tab: Page, section: str) -> None:
    """Open what a section shows on demand."""
    tab.locator(f"#{section} > .more > summary").click()


def test_a_table_sorts_by_number_in_both_directions(opened: Page):
    unfold(opened, "atlas")
    opened.get_by_text("Scores of every head", exact=True).click()
    table = opened.locator("table[aria-label='Scores of every head']")
    table.scroll_into_view_if_needed()
    column = table.locator("tbody tr td:nth-child(3)")
    before = column.all_inner_texts()
    head = table.locator("thead th").nth(2)
    head.locator("button").click()
    numbers = [float(text) for text in column.all_inner_texts()]
    assert numbers == sorted(numbers)
    assert numbers != [float(text) for text in before]
    assert head.get_attribute("aria-sort") == "ascending"
    head.locator("button").press("Enter")
    assert [float(text) for text in column.all_inner_texts()] == numbers[::-1]
    assert head.get_attribute("aria-sort") == "descending"


def test_the_search_field_filters_the_table_of_runs(opened: Page):
    unfold(opened, "method")
    opened.get_by_text(re.compile(r"^All runs")).click()
    rows = opened.locator("table[aria-label='All runs'] tbody tr:visible")
    rows.first.wait_for()
    everything = 11 + 12 + 2 * 6  # at both budgets, and the trials of two arms
    assert rows.count() == everything
    search = opened.locator("#method .search input")
    search.fill("script failed")
    assert rows.count() == 1
    assert "because <i>planted</i>" in rows.inner_text()
    search.fill("no such run")
    assert rows.count() == 0
    search.fill("")
    assert rows.count() == everything


def test_the_atlas_is_operated_by_mouse_and_by_keyboard(opened: Page):
    status, passage = opened.locator("#atlas-status"), opened.locator("#atlas-passage")
    letters = passage.locator("span")
    letters.nth(4).hover()
    assert "at position 5 attends to" in status.inner_text()
    assert re.search(
        r"at position 4: 7\d %", status.inner_text()
    )  # the planted weight of the first head
    shades = [letters.nth(i).evaluate("span => span.style.backgroundColor") for i in range(6)]
    assert shades[3]
    assert not shades[5]
    passage.focus()
    opened.keyboard.press("ArrowRight")
    assert "at position 6 attends to" in status.inner_text()
    opened.keyboard.press("Home")
    assert "at position 1 attends to" in status.inner_text()
    assert passage.get_attribute("aria-activedescendant") == letters.first.get_attribute("id")
    opened.keyboard.press("End")
    first = status.inner_text()
    opened.locator("#atlas-head").select_option(index=1)
    assert status.inner_text() != first
    assert "previous" in opened.locator("#atlas-scores").inner_text()
    opened.locator("#atlas-network").select_option(index=1)
    assert status.inner_text()


def test_markup_in_names_is_shown_as_text(opened: Page):
    assert "odd <script>alert('x')</script>" in opened.locator("#planted").inner_text()
    assert "the corpus planted <b>corpus</b>." in opened.locator("#findings .lead").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1300])
def test_the_page_is_accessible_and_does_not_overflow(
    browser: Browser, page, errors: list[str], scheme, width: int
):
    with browser.new_context(
        viewport={"width": width, "height": 800}, color_scheme=scheme
    ) as context:
        tab = opened_in(context.new_page(), page.results, errors)
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        violations = Axe().run(tab).response["violations"]
        assert [(each["id"], each["nodes"][0]["html"][:200]) for each in violations] == []
        paper = tab.evaluate("getComputedStyle(document.body).backgroundColor")
        dark = sum(map(int, re.findall(r"\d+", paper)[:3])) < 3 * 128
        assert dark == (scheme == "dark")
    assert errors == []


def test_without_scripts_the_page_shows_all_content(browser: Browser, page, errors: list[str]):
    with browser.new_context(java_script_enabled=False) as context:
        tab = opened_in(context.new_page(), page.results, errors)
        assert tab.locator("#map [data-verdict]").count() == 4
        assert tab.locator("#map [data-verdict]:visible").count() >= 3
        assert not tab.locator(".filter").is_visible()
        assert not tab.locator("div.atlas").is_visible()
        assert tab.locator("#atlas svg.figure").count() == 2
        alt = tab.locator("#atlas svg.figure").first.get_attribute("aria-label") or ""
        assert "layer 1, head 1" in alt
    assert errors == []


def test_figures_are_not_cut_off_in_print(opened: Page):
    """No figure is taller or wider than a page of A4 within its margins."""
    opened.emulate_media(media="print")
    opened.set_viewport_size({"width": 680, "height": 960})  # 18 x 25.4 cm
    boxes = [image.bounding_box() for image in opened.locator("figure svg.figure:visible").all()]
    assert len(boxes) >= 2  # the tour's and the forest
    for box in boxes:
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 680
        assert box["height"] <= 960
    pdf = opened.pdf(format="A4")
    assert pdf.startswith(b"%PDF")
    assert pdf.count(b"/Type /Page\n") <= 12
    assert not opened.locator("nav").is_visible()


def test_a_chart_is_drawn_as_its_reader_chooses(opened: Page):
    unfold(opened, "planted")
    figure = opened.locator("#planted figure[data-chart*=flops]")
    lines = figure.locator("svg path[stroke-width='1.8']")
    lines.first.wait_for(state="attached")
    assert lines.count() == 2
    assert "tokens" in figure.locator("svg").text_content()
    assert figure.locator("svg .guide").count() == 2  # the guesses that the caption names
    figure.get_by_role("button", name="seconds", exact=True).click()
    assert "seconds" in figure.locator("svg").text_content()
    before = figure.locator("svg").text_content()
    figure.get_by_role("button", name="log", exact=True).click()
    assert figure.locator("svg").text_content() != before  # other ticks
    assert (
        figure.get_by_role("button", name="log", exact=True).get_attribute("aria-pressed") == "true"
    )
    figure.get_by_role("button", name="base", exact=True).click()
    assert lines.count() == 1
    figure.get_by_role("button", name="base", exact=True).click()
    figure.get_by_label("difference from").select_option("base")
    assert "less base" in figure.locator("svg").text_content()
    assert figure.locator("svg .guide").count() == 0


def test_a_figure_shows_its_values_under_the_pointer(opened: Page):
    row = opened.locator("#planted .pair figure path.area").first
    row.scroll_into_view_if_needed()
    box = row.bounding_box()
    assert box is not None
    below = opened.evaluate(
        "([x, y]) => document.elementFromPoint(x, y).parentNode.querySelector('title').innerHTML",
        [box["x"] + 0.1 * box["width"], box["y"] + box["height"] / 2],
    )
    assert below.startswith("odd &lt;script&gt;")
    assert "n = " in below


def test_two_variants_are_set_side_by_side(opened: Page):
    unfold(opened, "planted")
    figure = opened.locator("#planted figure[data-chart*=flops]")
    for place, label in ((1, "first of two side by side"), (2, "second of two side by side")):
        figure.get_by_label(label).select_option(index=place)
    name, base, odd, difference = figure.locator("tr").nth(1).locator("td").all_inner_texts()
    assert (name, round(float(odd) - float(base), 1)) == (
        "loss_per_character",
        round(float(difference), 1),
    )


def test_a_chart_says_its_values_to_the_mouse_and_to_the_keyboard(opened: Page):
    unfold(opened, "planted")
    figure = opened.locator("#planted figure[data-chart*=flops]")
    readout, chart = figure.locator(".readout"), figure.locator("svg.chart")
    chart.wait_for()
    chart.hover()
    assert re.search(r"^tokens [\d.e]+: base \d+\.\d{3}, odd", readout.inner_text())
    chart.focus()
    opened.keyboard.press("ArrowLeft")
    opened.keyboard.press("ArrowLeft")
    assert "base" in readout.inner_text()


def test_figures_and_tables_are_saved_and_copied(opened: Page, browser: Browser):
    opened.context.grant_permissions(["clipboard-read", "clipboard-write"])
    unfold(opened, "planted")
    figure = opened.locator("#planted figure[data-chart*=flops]")
    figure.locator(".data summary").click()
    for name, start in (
        ("CSV", "variant,tokens,seconds,flops,loss_per_character,low,high\n"),
        ("SVG", "<svg "),
    ):
        with opened.expect_download() as download:
            figure.get_by_role("button", name=name, exact=True).click()
        assert download.value.suggested_filename == f"planted.{name.lower()}"
        assert Path(download.value.path()).read_text().startswith(start)
    opened.locator("#claim-planted summary").click()
    card = opened.locator("#claim-planted")
    copied = {}
    for name in ("Markdown", "LaTeX", "copy link", "copy BibTeX"):
        card.get_by_role("button", name=name, exact=True).click()
        copied[name] = opened.evaluate("navigator.clipboard.readText()")
    assert copied["Markdown"].startswith("| budget | verdict |")
    assert "\\toprule\nbudget & verdict" in copied["LaTeX"]
    assert copied["copy link"].endswith("report.html#claim-planted")
    assert copied["copy BibTeX"].startswith("@misc{transformer-ablations-planted,")


def test_a_cell_that_looks_like_a_formula_is_no_formula_in_a_file(opened: Page):
    rows = '[["a", "=cmd()", "-1.5", "@x", "with, comma"]]'
    assert opened.evaluate(f"asCsv({rows})") == "a,'=cmd(),-1.5,'@x,\"with, comma\""
    assert opened.evaluate("fromCsv(asCsv([['x', 'a \"b\"'], ['1', 'two\\nlines']]))") == [
        ["x", 'a "b"'],
        ["1", "two\nlines"],
    ]
