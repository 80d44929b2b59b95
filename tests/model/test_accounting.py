"""Parameters, FLOPs and cache sizes from the config, against counts on built networks."""

import dataclasses

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from model import ModelConfig, build
from model.accounting import (
    cache_bytes,
    flops_by_component,
    flops_per_token,
    parameter_count,
    parameters_by_component,
)
from model.cache import Cache
from model.networks.trace import shape_trace
from model.presets import PRESETS

BASE = ModelConfig(vocab_size=11, context_length=16, d_model=24, n_layers=3, n_heads=4, d_ff=40)
NETWORKS = [
    dataclasses.replace(BASE, **changes)
    for changes in (
        {},
        {"position": "learned", "bias": False},
        {"n_kv_heads": 1, "norm": "rmsnorm", "activation": "swiglu", "tie_embeddings": False},
        {"norm_placement": "post", "attention": "reference"},
        {"norm_placement": "none", "residual": False, "n_kv_heads": 2},
        {"family": "encoder"},
        {"family": "encoder", "n_classes": 3, "position": "learned"},
        {"n_classes": 3, "bias": False},
        {"family": "encoder_decoder", "position": "learned"},
        {"family": "encoder_decoder", "tie_embeddings": False, "n_kv_heads": 2},
        {"family": "lstm"},
        {"family": "lstm", "bias": False, "tie_embeddings": False},
        {"family": "mlp"},
        {"family": "mlp", "bias": False, "mlp_window": 3},
        {"family": "bigram"},
    )
]

# The component of a parameter, by the first of these words that the parameter's name contains.
COMPONENTS = {
    "counts": "counts",
    "norm": "norms",
    "cross_attention": "cross-attention",
    "attention": "self-attention",
    "feed_forward": "feed-forward",
    "position": "position embedding",
    "embedding": "token embedding",
    "hidden": "hidden layer",
    "head": "head",
}
RECURRENT = {"embedding": "token embedding", "layers": "recurrence", "head": "head"}


@pytest.fixture(params=NETWORKS, ids=lambda c: f"{NETWORKS.index(c)}-{c.family}")
def config(request) -> ModelConfig:
    return request.param


def on_meta(config: ModelConfig) -> nn.Module:
    with torch.device("meta"):
        return build(config)


def forward(model: nn.Module, config: ModelConfig, time: int) -> torch.Tensor:
    tokens = torch.zeros(2, time, dtype=torch.long, device="meta")
    return model(tokens, tokens) if config.family == "encoder_decoder" else model(tokens)


def test_parameters_by_component_equal_those_of_the_built_network(config: ModelConfig):
    counted: dict[str, int] = {}
    for name, parameter in build(config).named_parameters():
        parts = RECURRENT if config.family == "lstm" else COMPONENTS
        component = next(parts[part] for part in parts if part in name)
        counted[component] = counted.get(component, 0) + parameter.numel()
    stated = {name: count for name, count in parameters_by_component(config).items() if count}
    assert stated == counted


@pytest.mark.parametrize("time", [16, 5])
def test_flops_equal_the_counted_matrix_products(config: ModelConfig, time: int):
    """Only the reference kernel is counted: the fused one computes scores again in its backward."""
    model = on_meta(dataclasses.replace(config, attention="reference"))
    with FlopCounterMode(display=False) as counter:
        forward(model, config, time)
    assert counter.get_total_flops() == round(2 * time * flops_per_token(config, time))
    if config.family != "bigram":
        with FlopCounterMode(display=False) as counter:
            forward(model, config, time).sum().backward()
        stepped = 2 * time * flops_per_token(config, time, backward=True)
        assert counter.get_total_flops() == round(stepped)
    assert sum(flops_by_component(config, time).values()) == flops_per_token(config, time)


def test_a_fused_forward_pass_has_the_same_flops(config: ModelConfig):
    with FlopCounterMode(display=False) as counter:
        forward(on_meta(dataclasses.replace(config, attention="fused")), config, 16)
    assert counter.get_total_flops() == round(32 * flops_per_token(config))


def test_cache_bytes_equal_the_memory_of_a_filled_cache(config: ModelConfig):
    model, tokens = build(config), torch.randint(11, (1, 9))
    cache = Cache()
    if config.family == "encoder":
        assert cache_bytes(config, 9) == 0
        return
    if config.family == "encoder_decoder":
        model.decode(tokens, model.encode(tokens), cache=cache)
    else:
        model(tokens, cache=cache)
    assert cache.length == 9
    assert cache.nbytes == cache_bytes(config, 9)


