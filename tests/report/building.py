"""Building a page as the command line does, with other code than this checkout's; or its tables."""

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from planted import Effects, plant

from experiments.records.collect import collect
from report.study.judge import judge_all
from report.study.tables import Tables


class Built(NamedTuple):
    """A built page: its text, how building it ended, the code that built it, and its folder."""

    text: str
    done: subprocess.CompletedProcess[str]
    checkout: Path
    results: Path


def build_in(checkout: Path, results: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "report", str(results), *options]
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    return subprocess.run(
        command, cwd=checkout, env=environment, capture_output=True, text=True, check=False
    )


def judged_study(
    results: Path, monkeypatch: pytest.MonkeyPatch, effects: Effects, deeper: Effects | None = None
) -> Tables:
    """The tables of a study with planted effects, whose claims are judged."""
    results.mkdir(parents=True, exist_ok=True)
    plant(results, monkeypatch, effects, deeper=deeper)
    collect(results)
    judge_all(results)
    return Tables.load(results)
