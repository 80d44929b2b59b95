"""`judge` and `claims`: verdicts on claims about anybody's runs, and those of a study."""

import runpy
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from experiments.catalogue import why_not_loaded
from experiments.claim import Claim
from experiments.cli.options import (
    AsJson,
    ClaimsFile,
    Looks,
    PageFile,
    Reference,
    Require,
    RunsFile,
    StudyOptions,
)
from experiments.errors import UserError, printable
from experiments.files import sha256, write_atomically
from experiments.records.collect import read_table
from experiments.records.export import claims_json, rows_of

Rows = list[dict[Any, Any]]


def judge(
    runs: RunsFile = None,
    /,
    *,
    claims: ClaimsFile = None,
    looks: Looks = "",
    require: Require = None,
    page: PageFile = None,
    as_json: AsJson = False,
) -> int:
    """Judge claims about the runs in RUNS, a .csv, .parquet or .jsonl with the columns variant,
    seed and a column for each metric, a folder of TensorBoard's event files or of offline runs of
    Weights & Biases, or a database of MLflow (.db), and print the verdicts. With --page, also
    write a page with them and with the runs' figures. With --require, the exit status is 1 unless
    every verdict is the required one.
    """
    if runs is None or claims is None:
        raise UserError("judge needs runs and claims: `make judge RUNS=runs.csv CLAIMS=claims.py`")
    if page is not None and page.suffix != ".html":
        raise UserError(f"PAGE={page} must end in .html")
    # scipy takes a second to import, and `claims` does not need it
    from report.adapters.folders import DATABASE, read_tracked
    from report.verdicts.read_runs import read_runs
    from report.verdicts.runs import judge as judge_runs

    stated = load_claims(claims)
    try:
        tracked = runs.is_dir() or (runs.is_file() and runs.suffix == DATABASE)
        table = read_tracked(runs) if tracked else read_runs(runs)
        verdicts = judge_runs(table, stated, looks=_numbers(looks))
    except ValueError as error:
        raise UserError(str(error)) from None
    rows, unchecked = rows_of(verdicts), _unchecked(stated, planned=bool(looks))
    if as_json:
        print(claims_json(rows))
    else:
        _print(rows)
        for sentence in unchecked:
            print(printable(sentence))
    if page is not None:
        from report.page.judged import judged_page

        facts = {"runs": runs.name, "claims": claims.name, "planned looks": looks or "none"}
        files = [file for file in (runs, claims) if file.is_file()]
        facts |= {f"SHA-256 of {file.name}": sha256(file.read_bytes()) for file in files}
        write_atomically(page, judged_page(verdicts, table, stated, facts, unchecked).encode())
    return int(require is not None and not (verdicts["verdict"] == require).all())


def claims(
    *, study: StudyOptions = StudyOptions(), reference: Reference = False, as_json: AsJson = False
) -> None:
    """Print the verdicts of the study, as the last page has them, or the published ones."""
    folder = study.results / "reference" / study.folder.name if reference else study.folder
    rows = rows_of(read_table(folder, "claims"))
    if as_json:
        print(claims_json(rows))
    else:
        _print(rows)


def load_claims(file: Path) -> list[Claim]:
    """The list CLAIMS of a Python file.

    Raises:
        UserError: the file cannot be executed, or has no list of claims.
    """
    if not file.is_file():
        raise UserError(f"there is no file {file}")
    try:
        content = runpy.run_path(str(file))
    except Exception as error:
        raise UserError(why_not_loaded(file, str(file), error)) from None
    claims = content.get("CLAIMS")
    if not isinstance(claims, Sequence) or not claims:
        raise UserError(f"{file} has no CLAIMS = [Claim(...), ...]")
    for claim in claims:
        if not isinstance(claim, Claim):
            raise UserError(f"{file}: {claim!r:.40} in CLAIMS is no Claim(...)")
    return list(claims)


def _numbers(looks: str) -> list[int]:
    try:
        return [int(part) for part in looks.split(",")] if looks else []
    except ValueError:
        raise UserError(f"LOOKS={looks} must be numbers of seeds, as in 8,12,20") from None


def _print(rows: Rows) -> None:
    """Print a row per verdict, and what each rests on."""
    from report.verdicts.text import format_interval, format_number, format_p

    rows = [
        {name: printable(value) if isinstance(value, str) else value for name, value in row.items()}
        for row in rows
    ]
    console = Console(highlight=False, markup=False, soft_wrap=True)
    budgets = int(any(row["budget"] is not None for row in rows))
    table = Table("claim", *["budget"] * budgets, "verdict", "effect", "interval", "n", "p")
    for row in rows:
        effect, low, high = row["effect"], row["low"], row["high"]
        fragile = " (fragile)" if row["fragile"] else ""
        table.add_row(
            row["claim"],
            *["–" if row["budget"] is None else f"{row['budget']:g}"] * budgets,
            f"{row['verdict']}{fragile}",
            f"{format_number(effect, low, high)} {row['unit'] or ''}",
            format_interval(low, high),
            str(row["n"]),
            format_p(row["p"]),
        )
    console.print(table)
    for row in rows:
        place = "" if row["budget"] is None else f" at budget {row['budget']:g}"
        console.print(f"{row['claim']}{place}: “{row['sentence']}” {row['verdict']}: {row['why']}.")
    counts = Counter(row["verdict"] for row in rows)
    console.print(", ".join(f"{n} {verdict}" for verdict, n in counts.items()))


def _unchecked(claims: Sequence[Claim], *, planned: bool) -> list[str]:
    """Sentences on what the verdicts on anybody's runs take for granted."""
    sentences = []
    if not planned:
        sentences.append(
            "No looks were planned (LOOKS=8,12,20): the verdicts hold if the number of seeds was"
            " fixed before the first result was seen."
        )
    if ungated := [claim.id for claim in claims if not claim.requires]:
        sentences.append(
            "Without a gate, that the networks have learnt what the claim is about was not checked:"
            f" {', '.join(ungated)}."
        )
    return sentences
