"""The tables `membership` and `tuning`: which runs are compared, and how rates were chosen."""

from pathlib import Path

import pandas as pd
import pytest
from helping import leave_finished, leave_tuned, planted

from experiments.ablation import Beats, Claim, Variant
from experiments.data.corpus import Corpus
from experiments.planning.plan import YARDSTICKS
from experiments.planning.tuning import TUNING_SEEDS
from experiments.profiles import PROFILES
from experiments.records.collect import collect, read_table
from experiments.records.schema import VERSION
from experiments.records.study import Study
from experiments.running.runner import unfinished

NONE = {"model.position": "none"}
CLAIM = Claim(
    id="c",
    sentence="It is so.",
    said_by="somebody",
    effect={"base": 1, "none": -1},
    margin=0.1,
    why_margin="a test",
    requires=[Beats("base")],
)
ABLATIONS = {
    "core": planted(Variant("base"), Variant("none", NONE), claims=[CLAIM], core=True),
    "other": planted(Variant("rms", {"model.norm": "rmsnorm"}), Variant("base"), arms=["rms"]),
}


@pytest.fixture
def study(corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    monkeypatch.setattr("experiments.records.study.load_ablations", lambda: ABLATIONS)
    study = Study.of(PROFILES["smoke"], corpus, seeds=2, budgets=[1, 2])
    study.save(tmp_path)
    return study


def tables(results: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    collect(results)
    return read_table(results, "membership"), read_table(results, "tuning")


def test_the_schema_version_is_11():
    """Costs of version 10 were all measured at one time, and have repeats in place of blocks."""
    assert VERSION == 11


def test_membership_says_at_which_budget_a_run_is_compared(study: Study, tmp_path: Path):
    plan = leave_tuned(tmp_path, study)
    membership, _ = tables(tmp_path)
    for name, budgets in {"core": [1, 2], "other": [1], YARDSTICKS: [1, 2]}.items():
        own = membership[membership["ablation"] == name]
        assert sorted(own["budget"].unique()) == budgets
        assert (own.groupby(["variant", "budget"])["seed"].nunique() == 2).all()
    assert set(membership.loc[membership["ablation"] == YARDSTICKS, "variant"]) == {"bigram"}
    steps = {run.spec.run_id: run.spec.recipe.steps for run in plan.comparison_runs}
    assert (membership["run_id"].map(steps) == 30 * membership["budget"]).all()


def test_membership_lists_runs_that_wait_for_a_learning_rate_at_their_budget(
    study: Study, tmp_path: Path
):
    for trial in study.plan(tmp_path).trials:
        leave_finished(tmp_path, trial.spec)  # the first seed at budget 1
    membership, tuning = tables(tmp_path)
    waiting = membership[membership["run_id"].isna()]
    core = waiting[waiting["ablation"] == "core"]
    assert sorted(core["budget"].unique()) == [1, 2]
    assert len(core) == 2 * 2 * 2  # variants, budgets and seeds
    trials = tuning[tuning["ablation"] == "core"]
    assert not trials["chosen"].any()
    assert set(trials["budget"]) == {1}
    assert waiting["ablation"].unique().tolist() == ["core"]  # a check is over after its trials


def test_tuning_has_a_row_for_every_trial_and_says_how_its_rate_was_chosen(
    study: Study, tmp_path: Path
):
    leave_tuned(tmp_path, study)
    _, tuning = tables(tmp_path)
    assert not tuning.duplicated(["ablation", "variant", "run_id"]).any()
    core, other = (tuning[tuning["ablation"] == name] for name in ("core", "other"))
    assert set(core["method"]) == {"tuned"}
    assert set(other["method"]) == {"checked"}
    assert (core.groupby(["variant", "budget"]).size() == 7).all()
    assert sorted(core["budget"].unique()) == [1, 2]
    assert (other["budget"] == 1).all()
    assert sorted(other["rate"]) == [0.5, 1.0, 2.0]
    assert (tuning["chosen"] == (tuning["rate"] == 1)).all()
    assert not tuning["refused"].any()
    assert set(core.loc[core["chosen"], "seed"]) == {*TUNING_SEEDS}
    base = PROFILES["smoke"].recipe.learning_rate
    assert (tuning["learning_rate"] == base * tuning["rate"]).all()


def test_tuning_says_which_rates_are_refused_at_which_budget(study: Study, tmp_path: Path):
    """At budget 2, twice the rate diverges: it and the rate below it are refused."""
    while left := unfinished([each.spec for each in study.plan(tmp_path).trials], tmp_path):
        for spec in left:
            rate = spec.recipe.learning_rate / PROFILES["smoke"].recipe.learning_rate
            deep = spec.recipe.steps > PROFILES["smoke"].recipe.steps
            over = {"status": "diverged", "reason": "the loss was nan"} if deep and rate > 1 else {}
            leave_finished(tmp_path, spec, **{"val_loss": 0.5 + 0.1 * abs(rate - 1)} | over)
    _, tuning = tables(tmp_path)
    core = tuning[tuning["ablation"] == "core"]
    refused = core[core["refused"]]
    assert {*zip(refused["budget"], refused["rate"], strict=True)} == {(2, 2.0), (2, 1.0)}
    chosen = core[core["chosen"]]
    assert {*zip(chosen["budget"], chosen["rate"], strict=True)} == {(1, 1.0), (2, 0.5)}
