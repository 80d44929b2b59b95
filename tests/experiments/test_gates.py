"""Gates: every claim about learning has one, and one that cannot be judged is refused."""

import re
from collections.abc import Sequence

import pytest
from helping import planted

from experiments.ablation import Beats, Claim, SeesTokens, Solves, Trains, UsesContext, Variant
from experiments.catalogue import load_ablations
from experiments.gates import YARDSTICKS
from experiments.metrics import LEARNT_METRICS, METRICS, PROBE_OF
from experiments.spec import Probe

CLAIM = {
    **{"id": "c", "sentence": "", "said_by": "nobody", "effect": {"small": 1}},
    **{"margin": 0.1, "why_margin": "a test"},
}


def state(gate: object, probes: Sequence[Probe] = ("positions",)) -> None:
    """State a claim with a gate, in an ablation of two variants."""
    claim = Claim(**CLAIM, requires=[gate])
    planted(Variant("small"), Variant("large"), claims=[claim], probes=probes)


@pytest.mark.parametrize(
    ("gate", "message"),
    [
        ("bigram", "'bigram' is no gate: there are Beats, UsesContext, Solves, Trains"),
        (None, "None is no gate"),
        (Beats, "<class 'experiments.gates.Beats'> is no gate"),
        (Beats("smal"), "no arm 'smal', did you mean 'small'?"),
        (Beats("bigram"), "no arm 'bigram': there are small, large"),
        (Beats("small", "bigrams"), "no yardstick 'bigrams', did you mean 'bigram'?"),
        (Beats("small", "larg"), "no yardstick 'larg', did you mean 'large'?"),
        (Beats("small", by=-0.1), "-0.1 is no threshold: it must be 0 or more"),
        (Beats("small", by="1"), "'1' is no threshold"),
        (Beats("small", by=True), "True is no threshold"),
        (Beats("small", by=float("nan")), "nan is no threshold"),
        (Beats("small", by=float("inf")), "inf is no threshold"),
        (UsesContext("smal"), "no arm 'smal', did you mean 'small'?"),
        (UsesContext("small", by=-1), "-1 is no threshold: it must be 0 or more"),
        (UsesContext("small", by=None), "None is no threshold"),
        (UsesContext("small", skip=-0.1), "skip=-0.1 is no share of the window from 0 to 0.5"),
        (UsesContext("small", skip=0.6), "skip=0.6 is no share of the window from 0 to 0.5"),
        (UsesContext("small", skip=32), "skip=32 is no share of the window"),
        (UsesContext("small", skip=float("nan")), "skip=nan is no share of the window"),
        (UsesContext("small", skip="half"), "skip='half' is no share of the window"),
        (UsesContext("small", skip=True), "skip=True is no share of the window"),
        (Trains("larg"), "no arm 'larg', did you mean 'large'?"),
        (Trains(7), "no arm '7': there are small, large"),
        (Trains("small", by=-0.2), "-0.2 is no threshold: it must be 0 or more"),
        (SeesTokens("larg"), "no arm 'larg', did you mean 'large'?"),
        (SeesTokens("small", per_parameter=-1), "-1 is no threshold: it must be 0 or more"),
        (Solves(("small", "larg")), "no arm 'larg', did you mean 'large'?"),
        (Solves("small"), "arms must be a tuple of variants, not 'small'"),
        (Solves(["small"]), "arms must be a tuple of variants, not ['small']"),
        (Solves(()), "arms must be a tuple of variants, not ()"),
        (Solves(("small",), accuracy=1.01), "accuracy=1.01 cannot be reached: the most is 1"),
        (Solves(("small",), accuracy=-0.5), "-0.5 is no threshold: it must be 0 or more"),
    ],
    ids=repr,
)
def test_a_gate_that_cannot_be_judged_is_refused(gate: object, message: str):
    with pytest.raises(ValueError, match=re.escape(f"claim 'c': requires: {message}")) as refusal:
        state(gate)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "gate",
    [
        Beats("large"),
        Beats("large", "small", by=0),
        *(Beats("large", yardstick, 1) for yardstick in YARDSTICKS),
        UsesContext("small"),
        UsesContext("small", skip=0.5),
        Solves(("small", "large"), accuracy=1),
        Trains("large"),
        SeesTokens("large", 20),
    ],
    ids=repr,
)
def test_a_gate_that_can_be_judged_is_accepted_and_names_its_arms(gate: Beats):
    state(gate)
    assert set(gate.arms) <= {"small", "large"}
    assert gate.arms


