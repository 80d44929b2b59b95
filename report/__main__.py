"""The command line: `python -m report results/<profile>` writes its page."""

import argparse
import sys
from pathlib import Path

from experiments.errors import exit_status
from report.output.freshness import is_fresh


def main(arguments: list[str]) -> int:
    """Write the page of a results folder, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m report", description=main.__doc__)
    parser.add_argument("results", type=Path, help="results/<profile>")
    parser.add_argument("--if-changed", action="store_true", help="leave a fresh page as it is")
    options = parser.parse_args(arguments)
    if options.if_changed and is_fresh(options.results):
        print(f"report: {options.results / 'report.html'}")
        return 0
    return exit_status(lambda: _write(options.results))


def _write(results: Path) -> int:
    """Write the page, and return 1 if a section broke."""
    from report.output.page import build  # papermill and its dependencies take seconds to load

    page, broken = build(results)
    print(f"report: {page}")
    for heading, reason in broken.items():
        print(f"error: section '{heading}' broke: {reason}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
