"""The command line: `python -m report results/<profile>` writes its page."""

import sys
from pathlib import Path

import click

from experiments.errors import UserError, refusal
from report.freshness import is_fresh


@click.command()
@click.argument("results", type=click.Path(path_type=Path))
@click.option("--if-changed", is_flag=True, help="leave a page that is up to date as it is")
@click.option("--picture", type=click.Path(path_type=Path), help="save the forest plot there too")
def main(results: Path, if_changed: bool, picture: Path | None) -> None:
    """Write the page for the runs that lie in the folder RESULTS."""
    if if_changed and is_fresh(results):
        click.echo(f"report: {results / 'report.html'}")
        return
    from report.page import build  # papermill and what it brings take seconds to load

    try:
        page, broken = build(results)
    except (UserError, OSError) as error:
        told = refusal(error) if isinstance(error, OSError) else error
        click.echo(f"error: {told}", err=True)
        sys.exit(2)
    click.echo(f"report: {page}")
    if picture:
        save_forest(results, picture)
    if broken:
        for heading, why in broken.items():
            click.echo(f"error: section '{heading}' broke: {why}", err=True)
        sys.exit(1)


def save_forest(results: Path, picture: Path) -> None:
    """Save the page's first figure by itself; the file's ending decides the format."""
    from report.figures import draw_forest  # matplotlib takes a second to load
    from report.tables import Tables

    tables = Tables.load(results)
    figure, _ = draw_forest(tables, tables.present())
    figure.savefig(picture, bbox_inches="tight", metadata={"Date": None})


if __name__ == "__main__":
    main()
