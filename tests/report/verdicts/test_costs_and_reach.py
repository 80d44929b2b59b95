"""Growth with the length, and what it takes to reach a loss: by hand, and through claims."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pandas as pd
import planted
import pytest
from planted import plant

from experiments.ablation import Claim, Variant
from experiments.plan import PlannedRun, unique_runs
from experiments.records.collect import collect, write_table
from experiments.records.run_folder import RunFolder
from experiments.records.study import Study
from experiments.spec import TUNING_SEED
from report.figures import sweeps
from report.verdicts.cost_growth import attention_share, effects, exponents, overtakes, peak_flops
from report.verdicts.cost_to_target import first_reach, spent_to_loss
from report.verdicts.judge import judge
from report.verdicts.tables import Tables

LENGTHS = (128, 256, 512, 1024, 2048)


def cost_rows() -> list[dict]:
    """Attention takes 1e-9 n² seconds a layer, the model 1e-6 n and four of those; reference
    attention holds 16 n² bytes, fused 100 n.
    """
    rows: list[dict] = [
        {"what": "matmul", "repeat": repeat, "seconds": 0.1 + 0.1 * repeat, "flops": 1e9}
        for repeat in range(3)
    ]
    for kernel, memory in (
        ("reference", lambda n: 16 * n**2),
        ("fused", lambda n: 100 * n),
    ):
        for n in LENGTHS:
            for repeat in range(3):
                times = {"attention": 1e-9 * n**2, "model": 1e-6 * n + 4e-9 * n**2}
                rows += [
                    {
                        "what": f"{what} {kernel}",
                        "direction": "both",
                        "length": n,
                        "repeat": repeat,
                        "seconds": seconds,
                        "peak_bytes": memory(n) if repeat == 0 else None,
                    }
                    for what, seconds in times.items()
                ]
    for repeat in range(3):
        noise = 1 + 0.001 * repeat
        rows += [
            {"what": "layernorm", "direction": d, "repeat": repeat, "seconds": s * noise}
            for d, s in (("forward", 9.0), ("both", 2.0))
        ]
        rows.append(
            {"what": "rmsnorm", "direction": "both", "repeat": repeat, "seconds": 1.0 * noise**2}
        )
    return rows


COSTS_TABLE = pd.DataFrame(cost_rows())


def test_exponents_of_a_square_and_of_a_line():
    powers = exponents(COSTS_TABLE, "attention reference", "both", "seconds")
    assert list(powers.index) == [256, 512, 1024]
    assert list(powers) == pytest.approx([2, 2, 2])
    assert list(exponents(COSTS_TABLE, "attention fused", "both", "peak_bytes")) == pytest.approx(
        [1, 1, 1]
    )
    whole = exponents(COSTS_TABLE, "model fused", "both", "seconds")
    assert whole.is_monotonic_increasing
    assert 1 < whole.iloc[0] < whole.iloc[-1] < 2


def test_seconds_side_by_side_are_paired_by_repeat_and_of_both_directions():
    found = effects(COSTS_TABLE, "measured_seconds", {"layernorm": 1, "rmsnorm": -1}, log=True)
    expected = [math.log(2 / (1 + 0.001 * repeat)) for repeat in range(3)]
    assert list(found) == pytest.approx(expected)


def test_the_peak_is_the_best_that_was_seen():
    assert peak_flops(COSTS_TABLE) == pytest.approx(1e10)
    assert peak_flops(COSTS_TABLE.iloc[:0]) is None


def test_where_attention_overtakes_the_rest():
    share = attention_share(COSTS_TABLE, "fused", layers=4)
    # 4e-9 n² against 1e-6 n: even at n = 250
    assert overtakes(share) == pytest.approx(250, rel=0.02)
    assert overtakes(share[share.index < 200]) is None


def test_first_reach_by_hand():
    spent, losses = np.array([0.0, 10, 20, 30]), np.array([4.0, 3, 2, 2.5])
    assert first_reach(spent, losses, 2.5) == 15
    assert first_reach(spent, losses, 4.0) == 0
    assert first_reach(spent, losses, 2.0) == 20
    assert math.isnan(first_reach(spent, losses, 1.9))


def test_the_loss_to_be_reached_is_the_worse_of_the_lowest():
    curves = pd.DataFrame(
        [
            {"variant": variant, "seed": 0, "step": step, "tokens": 100 * step, "loss": loss}
            for variant, losses in (("quick", [4, 2, 1]), ("slow", [4, 3, 2.5]), ("other", [9, 9]))
            for step, loss in enumerate(losses)
        ]
    )
    found = spent_to_loss(curves, ["quick", "slow"], "tokens")
    assert found.loc[0].to_dict() == {"quick": 75, "slow": 200}


def claim(**changes) -> Claim:
    stated = {"id": "x", "sentence": "", "said_by": "", "margin": 0.2, "why_margin": "a test"}
    return Claim(**stated | changes)


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tables:
    claims = [
        claim(
            id=name,
            effect={what: 1},
            metric=metric,
            threshold=2,
            equal=True,
        )
        for name, what, metric in (
            ("time", "attention fused", "time_exponent"),
            ("memory", "attention reference", "memory_exponent"),
            ("memory-fused", "attention fused", "memory_exponent"),
            ("model", "model fused", "time_exponent"),
        )
    ]
    own_rate = Variant("own-rate", tuned_for="base")
    ablation = dataclasses.replace(
        planted.ABLATION, claims=claims, variants=[*planted.ABLATION.variants, own_rate]
    )
    monkeypatch.setattr(planted, "ABLATION", ablation)
    results = plant(tmp_path, monkeypatch, [0.1, 0.2])
    write_table(results, "costs", cost_rows())
    return Tables.load(_collected(results))


def _collected(results: Path) -> Path:
    collect(results)
    return results


def test_claims_about_growth_are_judged_by_doublings(tables: Tables):
    found = {c.id: judge(tables, "planted", c) for c in tables.ablations["planted"].claims}
    verdicts = {name: row["verdict"] for name, row in found.items()}
    assert verdicts == {
        "time": "supported",
        "memory": "supported",
        "memory-fused": "contradicted",
        "model": "undecided",  # a power that grows from 1.5 to 1.9
    }
    assert found["memory-fused"]["effect"] == pytest.approx(-1)
    assert "what exceeds 2 is −1.000" in found["memory-fused"]["why"]
    assert "over 3 doublings of the length" in found["memory-fused"]["why"]


def test_nothing_measured_is_not_tested(tables: Tables):
    none = dataclasses.replace(tables, costs=tables.costs.iloc[:0])
    row = judge(none, "planted", tables.ablations["planted"].claims[0])
    assert (row["verdict"], row["why"]) == ("not tested", "it has not been measured yet")


def finish(tables: Tables, trials: list[PlannedRun]) -> None:
    """The nearer to three tenths, the better; ten times diverges."""
    for trial in trials:
        folder = RunFolder(tables.results, trial.spec.run_id)
        folder.start(trial.spec)
        if trial.rate == 10:
            folder.finish({"status": "diverged", "reason": ""})
        else:
            loss = 2 + abs(math.log(trial.rate / 0.3))
            folder.finish({"status": "done", "val_loss": loss, "steps": 400, "train_seconds": 1.0})


def test_a_rate_not_chosen_is_missing_and_one_chosen_is_shown(tables: Tables):
    waiting = tables.members[tables.members["variant"] == "own-rate"]
    assert set(waiting["status"]) == {"missing"}
    assert sweeps.rate_curves(tables, "planted").data == ""

    plan = Study.load(tables.results).plan(tables.results)
    assert len(plan.waiting) == 2
    finish(tables, plan.trials)
    assert sweeps.rate_curves(Tables.load(_collected(tables.results)), "planted").data
    plan = Study.load(tables.results).plan(tables.results)
    assert len(plan.waiting) == 2
    finish(tables, [t for t in plan.trials if t.spec.seed == TUNING_SEED + 1])
    chosen = Tables.load(_collected(tables.results))
    shown = sweeps.rate_curves(chosen, "planted").data
    assert "base is best at 0.003." in shown
    assert "Diverged, and not drawn: base at 1 rate." in shown
    assert "end of what was tried" not in shown
    plan = Study.load(tables.results).plan(tables.results)
    assert not plan.waiting
    own = [m.spec.recipe.learning_rate for m in plan.members if m.variant == "own-rate"]
    assert own == pytest.approx([0.003] * 2)
    assert len(unique_runs(plan.members)) == 6


def test_growth_is_shown_where_it_is_claimed(tables: Tables):
    shown = sweeps.cost_curves(tables, "planted").data
    assert "peak memory of attention fused: 1.000" in shown
    assert "with fused attention at about 25" in shown
    without = dataclasses.replace(tables.ablations["planted"], claims=[])
    tables.ablations["planted"] = without
    assert sweeps.cost_curves(tables, "planted").data == ""
