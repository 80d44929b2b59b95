"""The page opened in a browser."""

import shutil
from collections.abc import Iterator

import pytest
from browsing import opened_in
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("there is no chromium on this machine")
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])


@pytest.fixture
def errors() -> list[str]:
    """Errors and messages of the browser, and addresses that it requested outside the page."""
    return []


@pytest.fixture
def opened(browser: Browser, page, errors: list[str]) -> Iterator[Page]:
    with browser.new_context(viewport={"width": 1300, "height": 900}) as context:
        yield opened_in(context.new_page(), page.results, errors)
    assert errors == []
