"""Seals of claims: written before the first run, again after a change, and never lost unnoticed."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from helping import leave_finished, planted

from experiments.ablation import Ablation, Claim, OwnProbe, Trains, Variant
from experiments.planning.plan import Plan, plan
from experiments.planning.rates import CorpusFacts
from experiments.profiles import PROFILES
from experiments.records.claim_seals import read_seals, seal_claims, stated


def ablation(**changes: object) -> Ablation:
    """An ablation with one claim."""
    without = Variant("none", {"model.position": "none"})
    made = planted(Variant("base"), without, arms=["none"])
    (claim,) = made.claims
    return dataclasses.replace(made, claims=[dataclasses.replace(claim, **changes)])


@pytest.fixture
def sealed(tmp_path: Path) -> Callable[[Ablation], list[dict]]:
    """Seal the claims of an ablation called "one", and return all seals in the folder."""

    def seal(made: Ablation) -> list[dict]:
        seal_claims(tmp_path, {"one": made}, planned(made))
        return read_seals(tmp_path)

    return seal


def planned(made: Ablation) -> Plan:
    facts = CorpusFacts(vocab_size=9, hash="c")
    numbers = {"seeds": 2, "fewer_seeds": 2, "budgets": (1,)}
    return plan(PROFILES["cpu"], {"one": made}, facts, score=None, **numbers)


def test_a_claim_is_sealed_once_with_commit_and_time(sealed, tmp_path: Path):
    made = ablation()
    (line,) = sealed(made)
    assert (line["ablation"], line["claim"], line["runs"]) == ("one", "planted", 0)
    assert json.loads(line["stated"]) == stated(made.claims[0], made.variants)
    assert line["git_revision"]
    assert line["sealed"].endswith("+00:00")
    assert line["intact"]
    assert sealed(made) == [line]


@pytest.mark.parametrize(
    "change",
    [
        {"sentence": "It is otherwise."},
        {"margin": 0.2},
        {"effect": {"none": -1.0}},
        {"metric": "val_loss"},
        {"equal": True},
        {"threshold": 1.0},
        {"requires": [Trains("none", by=0.3)]},
    ],
    ids=str,
)
def test_a_claim_that_says_something_else_is_sealed_again_after_its_finished_runs(
    sealed, tmp_path: Path, change: dict
):
    (first,) = sealed(ablation())
    for member in planned(ablation()).comparison_runs[:3]:
        leave_finished(tmp_path, member.spec)
    before, after = sealed(ablation(**change))
    assert before == first
    assert after["runs"] == 3
    changed = ablation(**change)
    assert json.loads(after["stated"]) == stated(changed.claims[0], changed.variants)


def test_a_claim_is_sealed_after_runs_that_were_seen_and_then_failed(sealed, tmp_path: Path):
    sealed(ablation())
    member, *_ = planned(ablation()).comparison_runs
    leave_finished(tmp_path, member.spec)
    first, seen = sealed(ablation())
    assert (first["runs"], seen["runs"], seen["stated"]) == (0, 1, first["stated"])
    assert sealed(ablation()) == [first, seen]
    leave_finished(tmp_path, member.spec, status="failed", reason="planted")
    assert sealed(ablation(margin=0.3))[-1]["runs"] == 1


def measure(model: object, run: object, task: object) -> dict[str, float]:
    return {"mean": 0.0}


def test_a_claim_about_an_own_probe_is_sealed_with_the_fingerprint_of_the_probe(
    monkeypatch: pytest.MonkeyPatch,
):
    probe = OwnProbe(measure=measure, metrics=["mean"])
    claim = dataclasses.replace(ablation().claims[0], metric="measure.mean")
    before = stated(claim, [], [probe])
    assert before["measured_by"] == probe.name
    assert "measured_by" not in stated(ablation().claims[0], [], [probe])
    monkeypatch.setattr("experiments.ablation.mechanism_fingerprint", lambda _: "edited")
    assert stated(claim, [], [probe]) != before


def test_words_that_decide_no_verdict_are_not_sealed(sealed):
    first = sealed(ablation())
    assert sealed(ablation(published="Other 2020: 3", why_margin="another reason")) == first


def test_the_seal_of_a_claim_has_all_that_decides_its_verdict():
    """A new field of a claim is sealed unless it is said to decide nothing."""
    fields = {field.name for field in dataclasses.fields(Claim)}
    (claim,) = ablation().claims
    descriptive = {"id", "said_by", "published", "published_effect", "restated", "why_margin"}
    assert fields - stated(claim, []).keys() == descriptive
    assert stated(claim, []).keys() - fields == {"arms", "rules"}


@pytest.mark.parametrize(
    "change",
    [{"changes": {"model.position": "alibi"}}, {"tuned_for": "base"}, {"fixed_rate": True}],
    ids=str,
)
def test_a_claim_whose_arm_is_changed_is_sealed_again(sealed, change: dict):
    made = ablation()
    base, arm = made.variants
    sealed(made)
    changed = dataclasses.replace(arm, **change)
    assert len(sealed(dataclasses.replace(made, variants=[base, changed]))) == 2


def test_a_variant_that_no_claim_is_about_is_not_sealed(sealed):
    made = ablation()
    base, arm = made.variants
    sealed(made)
    other = dataclasses.replace(base, changes={"model.norm": "rmsnorm"})
    assert len(sealed(dataclasses.replace(made, variants=[other, arm]))) == 1


@pytest.mark.parametrize(
    "damage",
    [
        lambda line: line.replace(b"It is so.", b"It is not."),
        lambda line: line[:40],
        lambda line: b"[1, 2]",
        lambda line: b"\xff\xfe",
    ],
    ids=["forged", "cut off", "another shape", "no text"],
)
def test_a_damaged_seal_is_kept_and_said_to_be_damaged(sealed, tmp_path: Path, damage):
    sealed(ablation())
    file = tmp_path / "seals.jsonl"
    file.write_bytes(damage(file.read_bytes().rstrip()) + b"\n")
    (line,) = read_seals(tmp_path)
    assert line["intact"] is False
    assert line["stated"] is None
    again = sealed(ablation())  # sealed anew, after the damaged line
    assert [each["intact"] for each in again] == [False, True]


def test_a_seal_after_a_line_that_was_cut_off_is_whole(sealed, tmp_path: Path):
    """A file that ends in the middle of a line, as another program may leave it."""
    sealed(ablation())
    file = tmp_path / "seals.jsonl"
    file.write_bytes(file.read_bytes()[:40])
    assert [line["intact"] for line in sealed(ablation())] == [False, True]
