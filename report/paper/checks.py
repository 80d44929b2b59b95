"""The paper's sections on checks, limits and how to rerun the study."""

import pandas as pd

from experiments.claim import LOOKS
from experiments.planning.plan import FIRST_SEED
from experiments.records.run_folder import FINISHED, Status
from model.accounting import parameter_count
from report.figures.calibration import HEAD, NOTE, cells, recipes_of
from report.page.budgets import tokens_at
from report.page.claims import deepest
from report.page.provenance import fact_rows
from report.page.second_studies import STUDY_HEAD, STUDY_NOTE, VERDICT_HEAD, compared
from report.paper.document import Commands, Items, Paragraph, Part, Section, Table
from report.study.tables import Tables, records
from report.verdicts.outcomes import Verdict
from report.verdicts.text import format_number, join_words, plural

# Names of the facts of `fact_rows` that a rerun needs.
_FACTS = (
    "git revision",
    "corpus SHA-256",
    "Python, torch, numpy",
    "machine",
    "run dates",
    "elapsed time",
    "resources",
    "estimated time of a rerun",
)


def checks(tables: Tables, claims: pd.DataFrame, second: pd.DataFrame) -> Section:
    """The section on checks: calibration, repeated runs, second studies, and failed runs.

    Args:
        tables: the tables of the study.
        claims: the table "claims".
        second: the table "second".
    """
    parts: list[Part] = [Paragraph(_calibration(tables), "Calibration")]
    if recipes := recipes_of(tables.results):
        rows = [cells(runs)[:-1] for runs in recipes]  # without the commit
        parts.append(Table(NOTE, HEAD[:-1], rows))
    return Section(
        "Checks",
        [
            *parts,
            Paragraph(_repeated(tables.verified), "Repeated runs"),
            *_second_studies(claims, second),
            Paragraph(_identities(tables), "Identities"),
            Paragraph(_ended(tables), "How the runs ended"),
        ],
    )


def _calibration(tables: Tables) -> str:
    recipes = recipes_of(tables.results)
    if not recipes:
        return "No published recipe was trained for calibration yet."
    return (
        f"The study compares networks with each other. {plural(len(recipes), 'recipe')} of nanoGPT,"
        " with the same text, split, network, optimiser, schedule, batches and steps, were also"
        " trained as published, so that the losses themselves should agree."
    )


def _repeated(verified: pd.DataFrame) -> str:
    if verified.empty:
        return "No finished run was trained again yet."
    counts = [f"{n} {how}" for how, n in verified["agreement"].value_counts().items()]
    return (
        f"Agreement of {plural(len(verified), 'finished run')} with a second training of the same"
        f" run: {join_words(counts)}."
    )


def _second_studies(claims: pd.DataFrame, second: pd.DataFrame) -> list[Part]:
    """The second studies and the verdicts that they decide otherwise; empty if there is none."""
    if second.empty:
        return []
    studies, otherwise = compared(claims, second)
    text = "The table lists the studies that judged the same claims again."
    parts: list[Part] = [Paragraph(text, "Second studies"), Table(STUDY_NOTE, STUDY_HEAD, studies)]
    if otherwise:
        caption = "Verdicts that a second study decides otherwise."
        parts.append(Table(caption, VERDICT_HEAD, otherwise))
    return parts


def _identities(tables: Tables) -> str:
    holds = tables.identities["holds"].astype(bool)
    return (
        f"Of {len(holds)} exact statements that are checked without training, such as counts of"
        f" parameters and symmetries, {int(holds.sum())} hold."
    )


def _ended(tables: Tables) -> str:
    counts = tables.runs["status"].value_counts()
    texts = [f"{n:,} {status}" for status, n in counts.items()]
    return (
        f"Of {plural(len(tables.runs), 'run')}, trials of learning rates included,"
        f" {join_words(texts)}. Of the runs that are compared, {missing_runs(tables)} are missing."
    )


def missing_runs(tables: Tables) -> int:
    """Number of planned runs of comparisons that are not over, counted once per ablation."""
    return int((~tables.members["status"].isin([*FINISHED, Status.FAILED])).sum())


