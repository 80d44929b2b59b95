"""Every variant of every ablation: it builds, differs from the base as named, and is causal."""

import dataclasses

import pytest
import torch
from torch import nn

from experiments.catalogue import load_ablations
from experiments.profiles import PROFILES
from experiments.training.loss import cross_entropy
from experiments.training.optim import build_optimizer, learning_rate_at
from model import ModelConfig, build, parameter_count
from model.attention import Attention

VOCABULARY = 11
BASE = PROFILES["smoke"].base_model(VOCABULARY)
RECIPE = PROFILES["smoke"].recipe
VARIANTS = {
    f"{name}/{variant.name}": variant
    for name, ablation in load_ablations().items()
    for variant in ablation.variants
}


def built(model: ModelConfig) -> nn.Module:
    torch.manual_seed(1)
    network = build(model).eval()
    if model.family == "bigram":
        network.count(*torch.randint(VOCABULARY, (2, 3, 100)))
    return network


def tokens() -> torch.Tensor:
    torch.manual_seed(2)
    return torch.randint(VOCABULARY, (3, BASE.context_length))


@pytest.fixture(params=VARIANTS, ids=str)
def variant(request):
    return VARIANTS[request.param]


def reads_one_sequence(variant) -> bool:
    """Whether it is a network that goes through a sequence from left to right."""
    model, _ = variant.applied_to(BASE, RECIPE)
    return model.family not in ("encoder", "encoder_decoder") and model.n_classes is None


@pytest.fixture(params=[n for n in VARIANTS if reads_one_sequence(VARIANTS[n])], ids=str)
def causal_variant(request):
    return VARIANTS[request.param]


def test_is_causal(causal_variant):
    """Changing a later token leaves every earlier logit bit-equal, and changes what comes after;
    but for the one variant whose point it is that it leaks."""
    model, _ = causal_variant.applied_to(BASE, RECIPE)
    # in float64: deep stacks without residual connections shrink what differs below float32
    network, time = built(model).double(), min(32, model.context_length)
    before, cut = tokens()[:, :time], time * 5 // 8
    after = before.clone()
    after[:, cut] = (after[:, cut] + 1) % VOCABULARY
    first, second = network(before), network(after)
    leaks = model.masking == "after_softmax"
    assert torch.equal(first[:, :cut], second[:, :cut]) != leaks
    assert not torch.equal(first[:, cut], second[:, cut])


def test_looks_back(causal_variant):
    """What comes before does reach a later logit: causal, but not blind. A bigram is."""
    model, _ = causal_variant.applied_to(BASE, RECIPE)
    network, before = built(model).double(), tokens()[:, : min(32, model.context_length)]
    after = before.clone()
    after[:, 3] = (after[:, 3] + 1) % VOCABULARY
    blind = model.family == "bigram"
    assert torch.equal(network(before)[:, 7], network(after)[:, 7]) == blind


def test_counts_its_parameters_in_every_profile(variant):
    for profile in PROFILES.values():
        model, _ = variant.applied_to(profile.base_model(84), profile.recipe)
        with torch.device("meta"):
            network = build(model)
        counted = sum(p.numel() for p in network.parameters())
        assert (
            counted == parameter_count(model) or model.custom
        )  # of what is none of ours we know little


def test_trains_wholly_on_another_device(variant):
    """On "meta" a tensor that was left on the processor fails: the stand-in for a GPU."""
    model, recipe = variant.applied_to(BASE, RECIPE)
    network = build(model).to("meta")
    optimizer = build_optimizer(network, recipe)
    inputs = torch.zeros(3, model.context_length, dtype=torch.long, device="meta")
    both = model.family == "encoder_decoder"
    logits = network(inputs, inputs) if both else network(inputs)
    assert logits.device.type == "meta"
    assert len(optimizer.param_groups) == 2
    if model.family == "bigram":
        network.count(inputs, inputs)
        return
    cross_entropy(logits, inputs if model.n_classes is None else inputs[:, 0]).backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    assert {parameter.grad.device.type for parameter in network.parameters()} == {"meta"}


