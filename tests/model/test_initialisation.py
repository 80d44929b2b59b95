"""Initial weights of every scheme and family."""

import dataclasses
import math

import pytest
import torch
from torch import nn

from model import ModelConfig, build


@pytest.fixture
def config() -> ModelConfig:
    """A network wide enough for measuring standard deviations."""
    return ModelConfig(
        vocab_size=500, context_length=8, d_model=128, n_layers=2, n_heads=4, d_ff=512
    )


def std(tensor: torch.Tensor) -> float:
    return float(tensor.detach().std())


@pytest.mark.parametrize("residual", [True, False])
def test_gpt2_initialisation_has_the_standard_deviations_of_gpt2(
    config: ModelConfig, residual: bool
):
    torch.manual_seed(0)
    model = build(dataclasses.replace(config, residual=residual))
    shrink = math.sqrt(2 * config.n_layers) if residual else 1.0
    for layer in model.layers:
        for inner in (layer.attention.inner, layer.feed_forward.inner):
            assert std(inner.output.weight) == pytest.approx(0.02 / shrink, rel=0.05)
        assert std(layer.attention.inner.qkv.weight) == pytest.approx(0.02, rel=0.05)
        assert std(layer.feed_forward.inner.hidden.weight) == pytest.approx(0.02, rel=0.05)
    assert std(model.embedding.weight) == pytest.approx(0.02, rel=0.05)


def test_xavier_bounds_treat_queries_keys_and_values_as_three_matrices(config: ModelConfig):
    torch.manual_seed(0)
    model = build(dataclasses.replace(config, initialisation="xavier", n_kv_heads=1))
    for layer in model.layers:
        attention = layer.attention.inner
        for part, width in zip(
            attention.qkv.weight.split([128, 32, 32]), [128, 32, 32], strict=True
        ):
            bound = math.sqrt(6 / (128 + width))
            assert 0.95 * bound < part.abs().max() <= bound
        for linear in (attention.output, layer.feed_forward.inner.hidden):
            bound = math.sqrt(6 / sum(linear.weight.shape))
            assert 0.95 * bound < linear.weight.abs().max() <= bound
    assert std(model.embedding.weight) == pytest.approx(128**-0.5, rel=0.05)


def test_xavier_bounds_of_cross_attention_treat_keys_and_values_as_two_matrices(
    config: ModelConfig,
):
    torch.manual_seed(0)
    changes = {"family": "encoder_decoder", "initialisation": "xavier"}
    model = build(dataclasses.replace(config, **changes))
    for part in model.decoder.layers[0].cross_attention.inner.key_value.weight.chunk(2):
        bound = math.sqrt(6 / (128 + 128))
        assert 0.95 * bound < part.abs().max() <= bound


@pytest.mark.parametrize("initialisation", ["gpt2", "xavier"])
def test_biases_start_at_zero_and_norm_gains_at_one(config: ModelConfig, initialisation: str):
    for module in build(dataclasses.replace(config, initialisation=initialisation)).modules():
        if isinstance(module, nn.Linear) and module.bias is not None:
            assert (module.bias == 0).all()
        if isinstance(module, nn.LayerNorm):
            assert (module.weight == 1).all()


def test_embedding_scale_multiplies_the_embeddings_and_not_the_head(config: ModelConfig):
    torch.manual_seed(0)
    plain = build(dataclasses.replace(config, tie_embeddings=False)).double()
    scaled = build(dataclasses.replace(config, tie_embeddings=False, embedding_scale=True)).double()
    scaled.load_state_dict(plain.state_dict())
    scaled.embedding.weight.data /= math.sqrt(config.d_model)
    tokens = torch.randint(config.vocab_size, (2, 8))
    torch.testing.assert_close(plain(tokens), scaled(tokens), rtol=1e-12, atol=1e-12)


def test_lstm_embeddings_start_small_enough_for_a_tied_head(config: ModelConfig):
    torch.manual_seed(0)
    model = build(dataclasses.replace(config, family="lstm"))
    assert std(model.embedding.weight) == pytest.approx(128**-0.5, rel=0.05)
