"""Looks: a study counts how often its claims were judged, each time with more seeds."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from experiments.data.corpus import Corpus
from experiments.profiles import PROFILES
from experiments.records.collect import write_table
from experiments.records.continuing import with_looks
from experiments.records.study import Study


@pytest.fixture
def study(corpus: Corpus, tmp_path: Path) -> Study:
    """A study of five seeds, and of three outside the core, in a results folder."""
    made = Study.of(PROFILES["cpu"], corpus, None)
    made.save(tmp_path)
    return made


def judge(folder: Path, **row: Any) -> None:
    """Leave a table of claims with one row."""
    write_table(folder, "claims", [{"claim": "c", "budget": 1, "p": 0.5, "verdict": "x"} | row])


def with_seeds(study: Study, seeds: int, fewer: int) -> Study:
    return dataclasses.replace(study, seeds=seeds, fewer_seeds=fewer)


def test_a_study_begins_with_its_first_look(study: Study, tmp_path: Path):
    assert study.looks == 1
    assert with_looks(study, tmp_path / "empty") == study


@pytest.mark.parametrize(("seeds", "fewer", "looks"), [(8, 8, 2), (8, 3, 2), (5, 5, 2), (5, 3, 1)])
def test_more_seeds_after_claims_were_judged_are_another_look(
    study: Study, tmp_path: Path, seeds: int, fewer: int, looks: int
):
    judge(tmp_path)
    more = with_seeds(study, seeds, fewer)
    assert with_looks(more, tmp_path) == dataclasses.replace(more, looks=looks)


def test_looks_add_up_and_are_never_taken_back(study: Study, tmp_path: Path):
    judge(tmp_path)
    for seeds, looks in ((8, 2), (8, 2), (5, 2), (12, 3)):
        now = with_looks(with_seeds(study, seeds, seeds), tmp_path)
        assert now.looks == looks
        now.save(tmp_path)


@pytest.mark.parametrize(
    "row",
    [
        {"p": None},  # an interim verdict, or one that is not testable
        {"budget": None},  # costs, which are measured whatever the seeds are
    ],
)
def test_seeds_that_are_added_before_anything_was_judged_are_no_further_look(
    study: Study, tmp_path: Path, row: dict[str, Any]
):
    assert with_looks(with_seeds(study, 8, 8), tmp_path).looks == 1  # no page was made
    judge(tmp_path, **row)
    assert with_looks(with_seeds(study, 8, 8), tmp_path).looks == 1


def test_another_corpus_begins_anew(study: Study, tmp_path: Path):
    judge(tmp_path)
    other = dataclasses.replace(with_seeds(study, 8, 8), corpus_hash="other")
    assert with_looks(other, tmp_path).looks == 1
