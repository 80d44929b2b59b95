"""Going on with a study: what a call takes over from the study in the results folder."""

import dataclasses
from pathlib import Path

from experiments.errors import UserError
from experiments.records.collect import read_table
from experiments.records.study import Study


def budgets_of(folder: Path) -> list[int]:
    """The budgets of the study in a results folder; empty where there is none."""
    try:
        return Study.load(folder).budgets
    except UserError:
        return []


def continued(study: Study, folder: Path, seeds: int | None) -> Study:
    """The study, with the numbers of seeds of the one in the results folder unless others are
    given. Without a study in the folder, the study as it is.

    Raises:
        UserError: the study in the folder has another corpus.
    """
    try:
        present = Study.load(folder)
    except UserError:
        return study
    if study.corpus_hash != present.corpus_hash:
        raise UserError(
            f"{folder} is a study of another corpus than {study.corpus_name}: see CORPUS"
        )
    if seeds is not None:
        return study
    return dataclasses.replace(study, seeds=present.seeds, fewer_seeds=present.fewer_seeds)


def with_looks(study: Study, folder: Path) -> Study:
    """The study, with one look more than the study in the results folder had if it has more seeds
    and claims were judged with fewer.
    """
    try:
        present = Study.load(folder)
    except UserError:
        return study
    if study.corpus_hash != present.corpus_hash:
        return study
    more = study.seeds > present.seeds or study.fewer_seeds > present.fewer_seeds
    looks = present.looks + (more and _were_judged(folder))
    if looks > present.looks:
        print(f"look {looks}: claims were judged with fewer seeds, and intervals are wider now")
    return dataclasses.replace(study, looks=looks)


def _were_judged(folder: Path) -> bool:
    """Whether a results folder has a verdict on a claim that all planned seeds were there for."""
    try:
        claims = read_table(folder, "claims")
    except UserError:
        return False
    return bool((claims["budget"].notna() & claims["p"].notna()).any())