def limits(tables: Tables, claims: pd.DataFrame) -> Section:
    """The section on limits. Its numbers are computed from the study and its claims."""
    study, base = tables.study, tables.study.base
    last = tables.budgets[-1]
    tokens = tokens_at(tables, last)
    verdicts = deepest(claims)["verdict"].value_counts()
    counts = [
        f"{verdicts[verdict]} {verdict}"
        for verdict in (Verdict.UNDECIDED, Verdict.NOT_TESTABLE, Verdict.NOT_RUN)
        if verdict in verdicts
    ]
    machines = sorted(map(str, tables.runs["device_name"].dropna().unique()))
    return Section(
        "Limits",
        [
            Items(
                [
                    f"One network size: {plural(base.n_layers, 'layer')} of width {base.d_model},"
                    f" {parameter_count(base):,} parameters.",
                    f"One corpus for all verdicts of the map: {study.corpus_name}, in"
                    f" {study.token}s.",
                    f"Short trainings: at budget {last}, {tokens:,} tokens, which are"
                    f" {tokens / parameter_count(base):,.1f} for each parameter.",
                    f"Few seeds: {study.seeds} planned. {_undecided(claims)}",
                    "Claims without an answer at the deepest budget at which they are testable:"
                    f" {join_words(counts)}."
                    if counts
                    else "Every claim has an answer at the deepest budget at which it is testable.",
                    f"Times are those of {join_words(machines) or 'no machine'}.",
                    "A variant without a learning rate of its own has that of another arm, so its"
                    " ablation shows what a change does to this recipe.",
                    "The report states the limits of each ablation in its section.",
                ]
            )
        ],
    )


def _undecided(claims: pd.DataFrame) -> str:
    """Median half-width of the intervals of undecided verdicts in nats per character."""
    rows = claims[(claims["verdict"] == Verdict.UNDECIDED) & claims["low"].notna()]
    rows = rows[rows["unit"] == "nats per character"]
    if rows.empty:
        return "No claim in nats per character is undecided with an interval."
    half_width = float((rows["high"] - rows["low"]).median()) / 2
    return (
        f"The intervals of the {plural(len(rows), 'undecided verdict')} in nats per character reach"
        f" {format_number(half_width)} to each side, as a median."
    )


def rerun(tables: Tables) -> Section:
    """The commands that make the study again, and what it was made from."""
    facts = dict(fact_rows(tables))
    return Section(
        "How to rerun",
        [
            Paragraph(
                "All numbers of this paper are computed from the tables of the results folder, and"
                " the commands below make the tables again. A study that was stopped goes on where"
                f" it was.{_added(tables)} The report, “make report”, has a section for each"
                " ablation."
            ),
            Commands(_commands(tables)),
            Table(
                "What the study was made from, and how long it took.",
                ("fact", "value"),
                [(name, facts[name]) for name in _FACTS],
                wide=1,
            ),
        ],
    )


def _commands(tables: Tables) -> list[str]:
    study, profile = tables.study, tables.study.profile
    latest = records(tables.runs.dropna(subset=["started"]).sort_values("started").tail(1))
    revision = latest[0]["git_revision"] if latest else None
    same = [f"PROFILE={study.profile_name}", f"CORPUS={study.corpus_name}"]
    if study.tokenizer == "bpe":
        same += ["TOKENIZER=bpe", f"VOCAB_SIZE={study.vocab_size}"]
    of_runs = [f"PRECISION={study.precision}", f"BUDGETS={','.join(map(str, study.budgets))}"]
    if study.compiled:
        of_runs.append("COMPILE=1")
    if (study.seeds, study.fewer_seeds) != (profile.seeds, profile.fewer_seeds):
        of_runs.append(f"SEEDS={study.seeds}")
    if study.first_seed != FIRST_SEED:
        of_runs.append(f"FIRST_SEED={study.first_seed}")
    return [
        *([f"git checkout {str(revision).removesuffix('+changes')}"] if revision else []),
        f"make all {' '.join([*same, *of_runs])}",
        f"make verify {' '.join(same)}",
        f"make paper PROFILE={study.profile_name}",
    ]


def _added(tables: Tables) -> str:
    """Which commands added seeds to single claims, to follow another text; empty if none did."""
    numbers = [n for of_claim in tables.study.added.values() for n in of_claim.values()]
    commands = [
        *(["“make decide”"] if any(n >= LOOKS[0] for n in numbers) else []),
        *(["“make trends”"] if any(n < LOOKS[0] for n in numbers) else []),
    ]
    if not commands:
        return ""
    return f" Further seeds of single claims are those of {join_words(commands)}."
