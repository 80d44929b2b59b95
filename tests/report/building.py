"""Building a page as the command line does, with other code than this checkout's."""

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple


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
