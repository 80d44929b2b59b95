"""Links, filters and addresses of the page, in a browser."""

import re

from playwright.sync_api import Browser, Page, expect


def test_every_link_of_the_contents_leads_to_its_section(opened: Page):
    links = opened.locator("#contents a")
    assert links.count() >= 5
    for place in range(links.count()):
        links.nth(place).click()
        anchor = links.nth(place).get_attribute("href")
        assert opened.evaluate("location.hash") == anchor
        assert opened.locator(anchor).is_visible()


def test_the_contents_mark_the_section_in_view(opened: Page):
    assert opened.locator("#contents a[aria-current]").get_attribute("href") == "#findings"
    opened.locator("#planted").scroll_into_view_if_needed()
    opened.evaluate("document.getElementById('planted').scrollIntoView()")
    opened.wait_for_selector("#contents a[href='#planted'][aria-current]")
    assert opened.locator("#contents a[aria-current]").count() == 1


def test_the_contents_show_their_first_entry_on_a_narrow_screen(opened: Page):
    opened.set_viewport_size({"width": 390, "height": 844})
    opened.add_style_tag(content="#contents { height: 4rem; overflow: auto; }")
    opened.evaluate("document.getElementById('planted').scrollIntoView()")
    opened.wait_for_selector("#contents a[href='#planted'][aria-current]")
    opened.evaluate("scrollTo(0, 0)")
    opened.wait_for_selector("#contents a[href='#findings'][aria-current]")
    assert opened.evaluate("document.getElementById('contents').scrollTop") == 0


def test_a_choice_filters_the_claims_by_verdict_and_the_address_keeps_it(opened: Page):
    shown = opened.locator("#map [data-verdict]:visible")
    everything = opened.locator("#map [data-verdict]").count()
    assert everything == 4
    kinds = set()
    choice = opened.locator(".filter select")
    for place in range(1, choice.locator("option").count()):
        option = choice.locator("option").nth(place)
        verdict = option.get_attribute("value")
        choice.select_option(verdict)
        verdicts = [shown.nth(i).get_attribute("data-verdict") for i in range(shown.count())]
        assert verdicts == [verdict] * int(re.sub(r"\D", "", option.inner_text()))
        kinds.add(verdict)
        assert opened.evaluate("location.hash") == f"#show={verdict.replace(' ', '-')}"
    assert len(kinds) > 1
    choice.select_option("")
    assert shown.count() == opened.locator("#map [data-verdict]:not(details:not([open]) *)").count()


def test_an_address_opens_the_card_of_its_claim(browser: Browser, page, errors: list[str]):
    with browser.new_context() as context:
        tab = context.new_page()
        tab.goto((page.results / "report.html").as_uri() + "#claim-planted")
        card = tab.locator("#claim-planted")
        assert card.get_attribute("open") is not None
        assert card.locator("table").is_visible()
        other = tab.locator(".card:not(#claim-planted)").first
        other.locator("summary").click()
        tab.wait_for_function(f"location.hash === '#{other.get_attribute('id')}'")


def test_words_search_the_claims_and_stand_in_the_address(opened: Page):
    opened.locator(".filter input").fill("no harm")
    assert opened.locator("#map [data-verdict]:visible").count() == 1
    assert opened.evaluate("decodeURIComponent(location.hash)") == "#find=no harm"
    opened.reload()
    assert opened.locator(".filter input").input_value() == "no harm"
    assert opened.locator("#map [data-verdict]:visible").count() == 1
    output = opened.locator(".filter output")
    assert output.inner_text().startswith("1 of 4 claims; 1 section · Planted")
    output.locator("a").click()
    assert opened.evaluate("location.hash") == "#planted"


def test_a_tile_filters_the_claims_of_its_outcome(opened: Page):
    opened.locator(".tile.reversed").click()
    # A link changes the address, and the page filters after that: expect() waits for it.
    expect(
        opened.locator("#map [data-verdict]:not([data-verdict=reversed]):visible")
    ).to_have_count(0)
    assert opened.locator("#map [data-verdict=reversed]:visible").count() >= 1
    assert opened.locator(".filter select").input_value() == "reversed"


def test_an_address_with_two_verdicts_shows_both_and_a_search_keeps_them(opened: Page):
    opened.evaluate("location.hash = '#show=undecided,not-testable'")
    choice = opened.locator(".filter select")
    expect(choice).to_have_value("undecided,not testable")
    opened.locator(".filter input").fill("a")
    assert opened.evaluate("location.hash") == "#show=undecided,not-testable&find=a"


def test_a_word_leads_to_what_it_means(opened: Page):
    assert not opened.locator("#word-gate").is_visible()
    opened.locator(".note a[href='#word-gate']").click()
    expect(opened.locator("#word-gate")).to_be_visible()


def test_every_link_within_the_page_leads_somewhere(page):
    links = {*re.findall(r'href="#([^"=]+)"', page.text)}
    assert {"word-budget", "claim-planted", "planted"} <= links
    assert links <= {*re.findall(r'id="([^"]+)"', page.text)}
