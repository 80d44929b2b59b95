"""The claims as the page shows them: verdicts, the rules and numbers behind, what is published."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from IPython.display import HTML

from experiments.records.collect import read_table
from report.html import render
from report.verdicts.judge import CONTRADICTED, NOT_TESTED, SUPPORTED, UNDECIDED, VERDICTS
from report.verdicts.stats import LEVEL
from report.verdicts.tables import records
from report.verdicts.text import format_interval, format_number, format_p

TOLD = {
    SUPPORTED: "The data support it",
    CONTRADICTED: "The data contradict it",
    UNDECIDED: "The data do not decide",
    NOT_TESTED: "Not tested",
}


def claims_of(results: Path, ablation: str | None = None) -> pd.DataFrame:
    """The table `claims`, whole or of one ablation.

    Raises:
        UserError: it is missing, damaged, or of another version.
    """
    claims = read_table(results, "claims")
    return claims if ablation is None else claims[claims["ablation"] == ablation]


def in_words(claims: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of the table `claims`, with their numbers as the page writes them."""
    return [row | _words(row) for row in records(claims)]


def verdict_table(claims: pd.DataFrame, sections: Sequence[str] | None = None) -> HTML:
    """The claims with verdict, effect, interval, n and p; of the whole study to be filtered by
    verdict, with links to those of the ablations' sections that the page has.
    """
    found = claims["verdict"].value_counts()
    counts = {verdict: int(found[verdict]) for verdict in VERDICTS if verdict in found}
    note = ""
    seeded = claims[claims["p_sign_flip"].notna()]
    if len(seeded):
        most = int(seeded["n"].max())
        if most >= 2 and 2 / 2**most > LEVEL:
            note = (
                f" With {most} paired seeds an exact sign-flip test cannot go below"
                f" p = {2 / 2**most:.3g}, so it can never reach {LEVEL:g}; the verdicts rest on"
                " Student's interval, which takes the differences to be about normal."
            )
    whole = sections is not None
    return HTML(
        render(
            "verdicts",
            claims=in_words(claims),
            counts=counts if whole else {},
            sections=sections or (),
            note=note,
        )
    )


def rules(claims: pd.DataFrame) -> HTML:
    """Each verdict with the rule that gave it, and what is published beside what was measured."""
    return HTML(render("rules", claims=in_words(claims)) if len(claims) else "")


def _words(row: dict[str, Any]) -> dict[str, str]:
    low, high = row["low"], row["high"]
    interval = format_interval(low, high)
    exact, ratio = row["scale"] == "exact", row["scale"] == "ratio"
    effect = ("×" if ratio and row["effect"] is not None else "") + format_number(
        row["effect"], low, high
    )
    unit = row["unit"] or ""
    measured = f"{effect}{'' if ratio else ' ' + unit}"
    return {
        "effect_text": effect,
        "interval_text": interval,
        "unit": "" if row["effect"] is None else unit,
        "n_text": "exact" if exact else f"{row['n']}/{row['planned']}",
        "p_holm_text": format_p(row["p_holm"]),
        "p_sign_flip_text": format_p(row["p_sign_flip"]),
        "told": TOLD[row["verdict"]],
        # A number counted or derived is the same anywhere; nobody trained these networks on this.
        "compared": "the same setting"
        if exact
        else "another setting: the direction alone compares",
        "measured": row["why"] if row["effect"] is None else f"{measured} ({interval})",
    }