def test_a_gate_about_context_needs_the_probe_of_positions_and_no_other_gate_does():
    with pytest.raises(ValueError, match="claim 'c': UsesContext needs the ablation's probe 'posi"):
        state(UsesContext("small"), probes=["heads"])
    for gate in (Beats("small"), Solves(("small",)), Trains("small")):
        state(gate, probes=[])


@pytest.mark.parametrize(("metric", "probe"), PROBE_OF.items())
def test_a_metric_that_a_probe_measures_needs_the_probe(metric: str, probe: Probe):
    claim = Claim(**CLAIM, metric=metric, requires=[Trains("small")])
    variants = [Variant("small"), Variant("large")]
    planted(*variants, claims=[claim], probes=[probe])
    message = f"claim 'c': the metric {metric} needs the ablation's probe '{probe}'"
    with pytest.raises(ValueError, match=re.escape(message)):
        planted(*variants, claims=[claim], probes=["samples"])


def test_a_gate_against_another_variant_is_about_both():
    assert Beats("large", "small").arms == ("large", "small")
    assert Beats("large", "bigram").arms == ("large",)


@pytest.mark.parametrize("metric", LEARNT_METRICS)
def test_a_claim_about_learning_needs_a_gate(metric: str):
    claim = Claim(**CLAIM, metric=metric)
    assert claim.learnt
    with pytest.raises(ValueError, match="claim 'c' is about what networks learn, and requires no"):
        planted(Variant("small"), Variant("large"), claims=[claim])


def test_a_claim_about_speed_gradients_or_heads_and_one_without_training_need_no_gate():
    for metric in {*METRICS} - {*LEARNT_METRICS}:
        assert not Claim(**CLAIM, metric=metric).learnt
    assert not Claim(id="c", sentence="", said_by="nobody", check="head-cost").learnt
    assert "tokens_per_second" not in LEARNT_METRICS
    assert {name for name in METRICS if name.startswith("val_")} <= {*LEARNT_METRICS}


def test_margins_in_nats_are_those_of_differences_of_losses():
    gates = [Trains("small")]
    in_nats = {
        name for name in METRICS if Claim(**CLAIM, metric=name, requires=gates).margin_in_nats
    }
    assert in_nats == {name for name in METRICS if "loss" in name and "_to_" not in name} | {
        *(f"rise_beyond_{n}x_per_character" for n in (2, 4, 8)),
        "context_gain_per_character",
    }
    assert Claim(**CLAIM, metric="val_loss", requires=gates, log=True).margin_in_nats is None
    assert Claim(id="c", sentence="", said_by="nobody", check="head-cost").margin_in_nats is None
    counted = Claim(**CLAIM | {"margin": 0.25}, seed_margin=0.02, requires=gates)
    assert counted.margin_in_nats == 0.02


def test_every_claim_of_the_catalogue_that_is_about_learning_has_a_gate():
    claims = [claim for ablation in load_ablations().values() for claim in ablation.claims]
    learnt = [claim for claim in claims if claim.metric in LEARNT_METRICS and claim.effect]
    assert len(learnt) > 20
    assert [claim.id for claim in learnt if not claim.requires] == []


@pytest.mark.parametrize("yardstick", YARDSTICKS)
@pytest.mark.parametrize("task", ["genre", "reverse", "repeat"])
def test_a_task_without_text_is_not_compared_with_a_yardstick_of_another_unit(
    yardstick: str, task: str
):
    variants = [Variant("small", {"recipe.task": task}), Variant("large", {"recipe.task": task})]
    for gate in (Beats("small", yardstick), Beats("small", "large")):
        claim = Claim(**CLAIM, requires=[gate])
        if gate.yardstick in YARDSTICKS:
            with pytest.raises(ValueError, match="the yardsticks are losses on text"):
                planted(*variants, claims=[claim])
        else:
            planted(*variants, claims=[claim])


def test_a_variant_of_fixed_rate_cannot_lend_its_rate():
    with pytest.raises(ValueError, match="'small' has a fixed rate, never tuned"):
        planted(Variant("small", fixed_rate=True), Variant("large", tuned_for="small"))
