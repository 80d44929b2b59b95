"""A run with parts of one's own is refused before training, if they do not do what they must."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from recorded import run as train

from experiments.data.corpus import Corpus
from experiments.spec import RunSpec
from experiments.training.own_parts import OwnPartError, check_own_parts
from experiments.training.tasks import build_task
from model import build

OWN = '''"""Parts that do not do what they must, and one that does."""

from model.attention import SelfAttention, attend_reference
from model.sublayer import Sublayer


def peeking(q, k, v, scoring, dropout=0.0):
    """Every query sees every key."""
    return attend_reference(q, k, v, type(scoring)(scoring.scale, causal=False), dropout)


class Idle(SelfAttention):
    """Has a parameter that nothing reads."""

    def __init__(self, config):
        super().__init__(config)
        self.idle = self.output.weight.new_zeros(3).requires_grad_()
        import torch

        self.idle = torch.nn.Parameter(self.idle)


class Deaf(Sublayer):
    """Passes nothing on."""

    def forward(self, x, *context):
        return 0 * super().forward(x, *context)


def endless(logits, targets, recipe):
    """A loss that is no number."""
    return logits.sum() * float("inf")


def short(config):
    """A network that gives one answer for all tokens."""
    from model.networks.decoder import Decoder

    class Short(Decoder):
        def forward(self, tokens, cache=None):
            return super().forward(tokens, cache)[:, -1]

    return Short(__import__("dataclasses").replace(config, family="decoder"))


def plain(q, k, v, scoring, dropout=0.0):
    """Attention by definition."""
    return attend_reference(q, k, v, scoring, dropout)


ABLATION = None
'''
REFUSED = {
    "peeking": ("attention", "the future leaks through attention 'peeking'"),
    "Idle": ("self_attention", "layers.0.attention.inner.idle has no gradient"),
    "Deaf": ("sublayer", "a token changes no logit: see sublayer 'Deaf'"),
    "endless": ("loss", "the first training loss is"),
    "short": ("family", r"in place of \[batch, time, vocab_size\]"),
}


@pytest.fixture
def own(spec: RunSpec, ablation_file: Callable[[str], Path]) -> Callable[[str, str], RunSpec]:
    """A function that returns the run with a function of one's own in a field."""
    module = f"experiments.ablations.{ablation_file(OWN).stem}"

    def changed(field: str, name: str) -> RunSpec:
        part = "recipe" if field == "loss" else "model"
        config = dataclasses.replace(getattr(spec, part), **{field: f"{module}:{name}"})
        return dataclasses.replace(spec, **{part: config})

    return changed


@pytest.mark.parametrize("name", REFUSED)
def test_a_part_that_does_not_do_what_it_must_is_refused(
    own: Callable[[str, str], RunSpec], corpus: Corpus, name: str
):
    field, message = REFUSED[name]
    with pytest.raises(OwnPartError, match=message):
        train(own(field, name), corpus)


def test_a_part_that_does_what_it_must_changes_nothing_by_being_checked(
    own: Callable[[str, str], RunSpec], spec: RunSpec, corpus: Corpus
):
    mine = own("attention", "plain")
    torch.manual_seed(0)
    model = build(mine.model)
    weights = [parameter.clone() for parameter in model.parameters()]
    state = torch.get_rng_state()
    check_own_parts(mine, build_task(mine, corpus, torch.device("cpu")), model)
    assert torch.equal(torch.get_rng_state(), state)
    pairs = zip(weights, model.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)
    assert all(parameter.grad is None for parameter in model.parameters())
    losses = [[point["loss"] for point in train(each, corpus)[1]] for each in (mine, spec)]
    assert losses[0] == losses[1]


def test_probes_of_attention_weights_are_refused_where_attention_is_ones_own(
    own: Callable[[str, str], RunSpec],
):
    mine = own("attention", "plain")
    with pytest.raises(ValueError, match=r"cannot work: atlas reads the weights of attention"):
        dataclasses.replace(mine, probes=("positions", "atlas"))
    assert dataclasses.replace(mine, probes=("positions", "samples")).probes
