"""Opening the page in a browser, with a record of what the browser objects to."""

from pathlib import Path

from playwright.sync_api import Page


def opened_in(tab: Page, results: Path, errors: list[str]) -> Page:
    """Open a page, and add errors, messages and requests to elsewhere to `errors`."""
    tab.on("console", lambda message: errors.append(message.text))
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.on("requestfailed", lambda request: errors.append(request.url))
    tab.on("request", lambda request: record_request(request.url, errors))
    tab.goto((results / "report.html").as_uri())
    return tab


def record_request(url: str, errors: list[str]) -> None:
    if not url.startswith(("file:", "data:")):
        errors.append(url)
