"""How long a plan takes: by hand from runs that were made, and from timing a few steps."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import pytest
from helping import leave_finished

from experiments.plan import preliminary_plan, unique_runs
from experiments.profiles import PROFILES
from experiments.records.provenance import environment
from experiments.running import estimates as estimate
from experiments.spec import RunSpec
from model.accounting import flops_per_token


def test_arithmetic_by_hand(spec: RunSpec):
    forward, whole = (16 * flops_per_token(spec.model, 16, backward) for backward in (False, True))
    assert spec.flops == 6 * 4 * whole
    # four windows before, at steps 3 and 6, and of the training split; eight of two splits
    assert spec.evaluation_flops == (4 * 4 + 2 * 8) * forward


def test_half_a_context_each_for_source_and_target(spec: RunSpec):
    both = dataclasses.replace(
        spec,
        model=dataclasses.replace(spec.model, family="encoder_decoder", vocab_size=25),
        recipe=dataclasses.replace(spec.recipe, task="sort"),
    )
    assert both.flops == 6 * 4 * 8 * flops_per_token(both.model, 8, backward=True)


def test_pace_of_what_was_made_here(spec: RunSpec, tmp_path: Path):
    other = dataclasses.replace(spec, seed=1)
    elsewhere = dataclasses.replace(spec, seed=2)
    failed = dataclasses.replace(spec, seed=3)
    here = environment()["hardware"]
    leave_finished(tmp_path, spec, wall_seconds=2.7, hardware=here)
    leave_finished(tmp_path, other, wall_seconds=4.7, hardware=here)
    leave_finished(tmp_path, elsewhere, wall_seconds=100.0, hardware="another")
    leave_finished(tmp_path, failed, status="failed", wall_seconds=100.0, hardware=here)
    paces = estimate.measured_speeds([spec, other, elsewhere, failed], tmp_path)
    work = spec.flops + spec.evaluation_flops
    assert paces == {"decoder": pytest.approx(2 * work / 6)}
    assert estimate.total_seconds([spec] * 10, paces) == pytest.approx(10 * (3 + 0.7))


def test_a_pace_is_operations_by_the_clock(spec: RunSpec, monkeypatch: pytest.MonkeyPatch):
    clock = iter([10.0, 12.0])
    monkeypatch.setattr(estimate, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    four_steps = 4 * spec.flops / spec.recipe.steps
    assert estimate._pace(spec, "cpu") == pytest.approx(four_steps / 2)


def test_pace_of_a_few_steps_is_that_of_every_family():
    paces = estimate.timed_speeds("smoke", "cpu")
    planned = unique_runs(preliminary_plan(PROFILES["smoke"], None))
    assert set(paces) == {spec.model.family for spec in planned}
    assert paces.pop("bigram") == 0
    assert all(1e7 < pace < 1e12 for pace in paces.values())  # of one thread
    counted = [spec for spec in planned if spec.model.family == "bigram"]
    assert estimate.total_seconds(counted, {"bigram": 0.0}) == pytest.approx(0.7 * len(counted))
    found = estimate.total_seconds(planned, paces | {"bigram": 0.0}) - 0.7 * len(planned)
    work = sum(spec.flops + spec.evaluation_flops for spec in planned)
    assert work / max(paces.values()) < found < work / min(paces.values())
