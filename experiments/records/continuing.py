"""Going on with a study: what a call takes over from the study in the results folder."""

import dataclasses
from pathlib import Path

from experiments.claim import LOOKS, look_number
from experiments.errors import UserError
from experiments.planning.seed_counts import Added
from experiments.planning.tuning import TUNING_SEEDS
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


def with_first_seed(study: Study, folder: Path, first_seed: int | None) -> Study:
    """The study with its seeds from `first_seed` on, or from that of the study in the folder.

    Raises:
        UserError: the study in the folder begins with another seed, or the seeds reach those of
            trials.
    """
    try:
        present = Study.load(folder).first_seed
    except UserError:
        present = None
    if first_seed and present and first_seed != present:
        raise UserError(f"{folder} has seeds from {present} on: choose another folder with RESULTS")
    first = first_seed or present or study.first_seed
    last = first + max(study.seeds, study.fewer_seeds, LOOKS[-1]) - 1
    if last >= TUNING_SEEDS[0]:
        raise UserError(
            f"FIRST_SEED={first} cannot work: seeds up to {last} would be those of trials, from"
            f" {TUNING_SEEDS[0]} on"
        )
    return dataclasses.replace(study, first_seed=first)


def with_looks(study: Study, folder: Path) -> Study:
    """The study, with the looks and the added seeds of the study in the results folder.

    If claims were judged and the study has more seeds now, its look is one more than the highest
    look so far.
    """
    try:
        present = Study.load(folder)
    except UserError:
        return study
    if study.corpus_hash != present.corpus_hash:
        return study
    more = study.seeds > present.seeds or study.fewer_seeds > present.fewer_seeds
    looks = present.looks
    if more and (present.added or _were_judged(folder)):
        added = [n for numbers in present.added.values() for n in numbers.values()]
        looks = 1 + look_number(max(added, default=0), looks)
        print(f"look {looks}: claims were judged with fewer seeds, and intervals are wider now")
    return dataclasses.replace(
        study,
        looks=looks,
        added=_still_added(study, present.added),
        first_added=present.first_added,
    )


def _still_added(study: Study, added: Added) -> dict[str, dict[str, int]]:
    """The numbers of added seeds that are above those of the claims' ablations, and those of `make
    trends`, which were a look of their own.
    """
    counts = study.seed_counts
    ablations = {
        claim.id: ablation for ablation in study.ablations.values() for claim in ablation.claims
    }
    left = {
        claim: {
            budget: n
            for budget, n in numbers.items()
            if n < LOOKS[0]
            or claim not in ablations
            or n > counts.of_ablation(ablations[claim], int(budget))
        }
        for claim, numbers in added.items()
    }
    return {claim: numbers for claim, numbers in left.items() if numbers}


def _were_judged(folder: Path) -> bool:
    """Whether a results folder has a verdict on a claim that all planned seeds were there for."""
    try:
        claims = read_table(folder, "claims")
    except UserError:
        return False
    return bool((claims["budget"].notna() & claims["p"].notna()).any())
