"""Second studies: the same claims judged on another corpus, other seeds or another machine.

`python -m report.page.second_studies results/cpu OTHER/cpu` judges the study in OTHER/cpu, and adds
its verdicts to the tables of the study in results/cpu.
"""

import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from IPython.display import HTML

from experiments.errors import UserError, exit_status
from experiments.files import sha256
from experiments.records.claim_seals import stated
from experiments.records.collect import collect, is_measured, read_table, write_table
from experiments.records.run_folder import FINISHED
from experiments.records.study import Study
from report.html import EMPTY, join_html, paragraph, table
from report.page.claims import claims_of
from report.study.judge import judge_all
from report.study.tables import Tables, records
from report.verdicts.outcomes import DECIDED, Verdict
from report.verdicts.text import format_interval, format_number, join_words, plural

ALIKE, OTHERWISE = "=", "≠"  # marks of a verdict that second studies decide alike, or otherwise
_COPIED = ("claim", "budget", "verdict", "fragile", "effect", "low", "high", "n")


def main(results: Path, others: Sequence[Path]) -> int:
    """Compare studies, print what was compared, and return the exit status."""

    def compare() -> None:
        for line in write_verdicts(results, others):
            print(line)

    return exit_status(compare)


def write_verdicts(results: Path, others: Sequence[Path]) -> list[str]:
    """Write the table "second" of a study: the verdicts of other studies of its profile. Verdicts
    that the table had before are replaced. Returns a line on each study.

    Nothing is written into the folders of the other studies.

    Raises:
        UserError: another study has no verdicts or another profile, or shares runs with the study.
    """
    here = Study.load(results)
    runs = read_table(results, "runs")
    rows: list[dict[str, Any]] = []
    lines = []
    for other in others:
        if Study.load(other).profile_name != here.profile_name:
            raise UserError(f"{other} is not a study of the profile {here.profile_name}")
        with tempfile.TemporaryDirectory() as scratch:
            copy = shutil.copytree(other, Path(scratch) / other.name)
            if (copy / "runs").exists():
                collect(copy)
            judge_all(copy)
            tables = Tables.load(copy)
            verdicts = _verdicts(tables)
        if not verdicts:
            raise UserError(f"{other} has no verdict on a claim about training")
        _check_apart(other, tables.runs, runs)
        runs = pd.concat([runs, tables.runs[list(runs)]])
        rows += verdicts
        lines.append(f"{other}: {plural(len(verdicts), 'verdict')}")
    write_table(results, "second", rows)
    return lines


def _check_apart(other: Path, theirs: pd.DataFrame, known: pd.DataFrame) -> None:
    """Refuse a study with runs that were compared already: same corpus, seed and kind of device."""
    of_comparison = theirs[~theirs["tuning"].fillna(False).astype(bool)]
    places = ["run_id", "device_name"]
    common = of_comparison[places].dropna().merge(known[places].drop_duplicates())
    if len(common):
        raise UserError(
            f"{other} is no second study: it shares {plural(len(common), 'run')} with what it is"
            " compared with (FIRST_SEED and CORPUS choose others)"
        )


def _verdicts(tables: Tables) -> list[dict[str, Any]]:
    """The verdicts on claims about training of a study, with the facts that tell it apart."""
    compared = tables.members[tables.members["status"].isin(FINISHED)]
    facts = {
        "corpus": tables.study.corpus_name,
        "corpus_sha256": tables.study.corpus_hash,
        "first_seed": int(compared["seed"].min()) if len(compared) else None,
        "last_seed": int(compared["seed"].max()) if len(compared) else None,
        "device_name": join_words(sorted(set(compared["device_name"].dropna()))),
        "git_revision": join_words(sorted(set(compared["git_revision"].dropna()))),
    }
    rules = _rules(tables)
    return [
        facts | {name: row[name] for name in _COPIED} | {"stated": rules[row["claim"]]}
        for row in records(claims_of(tables.results).dropna(subset=["budget"]))
        if row["verdict"] != Verdict.NOT_RUN
    ]


def _rules(tables: Tables) -> dict[str, str]:
    """By claim, the hash of all that decides its verdict."""
    rules = {
        claim.id: stated(claim, ablation.variants, ablation.own_probes)
        for ablation in tables.ablations.values()
        for claim in ablation.claims
    }
    return {name: sha256(json.dumps(rule).encode())[:12] for name, rule in rules.items()}


