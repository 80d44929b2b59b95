"""The command line: `python -m report results/<profile>` writes its page."""

import sys
from pathlib import Path

import click

from experiments.errors import UserError, refusal
from report.page.freshness import is_fresh


@click.command()
@click.argument("results", type=click.Path(path_type=Path))
@click.option("--if-changed", is_flag=True, help="leave a page that is up to date as it is")
def main(results: Path, if_changed: bool) -> None:
    """Write the page for the runs that lie in the folder RESULTS."""
    if if_changed and is_fresh(results):
        click.echo(f"report: {results / 'report.html'}")
        return
    from report.page.build import build  # papermill and what it brings take seconds to load

    try:
        page, broken = build(results)
    except (UserError, OSError) as error:
        told = refusal(error) if isinstance(error, OSError) else error
        click.echo(f"error: {told}", err=True)
        sys.exit(2)
    click.echo(f"report: {page}")
    if broken:
        for heading, why in broken.items():
            click.echo(f"error: section '{heading}' broke: {why}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
