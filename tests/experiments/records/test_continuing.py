"""Going on with a study: its looks, each with more seeds than before, and its first seed."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from helping import planted

from experiments.ablation import Variant
from experiments.claim import LOOKS
from experiments.cli import decide
from experiments.data.corpus import Corpus
from experiments.errors import UserError
from experiments.files import write_sealed
from experiments.planning.tuning import TUNING_SEEDS
from experiments.profiles import PROFILES
from experiments.records.collect import write_table
from experiments.records.continuing import continued, with_first_seed, with_looks
from experiments.records.study import Study
from report.study.further_seeds import Candidate


@pytest.fixture
def study(corpus: Corpus, tmp_path: Path) -> Study:
    """A study of five seeds, and of three outside the core, in a results folder."""
    made = with_seeds(Study.of(PROFILES["cpu"], corpus, None), 5, 3)
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


@pytest.fixture
def added(study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    """The study, with added seeds for claims of an ablation of the core and of another."""
    variants = Variant("base"), Variant("none", {"model.position": "none"})
    core, other = (planted(*variants, arms=["none"], core=core) for core in (True, False))
    claims = [dataclasses.replace(core.claims[0], id="in-core")]
    ablations = {"core": dataclasses.replace(core, claims=claims), "other": other}
    monkeypatch.setattr("experiments.records.study.load_ablations", lambda: ablations)
    numbers = {"in-core": {"1": 8, "4": 12}, "planted": {"1": 8}}
    made = dataclasses.replace(study, added=numbers)
    made.save(tmp_path)
    return made


def test_added_seeds_are_kept_by_a_call_with_the_same_seeds(
    study: Study, added: Study, tmp_path: Path
):
    assert with_looks(study, tmp_path) == added
    assert continued(study, tmp_path, None).added == {}  # `with_looks` brings them
    other = dataclasses.replace(study, corpus_hash="other")
    assert with_looks(other, tmp_path) == other


def test_more_seeds_replace_as_many_added_ones_and_are_a_look_after_all_looks(
    study: Study, added: Study, tmp_path: Path
):
    """The claim with 12 seeds was at look 3, so that another look at the data is look 4."""
    assert added.look("in-core", 4, 5) == 3
    now = with_looks(with_seeds(study, 8, 3), tmp_path)
    assert (now.looks, now.added) == (4, {"in-core": {"4": 12}, "planted": {"1": 8}})
    assert [now.look("in-core", budget, 5) for budget in (1, 4, None)] == [4, 6, 4]
    assert with_looks(with_seeds(study, 20, 20), tmp_path).added == {}


def test_seeds_of_a_followed_trend_are_a_look_of_their_own(
    study: Study, added: Study, tmp_path: Path
):
    """The claim was judged with three seeds at budget 16. Then the core is trained there too."""
    followed = dataclasses.replace(study, added={"in-core": {"16": 3}})
    assert followed.look("in-core", 16, 0) == 1
    followed.save(tmp_path)
    deeper = with_looks(dataclasses.replace(study, budgets=[1, 4, 16]), tmp_path)
    assert deeper.added == {"in-core": {"16": 3}}
    assert deeper.look("in-core", 16, 5) == 2


def test_a_study_keeps_its_first_seed_and_a_new_one_has_the_usual_or_the_chosen_one(
    study: Study, tmp_path: Path
):
    new = tmp_path / "new"
    assert with_first_seed(study, new, None) == study
    chosen = with_first_seed(study, new, 300)
    assert chosen.first_seed == 300
    chosen.save(tmp_path)
    assert with_first_seed(study, tmp_path, None) == chosen
    assert with_first_seed(study, tmp_path, 300) == chosen
    with pytest.raises(UserError, match="has seeds from 300 on: choose another folder"):
        with_first_seed(study, tmp_path, 200)


def test_seeds_must_stay_below_those_of_trials(study: Study, tmp_path: Path):
    last = TUNING_SEEDS[0] - LOOKS[-1]
    assert with_first_seed(study, tmp_path / "new", last).first_seed == last
    with pytest.raises(UserError, match="would be those of trials, from 1000 on"):
        with_first_seed(study, tmp_path / "new", last + 1)
    with pytest.raises(UserError, match="FIRST_SEED=971 cannot work"):
        with_first_seed(with_seeds(study, 30, 3), tmp_path / "new", 971)


def test_a_study_from_before_first_seeds_could_be_chosen_has_the_usual_one(
    study: Study, tmp_path: Path
):
    facts = {k: v for k, v in dataclasses.asdict(study).items() if k != "first_seed"}
    write_sealed(tmp_path / "study.json", facts)
    assert Study.load(tmp_path) == study


def test_a_first_look_with_fewer_seeds_counts_after_further_seeds_are_added(
    study: Study, added: Study, tmp_path: Path
):
    """Three seeds for a trend, then five of the whole ablation, then eight to decide: look 3."""
    looked_at = dataclasses.replace(added, added={"in-core": {"4": 3}})
    assert [looked_at.look("in-core", 4, usual) for usual in (0, 5)] == [1, 2]
    further = decide.with_seeds(looked_at, [Candidate("core", "in-core", 4, 5, 8)])
    assert further.added == {"in-core": {"4": 8}}
    assert [further.look("in-core", 4, usual) for usual in (0, 5)] == [2, 3]
    again = decide.with_seeds(further, [Candidate("core", "in-core", 4, 8, 12)])
    assert [again.look("in-core", 4, usual) for usual in (0, 5)] == [3, 4]
    again.save(tmp_path)
    assert Study.load(tmp_path) == again
    assert with_looks(study, tmp_path).first_added == {"in-core": {"4": 3}}
