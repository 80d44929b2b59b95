"""The content of the paper: every sentence and table is computed from the tables of a study."""

from collections import Counter

import pandas as pd

from model.accounting import parameter_count
from report.page.budgets import tokens_at
from report.page.claims import verdict_summary
from report.page.provenance import distinct
from report.page.second_studies import second_verdicts
from report.page.summary import run_dates, title
from report.page.verdict_map import Course, map_rows
from report.paper.checks import checks, limits, missing_runs, rerun
from report.paper.document import Paper, Reference
from report.paper.method import method, question
from report.paper.results import change_summary, changed_with_budget, results
from report.sources import SOURCES, address, papers_in
from report.study.tables import Tables
from report.verdicts.text import join_words, plural


def paper_of(tables: Tables, claims: pd.DataFrame) -> Paper:
    """The paper of a study.

    claims: the table "claims".
    """
    second = second_verdicts(tables)
    byline = (
        f"{plural(len(tables.runs), 'run')}, {run_dates(tables.runs)}, commit"
        f" {distinct(tables.runs, 'git_revision')}"
    )
    return Paper(
        title=title(tables.study),
        byline=byline,
        abstract=_abstract(tables, claims),
        sections=[
            question(tables, claims),
            method(tables, claims),
            results(tables, claims, second),
            changed_with_budget(claims),
            checks(tables, claims, second),
            limits(tables, claims),
            rerun(tables),
        ],
        references=_references(claims),
    )


def _abstract(tables: Tables, claims: pd.DataFrame) -> str:
    study, base = tables.study, tables.study.base
    budgets = [f"{tokens_at(tables, budget):,}" for budget in tables.budgets]
    stated = claims.drop_duplicates("claim")
    sentences = [
        f"We test {plural(len(stated), 'claim')} about the transformer in"
        f" {plural(stated['ablation'].nunique(), 'ablation')}, each with a rule and a margin that"
        " decide between supported, negligible, reversed and undecided.",
        f"Networks of {plural(base.n_layers, 'layer')}, width {base.d_model} and"
        f" {parameter_count(base):,} parameters are trained on {study.corpus_name}, on"
        f" {join_words(budgets)} tokens, with tuned learning rates and"
        f" {plural(study.seeds, 'paired seed')}.",
        "A claim counts only where the networks have learnt what it is about.",
        f"{verdict_summary(claims)}.",
    ]
    if len(tables.budgets) > 1:
        sentences += [_courses(claims), change_summary(claims)]
    if missing := missing_runs(tables):
        sentences.append(f"The study is not complete: {plural(missing, 'compared run')} missing.")
    sentences.append("All numbers are computed from tables that can be made again.")
    return " ".join(sentences)


def _courses(claims: pd.DataFrame) -> str:
    """How the verdicts on the claims go on from the lowest budget to the deepest, counted."""
    _, rows = map_rows(claims)
    several = [row for row in rows if sum(cell is not None for cell in row.cells) > 1]
    counts = Counter(row.course for row in several)
    texts = [f"{counts[course]} are {course}" for course in Course if counts[course]]
    return f"Of the claims judged at several budgets, {join_words(texts) or 'none has a verdict'}."


def _references(claims: pd.DataFrame) -> list[Reference]:
    """The papers with known numbers that the claims name, by author."""
    texts = claims[["sentence", "said_by", "published"]].fillna("").to_numpy().ravel()
    named = {paper for text in texts for paper in papers_in(text)} & {*SOURCES}
    return [Reference(paper, SOURCES[paper], address(paper)) for paper in sorted(named)]
