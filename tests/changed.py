"""`python -m tests.changed`: run the quick tests of the rooms that have uncommitted changes."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
ALWAYS = ["tests/test_rooms.py", "tests/test_house.py"]


def tests_of(path: str) -> list[str]:
    """Test files that belong to a changed file: its own room's, or the file itself if it is a test.

    >>> tests_of("tests/model/test_config.py")
    ['tests/model/test_config.py']
    """
    file = ROOT / path
    if file.suffix != ".py":
        return []
    if path.startswith("tests/"):
        return [path] if file.name.startswith("test_") and file.exists() else []
    folder = file.parent
    while not (ROOT / "tests" / folder.relative_to(ROOT)).is_dir():
        folder = folder.parent
    tests = (ROOT / "tests" / folder.relative_to(ROOT)).glob("test_*.py")
    return [str(test.relative_to(ROOT)) for test in tests] if folder != ROOT else []


def changed_files() -> list[str]:
    """Files that differ from the last commit, new files included."""
    listing = ["git", "ls-files", "--others", "--exclude-standard"]
    commands = (["git", "diff", "--name-only", "HEAD"], listing)
    texts = [
        subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for command in commands
    ]
    return "".join(texts).splitlines()


if __name__ == "__main__":
    tests = sorted({*ALWAYS, *(test for path in changed_files() for test in tests_of(path))})
    command = [sys.executable, "-m", "pytest", "-n", "auto", "-m", "not slow", *tests]
    sys.exit(subprocess.run(command, cwd=ROOT, check=False).returncode)
