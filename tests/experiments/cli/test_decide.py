"""`decide` adds planned numbers of seeds to the undecided claims that they would decide."""

import dataclasses

import pytest
from decidable import ABLATION, Program, patch_ablations

from experiments.ablation import Times, Variant
from experiments.claim import LOOKS
from experiments.planning.plan import unique_runs
from experiments.records.run_folder import RunFolder
from experiments.running.runner import unfinished


def seeds(program: Program) -> dict[str, int]:
    """Number of planned seeds by variant."""
    runs = program.study.plan(program.results).comparison_runs
    return {name: sum(run.variant == name for run in runs) for name in ("base", "none", "rms")}


def test_decide_adds_seeds_to_the_claim_that_they_would_decide_and_to_no_other(finished: Program):
    """Three runs of each of two variants, of an hour each, two at a time."""
    status, said, _ = finished("decide", "--hours=3.1")
    assert status == 0
    assert "undecided at budget 1: 5 -> 8 seeds, about 180.0 min\n" in said
    assert said.count("1 undecided claim that none of 8, 12 and 20 seeds would decide") == 2
    assert ": 6 runs trained" in said
    assert finished.study.added == {"undecided": {"1": 8}}
    assert seeds(finished) == {"base": 8, "none": 8, "rms": 5}
    rows = finished.rows()
    shown = {name: (row["verdict"], row["n"], row["look"]) for name, row in rows.items()}
    assert shown == {
        "undecided": ("supported", 8, 2),
        "decided": ("supported", 5, 1),
        "never": ("undecided", 5, 1),
    }
    assert f"undecided at budget 1: supported: {rows['undecided']['why']}\n" in said
    assert "(look 2)" in said
    assert said.count(" at budget 1: supported: ") == 1


def test_a_claim_that_stays_undecided_gets_the_next_look_in_the_same_call(finished: Program):
    finished.noise += [0.6, -0.6, 0.0]
    status, said, _ = finished("decide", "--hours=100")
    assert status == 0
    assert "5 -> 8 seeds, about 180.0 min" in said
    assert "8 -> 12 seeds, about 240.0 min" in said
    assert finished.rows()["undecided"]["look"] == 3
    assert finished.study.added == {"undecided": {"1": 12}}


def test_what_does_not_fit_into_the_hours_is_left_out_and_nothing_is_changed(finished: Program):
    before = (finished.results / "study.json").read_bytes()
    status, said, _ = finished("decide", "--hours=2.9")
    assert status == 0
    assert "would decide, 1 that would take longer than the hours that are left\n" in said
    assert ": 0 runs trained" in said
    assert (finished.results / "study.json").read_bytes() == before


def test_where_no_claim_can_be_decided_decide_says_so(finished: Program):
    finished("decide", "--hours=3.1")
    status, said, _ = finished("decide", "--hours=100")
    assert status == 0
    assert "left out: 1 undecided claim that none of 8, 12 and 20 seeds would decide, 0 " in said
    assert ": 0 runs trained" in said


@pytest.mark.parametrize("words", [["decide", "--hours=1"], ["run"], ["deeper"]])
def test_a_call_that_was_killed_is_gone_on_with(finished: Program, words: list[str]):
    finished.killed = True
    status, _, refusal = finished("decide", "--hours=3.1")
    assert (status, refusal) == (130, "stopped; the next call goes on from here\n")
    assert finished.study.added == {"undecided": {"1": 8}}
    finished.killed = False
    status, said, _ = finished(*words)
    assert status == 0
    assert ": 6 runs trained" in said
    assert finished.study.added == {"undecided": {"1": 8}}
    assert (
        unfinished(unique_runs(finished.study.plan(finished.results).runs), finished.results) == []
    )
    if words[0] == "decide":
        assert "undecided at budget 1: supported: " in said


def test_added_seeds_are_kept_by_later_calls_until_there_are_as_many(finished: Program):
    finished("decide", "--hours=3.1")
    finished("run")
    finished("run", "one")
    assert finished.study.added == {"undecided": {"1": 8}}
    finished("run", "--seeds=8")
    assert (finished.study.added, finished.study.looks) == ({}, 3)


def test_an_ablation_that_is_not_finished_is_left_alone(
    finished: Program, monkeypatch: pytest.MonkeyPatch
):
    wide = Variant("wide", {"model.d_model": Times(2)})
    again = dataclasses.replace(ABLATION, variants=[Variant("base"), wide], claims=[])
    patch_ablations(monkeypatch, {"one": ABLATION, "two": again})
    status, said, _ = finished("decide", "--hours=3.1")
    assert status == 0
    assert "left alone, since runs are missing: two\n" in said
    assert ": 6 runs trained" in said
    assert seeds(finished) == {"base": 8 + 5, "none": 8, "rms": 5}  # base is in both
    wides = [
        run.spec.run_id
        for run in finished.study.plan(finished.results).comparison_runs
        if run.variant == "wide"
    ]
    assert wides
    assert not any(RunFolder(finished.results, run_id).path.exists() for run_id in wides)


def test_a_study_without_a_finished_ablation_is_refused(finished: Program):
    plan = finished.study.plan(finished.results)
    for run in plan.comparison_runs[:2]:
        (RunFolder(finished.results, run.spec.run_id).path / "summary.json").unlink()
    before = sorted(finished.results.rglob("*"))
    status, said, refusal = finished("decide", "--hours=1")
    assert (status, said) == (2, "")
    assert refusal == "error: no ablation is finished: run `make all` first\n"
    assert sorted(finished.results.rglob("*")) == before


def test_no_calls_give_a_claim_a_number_of_seeds_that_is_not_planned(finished: Program):
    """Noise that begins anew with each look, and hours that allow one look at a time or several."""
    finished.noise += [0.6, -0.6, 0.0, 0.8, -0.8, 0.0, 0.0]
    numbers = set[tuple[str, int]]()
    for words in (
        ["decide", "--hours=1"],
        ["decide", "--hours=3.1"],
        ["run"],
        ["decide", "--hours=4.1"],
        ["decide", "--hours=100"],
        ["run", "--seeds=6"],
        ["decide", "--hours=100"],
    ):
        assert finished(*words)[0] == 0
        base = finished.study.seeds
        for each in ABLATION.claims:
            n = finished.study.seed_counts.of_claim(ABLATION, each, 1)
            assert n in (base, *LOOKS)
            numbers.add((each.id, n))
        rows = finished.rows() if words[0] == "decide" else {}
        for name, row in rows.items():
            count = finished.study.added.get(name, {}).get("1", base)
            assert (row["n"], row["planned"]) == (count, count)
    assert {("undecided", 5), ("undecided", 8), ("undecided", 12)} <= numbers
