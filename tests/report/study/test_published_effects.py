"""Published effects that are too small for these networks and seeds, and restated claims."""

import math

import pytest
from by_hand import ablation, claim, runs_of, write_study
from scipy import stats

from experiments.catalogue import load_ablations
from experiments.claim import Claim
from experiments.profiles import PROFILES
from experiments.records.schema import COLUMNS
from report.study.judge import judge
from report.verdicts.outcomes import decidable_with
from report.verdicts.stats import estimate

NOISY = {"a": [2.0, 2.1, 1.9, 2.0, 2.0], "b": [2.2, 1.9, 2.1, 2.3, 1.8]}


def row(tmp_path, monkeypatch, **changes) -> dict:
    stated = claim(**changes)
    tables = write_study(tmp_path, monkeypatch, ablation(stated), runs_of(NOISY))
    return judge(tables, "planted", stated)


def test_the_effect_that_more_seeds_could_decide_follows_from_their_deviation():
    """Five values of deviation 0.1: the error of twenty is 0.1 / sqrt(20), and t is 2.093."""
    values = [0.0, 0.1, -0.1, 0.1, -0.1]
    least = decidable_with(estimate(values), 0.02, 20, 0.05)
    assert least == pytest.approx(0.02 + 2.093024 * 0.1 / math.sqrt(20), rel=1e-6)
    assert decidable_with(estimate([0.1]), 0.02, 20, 0.05) is None


def test_an_undecided_claim_says_that_its_published_effect_is_too_small(tmp_path, monkeypatch):
    """The differences are 0.2, -0.2, 0.2, 0.3 and -0.2, of deviation 0.2408. Twenty seeds are at
    the fourth look, whose level is 0.00625.
    """
    least = 0.1 + stats.t.ppf(1 - 0.00625 / 2, 19) * 0.240832 / math.sqrt(20)
    judged = row(tmp_path, monkeypatch, published_effect=0.05)
    assert judged["verdict"] == "undecided"
    assert judged["why"].endswith(
        f"; the published effect, about 0.05, is below the {least:.2g} that 20 seeds could decide"
    )
    for large in (None, 0.4):
        text = row(tmp_path, monkeypatch, published_effect=large)["why"]
        assert "published effect" not in text


def test_a_claim_says_how_it_was_restated(tmp_path, monkeypatch):
    assert row(tmp_path, monkeypatch, restated="it was another")["restated"] == "it was another"
    assert row(tmp_path, monkeypatch)["restated"] == ""
    assert "restated" in {name for name, _, _ in COLUMNS["claims"]}


@pytest.mark.parametrize(
    "changes",
    [{"log": True}, {"metric": "trains", "margin": 0.25}, {"effect": {}, "check": "head-cost"}],
)
def test_a_published_effect_is_refused_where_it_would_be_ignored(changes):
    with pytest.raises(ValueError, match="published_effect is for claims about a difference"):
        claim(**changes, published_effect=0.1)


def test_ablations_whose_published_effects_are_all_out_of_reach_are_trained_at_budget_1_alone():
    """Twenty seeds decide about 0.01 nats here: the paired deviation is 0.02."""

    def out_of_reach(claim: Claim) -> bool:
        return claim.published_effect is not None and claim.published_effect < 0.01

    hopeless = {
        name: ablation.budgets_of(PROFILES["cpu"].budgets)
        for name, ablation in load_ablations().items()
        if ablation.claims and all(map(out_of_reach, ablation.claims))
    }
    assert hopeless == {"activation": [1]}