def second_verdicts(tables: Tables) -> pd.DataFrame:
    """The table "second" of a study, without verdicts on claims that were changed afterwards; empty
    if no study was compared with it.
    """
    if not is_measured(tables.results, "second"):
        return pd.DataFrame(columns=["claim", "budget", "verdict", "fragile"])
    second = read_table(tables.results, "second")
    return second[second["stated"] == second["claim"].map(_rules(tables))]


def compared_marks(claims: pd.DataFrame, second: pd.DataFrame) -> dict[tuple[str, float], str]:
    """The mark of each claim and budget that is decided in a study and in a second study.

    Args:
        claims: the table "claims" of the study.
        second: the table "second".
    """
    marks: dict[tuple[str, float], str] = {}
    for row in _decided_twice(claims, second):
        place = row["claim"], int(row["budget"])
        alike = row["verdict"] == row["verdict_second"] and marks.get(place) != OTHERWISE
        marks[place] = ALIKE if alike else OTHERWISE
    return marks


def _decided_twice(claims: pd.DataFrame, second: pd.DataFrame) -> list[dict[str, Any]]:
    """Claims and budgets that two studies decide, with the columns of both. A fragile verdict
    decides nothing.
    """
    if second.empty:
        return []
    both = claims.dropna(subset=["budget"]).merge(
        second, on=["claim", "budget"], suffixes=("", "_second")
    )
    decided = both["verdict"].isin(DECIDED) & both["verdict_second"].isin(DECIDED)
    decided &= ~(both["fragile"].fillna(False) | both["fragile_second"].fillna(False)).astype(bool)
    return records(both[decided])


class Compared(NamedTuple):
    """Rows of two tables about second studies.

    studies: a row for each second study, under `STUDY_HEAD`.
    otherwise: a row for each verdict that a second study decides otherwise, under `VERDICT_HEAD`.
    """

    studies: list[tuple[str, ...]]
    otherwise: list[tuple[str, ...]]


STUDY_HEAD = ("corpus", "seeds", "device", "verdicts", "decided alike", "decided otherwise")
VERDICT_HEAD = ("claim", "budget", "verdict", "effect", "second verdict", "effect", "corpus")
STUDY_NOTE = (
    "The same rules, on another corpus, with other seeds or on another machine. Verdicts that"
    " one of the two studies leaves undecided or fragile are neither alike nor otherwise."
)


def compared(claims: pd.DataFrame, second: pd.DataFrame) -> Compared:
    """Rows on the second studies of a study, and on the verdicts that they decide otherwise.

    Args:
        claims: the table "claims" of the study.
        second: the table "second".
    """
    facts = ["corpus", "corpus_sha256", "first_seed", "last_seed", "device_name"]
    result = Compared([], [])
    for _, of_study in second.groupby(facts, sort=False, dropna=False):
        first = records(of_study)[0]
        decided = _decided_twice(claims, of_study)
        differing = [row for row in decided if row["verdict"] != row["verdict_second"]]
        seeds = f"{first['first_seed']} to {first['last_seed']}"
        numbers = (len(of_study), len(decided) - len(differing), len(differing))
        result.studies.append((first["corpus"], seeds, first["device_name"], *map(str, numbers)))
        for row in differing:
            texts = *_texts(row, ""), *_texts(row, "_second")
            result.otherwise.append(
                (row["sentence"], f"{row['budget']:.0f}", *texts, row["corpus"])
            )
    return result


def second_studies(claims: pd.DataFrame, second: pd.DataFrame) -> HTML:
    """A row for each second study, and the verdicts that second studies decide otherwise."""
    if second.empty:
        return EMPTY
    studies, otherwise = compared(claims, second)
    parts = [table(STUDY_HEAD, studies, STUDY_NOTE)]
    if otherwise:
        parts.append(paragraph(f"{plural(len(otherwise), 'verdict')} decided otherwise:"))
        parts.append(table(VERDICT_HEAD, otherwise))
    return join_html(*parts)


def _texts(row: dict[str, Any], suffix: str) -> tuple[str, str]:
    """Verdict, and effect with its interval, of the study or of the second one."""
    low, high = row[f"low{suffix}"], row[f"high{suffix}"]
    effect = format_number(row[f"effect{suffix}"], low, high)
    return row[f"verdict{suffix}"], f"{effect} ({format_interval(low, high)})"


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), [Path(other) for other in sys.argv[2:]]))
