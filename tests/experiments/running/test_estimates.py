"""Estimated times of runs, from finished runs and from timing a few steps."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import pytest
from helping import leave_finished

from experiments.planning.plan import preliminary_plan, unique_runs
from experiments.profiles import PROFILES
from experiments.records import provenance
from experiments.running import estimates
from experiments.spec import RunSpec
from model.accounting import flops_per_token


def test_training_and_evaluation_flops_equal_a_count_by_hand(spec: RunSpec):
    forward = 16 * flops_per_token(spec.model, 16)
    assert spec.flops == 6 * 4 * 16 * flops_per_token(spec.model, 16, backward=True)
    # 4 windows each at steps 0, 3 and 6, and of the two other splits at the end
    assert spec.evaluation_flops == 5 * 4 * forward


def test_source_and_target_take_half_a_context_each_in_flops(spec: RunSpec):
    both = dataclasses.replace(
        spec,
        model=dataclasses.replace(spec.model, family="encoder_decoder", vocab_size=25),
        recipe=dataclasses.replace(spec.recipe, task="sort"),
    )
    assert both.flops == 6 * 4 * 8 * flops_per_token(both.model, 8, backward=True)


def test_speeds_are_measured_from_finished_runs_of_this_machine_only(
    spec: RunSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # `environment` hashes all packages and code, too slow for `list` and `status`
    monkeypatch.delattr(provenance, "environment")
    other = dataclasses.replace(spec, seed=1)
    elsewhere = dataclasses.replace(spec, seed=2)
    failed = dataclasses.replace(spec, seed=3)
    here = provenance.machine()
    leave_finished(tmp_path, spec, wall_seconds=2.1, hardware=here)
    leave_finished(tmp_path, other, wall_seconds=4.1, hardware=here)
    leave_finished(tmp_path, elsewhere, wall_seconds=100.0, hardware="another")
    leave_finished(tmp_path, failed, status="failed", wall_seconds=100.0, hardware=here)
    speeds = estimates.measured_speeds([spec, other, elsewhere, failed], tmp_path)
    flops = spec.flops + spec.evaluation_flops
    assert speeds == {"decoder": pytest.approx(2 * flops / 6)}
    assert estimates.total_seconds([spec] * 10, speeds) == pytest.approx(10 * (3 + 0.1))


def test_runs_that_shared_a_card_had_a_part_of_its_speed_each(spec: RunSpec, tmp_path: Path):
    here, flops = provenance.machine(), spec.flops + spec.evaluation_flops
    leave_finished(tmp_path, spec, wall_seconds=4.1, hardware=here, runs_per_card=4)
    speeds = estimates.measured_speeds([spec], tmp_path)
    assert speeds == {"decoder": pytest.approx(4 * flops / 4)}


def test_timed_speed_is_the_flops_of_four_steps_over_their_seconds(
    spec: RunSpec, monkeypatch: pytest.MonkeyPatch
):
    clock = iter([10.0, 10.5, 11.0, 11.5, 12.0])  # after the warm-up step, and after each of four
    monkeypatch.setattr(estimates, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    four_steps = 4 * spec.flops / spec.recipe.steps
    assert estimates._time_steps(spec, "cpu") == pytest.approx(four_steps / 2)


def test_timing_a_few_steps_gives_the_speed_of_every_family():
    speeds = estimates.timed_speeds("smoke", "cpu")
    planned = unique_runs(preliminary_plan(PROFILES["smoke"], None))
    assert set(speeds) == {spec.model.family for spec in planned}
    assert speeds.pop("bigram") == 0
    assert all(1e7 < speed < 1e12 for speed in speeds.values())  # with one thread
    bigrams = [spec for spec in planned if spec.model.family == "bigram"]
    assert estimates.total_seconds(bigrams, {"bigram": 0.0}) == pytest.approx(0.1 * len(bigrams))
    seconds = estimates.total_seconds(planned, speeds | {"bigram": 0.0}) - 0.1 * len(planned)
    flops = sum(spec.flops + spec.evaluation_flops for spec in planned)
    assert flops / max(speeds.values()) < seconds < flops / min(speeds.values())
