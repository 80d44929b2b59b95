"""A part of one's own gets what its built-in siblings get."""

import dataclasses

import pytest
import torch

from model import ModelConfig, build, parameter_count
from model.accounting import flops_per_token, parameters_by_component
from model.networks.generation import generate

PARTS = {
    "attention": "own_parts:halved",
    "self_attention": "own_parts:RunningMean",
    "sublayer": "own_parts:ReZero",
    "initialisation": "own_parts:tiny",
    "family": "own_parts:Recurrent",
}
PARTS_AND_GATED = [*PARTS.items(), ("self_attention", "own_parts:Gated")]


@pytest.fixture(params=PARTS_AND_GATED, ids=lambda part: "-".join(part))
def own(request, config: ModelConfig) -> ModelConfig:
    """The config with a part of one's own."""
    field, reference = request.param
    return dataclasses.replace(config, **{field: reference})


def test_the_part_is_in_the_network(own: ModelConfig, config: ModelConfig):
    tokens = torch.randint(config.vocab_size, (2, 9))
    results = []
    for each in (own, config):
        torch.manual_seed(0)
        results.append(build(each).eval()(tokens))
    assert results[0].shape == results[1].shape
    assert not torch.equal(*results)


def test_parameters_and_flops_are_counted(own: ModelConfig):
    parameters = sum(each.numel() for each in build(own).parameters())
    assert parameter_count(own) == parameters
    assert flops_per_token(own, backward=True) == 3 * flops_per_token(own) > 2 * own.d_model**2


def test_the_counted_flops_are_those_of_the_products_that_are_made(config: ModelConfig):
    d, layers = config.d_model, config.n_layers
    gated = dataclasses.replace(config, self_attention="own_parts:Gated")
    assert flops_per_token(gated) - flops_per_token(config) == 2 * layers * d * d
    running = dataclasses.replace(config, self_attention="own_parts:RunningMean")
    mixing = 2 * (2 * config.d_model * config.context_length)  # scores and weighted means
    assert flops_per_token(config) - flops_per_token(running) == layers * (6 * d * d + mixing)
    assert [*parameters_by_component(running)] == ["network"]


def test_generation_with_the_cache_is_generation_without(own: ModelConfig):
    torch.manual_seed(0)
    model = build(own).double().eval()
    start = torch.tensor([[1, 2, 3]])
    without = generate(model, start, 20, temperature=0.0, cached=False)
    assert without.shape == (1, 23)
    assert model.cacheable == ("family" not in own.custom)
    if model.cacheable:
        assert torch.equal(generate(model, start, 20, temperature=0.0, cached=True), without)


def test_a_family_of_ones_own_has_other_fields_than_a_decoder(config: ModelConfig):
    own = dataclasses.replace(config, family="own_parts:Recurrent", d_model=30, n_heads=4)
    assert build(own).head.in_features == 30  # which is no multiple of the heads
    with pytest.raises(ValueError, match="n_heads=4 cannot work"):
        dataclasses.replace(config, d_model=30, n_heads=4)
    assert own.custom == {"family": "own_parts:Recurrent"}


def test_gpt2_shrinks_the_outputs_of_a_sublayer_of_ones_own_alike(config: ModelConfig):
    own = dataclasses.replace(config, initialisation="gpt2", sublayer="own_parts:ReZero")
    stds = []
    for each in (own, dataclasses.replace(own, sublayer="standard")):
        torch.manual_seed(0)
        stds.append(build(each).layers[0].feed_forward.inner.output.weight.std())
    assert stds[0] == stds[1]