def test_changes_what_it_names_and_nothing_else(variant):
    model, recipe = variant.applied_to(BASE, RECIPE)
    mine = {f"model.{k}": v for k, v in dataclasses.asdict(model).items()}
    mine |= {f"recipe.{k}": v for k, v in dataclasses.asdict(recipe).items()}
    base = {f"model.{k}": v for k, v in dataclasses.asdict(BASE).items()}
    base |= {f"recipe.{k}": v for k, v in dataclasses.asdict(RECIPE).items()}
    named = set(variant.changes)
    if variant.match_parameters:
        named.add(f"model.{variant.match_parameters}")
    if "recipe.task" in named:
        named |= {"model.vocab_size", "model.n_classes"}
    if variant.match_flops:
        named |= {"recipe.steps", "recipe.warmup_steps"}
    assert {key for key in mine if mine[key] != base[key]} <= named


def same_weights(**changes) -> tuple[nn.Module, nn.Module]:
    """The base and a changed network, with the same numbers wherever both have a parameter."""
    base, other = built(BASE), built(dataclasses.replace(BASE, **changes))
    shapes = {name: value.shape for name, value in other.state_dict().items()}
    fitting = {k: v for k, v in base.state_dict().items() if v.shape == shapes.get(k)}
    other.load_state_dict(fitting, strict=False)
    return base, other


@pytest.mark.parametrize(
    "changes",
    [
        {"position": "none"},
        {"position": "sinusoidal"},
        {"position": "learned"},
        {"norm_placement": "post"},
        {"norm_placement": "none"},
        {"residual": False},
        {"n_heads": 1},
        {"n_heads": 16},
        {"n_layers": 4},
        {"activation": "relu"},
        {"activation": "swiglu"},
        {"norm": "rmsnorm"},
        {"position": "alibi"},
        {"attention_scale": False},
        {"embedding_scale": False},
        {"attention": "reference", "masking": "after_softmax"},
    ],
    ids=str,
)
def test_each_switch_changes_the_function_that_equal_weights_compute(changes):
    base, other = same_weights(**changes)
    assert not torch.allclose(base(tokens()), other(tokens()), rtol=0, atol=1e-6)


def test_the_attention_kernel_does_not():
    base, other = same_weights(attention="reference")
    torch.testing.assert_close(base(tokens()), other(tokens()), rtol=0, atol=1e-5)


def test_heads_cost_the_same_parameters():
    counts = {parameter_count(dataclasses.replace(BASE, n_heads=n)) for n in (1, 2, 4, 8, 16)}
    assert len(counts) == 1


def test_heads_split_the_width():
    for n in (1, 4, 16):
        network = built(dataclasses.replace(BASE, n_heads=n))
        attention = next(m for m in network.modules() if isinstance(m, Attention))
        assert attention.n_heads == n


@pytest.mark.parametrize("profile", PROFILES.values(), ids=lambda profile: profile.name)
def test_lstm_has_the_parameters_of_the_base_and_no_attention(profile):
    variant, base = VARIANTS["lstm-baseline/lstm"], profile.base_model(84)
    model, _ = variant.applied_to(base, profile.recipe)
    assert parameter_count(model) == pytest.approx(parameter_count(base), rel=0.02)
    network = built(dataclasses.replace(model, vocab_size=VOCABULARY))
    assert any(isinstance(module, nn.LSTM) for module in network.modules())
    assert not any(isinstance(module, Attention) for module in network.modules())


def test_warm_up_is_what_the_variant_drops():
    _, without = VARIANTS["norm-placement/pre-no-warmup"].applied_to(BASE, RECIPE)
    assert learning_rate_at(0, without) == without.learning_rate
    assert learning_rate_at(0, RECIPE) == RECIPE.learning_rate / RECIPE.warmup_steps


def test_deep_is_twice_the_layers():
    model, _ = VARIANTS["depth/deep-both"].applied_to(BASE, RECIPE)
    assert len(built(model).layers) == 2 * BASE.n_layers
