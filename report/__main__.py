"""The command line: `python -m report results/<profile>` writes its page."""

import sys
from pathlib import Path

import click

from experiments.errors import UserError
from report.page import build


@click.command()
@click.argument("results", type=click.Path(path_type=Path))
@click.option("--if-changed", is_flag=True, help="leave a page that is up to date as it is")
def main(results: Path, if_changed: bool) -> None:
    """Write the page for the runs that lie in the folder RESULTS."""
    try:
        page, broken = build(results, only_if_changed=if_changed)
    except UserError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    click.echo(f"report: {page}")
    if broken:
        for heading, why in broken.items():
            click.echo(f"error: section '{heading}' broke: {why}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
