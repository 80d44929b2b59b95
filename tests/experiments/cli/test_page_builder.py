"""The page builder: builds beside training are in a process of their own, and far apart."""

import sys
from pathlib import Path

import pytest

from experiments.cli import report
from experiments.cli.report import PageBuilder


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that the builder sees, in seconds. Builds leave a line in a file, and end."""
    now = [0.0]
    monkeypatch.setattr(report.time, "monotonic", lambda: now[0])
    program = "import sys; print('built', file=open(sys.argv[1], 'a'))"
    monkeypatch.setattr(
        PageBuilder,
        "_command",
        lambda self, *_: [sys.executable, "-c", program, str(self.results / "builds")],
    )
    return now


def builds(page: PageBuilder) -> int:
    """The number of builds, after the one that is going on."""
    if page.process is not None:
        assert page.process.wait() == 0
    return len((page.results / "builds").read_text().splitlines())


def test_builds_beside_training_are_ten_minutes_apart_and_the_first_is_at_once(
    tmp_path: Path, clock: list[float]
):
    page = PageBuilder(tmp_path)
    for seconds, expected in ((3, 1), (4, 1), (602, 1), (603, 2), (1200, 2), (5000, 3)):
        clock[0] = seconds
        page.refresh()
        assert builds(page) == expected, seconds


def test_a_build_that_was_asked_for_waits_for_nothing(tmp_path: Path, clock: list[float]):
    page = PageBuilder(tmp_path)
    page.refresh()
    assert builds(page) == 1
    assert page.build(only_if_changed=False) == 0
    assert builds(page) == 2