def test_fewer_key_and_value_heads_shrink_the_cache_in_proportion():
    full, grouped = (dataclasses.replace(BASE, n_kv_heads=n) for n in (4, 1))
    assert cache_bytes(full, 100) == 4 * cache_bytes(grouped, 100)
    assert cache_bytes(full, 100, 2) == 2 * 3 * 24 * 100 * 2


@pytest.mark.parametrize(
    ("name", "parameters", "within"),
    [
        ("vaswani-base", 65e6, 0.03),  # rounded in the paper, whose attention has no bias
        ("vaswani-big", 213e6, 0.01),
        ("gpt2", 124_439_808, 0),  # as released
        ("llama-7b", 6_738_415_616, 0),  # as released
        ("bert-base", 110e6, 0.02),
    ],
)
def test_parameters_of_the_presets_agree_with_the_papers(
    name: str, parameters: float, within: float
):
    assert abs(parameter_count(PRESETS[name]) - parameters) <= within * parameters
    counted = sum(p.numel() for p in on_meta(PRESETS[name]).parameters())
    assert counted == parameter_count(PRESETS[name])


def test_parameters_of_the_base_transformer_equal_a_count_by_hand():
    """Attention 4d² + 4d, feed-forward 2·d·d_ff + d_ff + d, norm 2d. The encoder has 6 layers; the
    decoder has 6 layers with a second attention and norm each.
    """
    d, d_ff = 512, 2048
    attention, feed_forward, norm = 4 * d * d + 4 * d, 2 * d * d_ff + d_ff + d, 2 * d
    encoder = 6 * (attention + feed_forward + 2 * norm)
    decoder = 6 * (2 * attention + feed_forward + 3 * norm)
    shared = parameter_count(PRESETS["vaswani-base"])
    assert shared == encoder + decoder + 37_000 * d
    untied = dataclasses.replace(PRESETS["vaswani-base"], vocab_size=32_000, tie_embeddings=False)
    assert parameter_count(untied) == encoder + decoder + 3 * 32_000 * d
    assert parameter_count(untied) == pytest.approx(93e6, rel=0.005)


def test_the_number_of_heads_changes_neither_parameters_nor_flops():
    costs = {
        (parameter_count(config), flops_per_token(config))
        for config in (dataclasses.replace(BASE, n_heads=n) for n in (1, 2, 4, 12))
    }
    assert len(costs) == 1


def test_shape_trace_lists_the_shapes_inside_attention():
    config = dataclasses.replace(BASE, n_kv_heads=2, position="learned")
    steps = shape_trace(config, time=5)
    shapes = {(step.module, step.what): step.shape for step in steps}
    inner = "layers.0.attention.inner"
    assert shapes["embedding", "Embedding"] == (1, 5, 24)
    assert shapes["position", "+ Learned"] == (1, 5, 24)
    assert shapes[f"{inner}.qkv", "Linear"] == (1, 5, 24 + 2 * 12)
    assert shapes[inner, "queries"] == (1, 4, 5, 6)
    assert shapes[inner, "keys"] == shapes[inner, "values"] == (1, 2, 5, 6)
    assert shapes[inner, "weights"] == (1, 4, 5, 5)
    assert shapes["layers.0.feed_forward.inner.hidden", "Linear"] == (1, 5, 40)
    assert shapes["head", "LanguageModelHead"] == (1, 5, 11)
    assert not any("layers.1" in step.module for step in steps)
    assert [steps[0].module, steps[-1].module] == ["embedding", "head"]


def test_shape_trace_of_every_family_ends_at_the_logits_and_counts_every_parameter_once(
    config: ModelConfig,
):
    """One layer only, because equal layers are listed once."""
    steps = shape_trace(dataclasses.replace(config, n_layers=1))
    assert steps[-1].shape[-1] == (config.n_classes or config.vocab_size)
    if config.family != "bigram":  # whose counts are in no submodule
        counted = sum(step.parameters for step in steps)
        assert counted == parameter_count(dataclasses.replace(config, n_layers=1))


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_has_a_shape_trace(name: str):
    assert shape_trace(PRESETS[name])
