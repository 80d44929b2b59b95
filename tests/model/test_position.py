"""Positional encodings against their formulas, and beyond the training length."""

import dataclasses
import math

import pytest
import torch

from model import ModelConfig, build
from model.attention import Scoring, SelfAttention
from model.position import POSITIONS, Rotary, alibi_slopes, sinusoidal_table


def test_sinusoidal_table_equals_the_formula():
    table = sinusoidal_table(50, 16).double()
    for p in (0, 1, 17, 49):
        for i in range(8):
            angle = p / 10000 ** (2 * i / 16)
            assert table[p, 2 * i].item() == pytest.approx(math.sin(angle), abs=1e-5)
            assert table[p, 2 * i + 1].item() == pytest.approx(math.cos(angle), abs=1e-5)


@pytest.mark.parametrize(
    ("initialisation", "scaled", "factor"),
    [("gpt2", False, 0.02), ("gpt2", True, 0.02 * 32**0.5), ("xavier", True, 1.0)],
)
def test_sinusoidal_positions_are_scaled_to_the_initial_embeddings(
    config: ModelConfig, initialisation: str, scaled: bool, factor: float
):
    config = dataclasses.replace(config, initialisation=initialisation, embedding_scale=scaled)
    position = POSITIONS["sinusoidal"](config)
    x = torch.randn(3, 5, config.d_model)
    added = position.embed(x) - x
    expected = (factor * sinusoidal_table(5, config.d_model)).expand_as(x)
    torch.testing.assert_close(added, expected, rtol=0, atol=1e-6)


def test_rope_scores_depend_on_the_offset_alone(config: ModelConfig):
    rotary = Rotary(config).double()
    q, k = torch.randn(2, config.head_dim, dtype=torch.float64)
    time = config.context_length
    turned_q, turned_k = (rotary.rotate(x.expand(1, 1, time, -1)) for x in (q, k))
    scores = (turned_q @ turned_k.transpose(-2, -1))[0, 0]
    for offset in range(-4, 5):
        diagonal = scores.diagonal(offset)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal), rtol=0, atol=1e-6)
    assert scores[0].std() > 0.01  # and they do depend on the offset


def test_rope_rotates_by_the_angles_of_the_paper(config: ModelConfig):
    rotary, half = Rotary(config), config.head_dim // 2
    one = torch.zeros(1, 1, config.context_length, config.head_dim)
    one[..., 0] = 1.0  # the first pair rotates by one radian per position
    turned = rotary.rotate(one)
    angle = torch.arange(config.context_length).float()
    torch.testing.assert_close(turned[0, 0, :, 0], angle.cos())
    torch.testing.assert_close(turned[0, 0, :, half], angle.sin())


def test_learned_positions_are_one_parameter_row_per_position(config: ModelConfig):
    names = dict(build(dataclasses.replace(config, position="learned")).named_parameters())
    assert names["position.table"].shape == (config.context_length, config.d_model)


def test_one_layer_ignores_the_order_of_earlier_tokens_only_without_positions(config: ModelConfig):
    tokens = torch.tensor([[1, 2, 3, 4, 5, 6]])
    shuffled = torch.tensor([[4, 2, 5, 1, 3, 6]])
    for position in POSITIONS:
        torch.manual_seed(0)
        model = build(dataclasses.replace(config, position=position, n_layers=1)).double()
        same = torch.allclose(model(tokens)[0, -1], model(shuffled)[0, -1], rtol=0, atol=1e-12)
        assert same == (position == "none"), position


def test_alibi_slopes_equal_those_of_the_paper():
    eight = [1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64, 1 / 128, 1 / 256]
    finer = [2**-0.5, 2**-1.5, 2**-2.5, 2**-3.5]
    assert alibi_slopes(8).tolist() == eight
    assert alibi_slopes(12).tolist() == pytest.approx([*eight, *finer])
    assert alibi_slopes(1).tolist() == [2**-8]


def test_alibi_subtracts_slope_times_distance_from_the_scores(config: ModelConfig):
    bias = POSITIONS["alibi"](config).bias(5, 5)
    slopes = alibi_slopes(config.n_heads)
    for query in range(5):
        for key in range(5):
            torch.testing.assert_close(bias[:, query, key], -slopes * abs(query - key))


def test_a_shift_rotates_the_sinusoidal_table():
    """PE(p + k) = R_k PE(p): a rotation in each pair of channels, the same for every p."""
    table, width, k = sinusoidal_table(60, 16).double(), 16, 7
    pairs = table.unflatten(1, (-1, 2))  # [position, pair, sine and cosine]
    angle = k * torch.tensor([10000 ** (-2 * i / width) for i in range(width // 2)]).double()
    cos, sin = angle.cos(), angle.sin()
    turned_sine = pairs[:50, :, 0] * cos + pairs[:50, :, 1] * sin
    turned_cosine = pairs[:50, :, 1] * cos - pairs[:50, :, 0] * sin
    torch.testing.assert_close(turned_sine, pairs[k : 50 + k, :, 0], rtol=0, atol=2e-5)
    torch.testing.assert_close(turned_cosine, pairs[k : 50 + k, :, 1], rtol=0, atol=2e-5)


@pytest.mark.parametrize("position", ["none", "sinusoidal", "rope", "alibi"])
def test_longer_inputs_give_the_logits_of_a_model_made_for_longer_inputs(
    config: ModelConfig, position: str
):
    short = dataclasses.replace(config, position=position)
    model = build(short).double()
    long = build(dataclasses.replace(short, context_length=4 * config.context_length)).double()
    long.load_state_dict(model.state_dict())
    tokens = torch.randint(config.vocab_size, (2, 4 * config.context_length))
    torch.testing.assert_close(model(tokens), long(tokens), rtol=1e-12, atol=1e-12)
    within = tokens[:, : config.context_length]
    torch.testing.assert_close(
        model(within), long(tokens)[:, : within.shape[1]], rtol=1e-10, atol=1e-10
    )


def test_learned_positions_refuse_inputs_beyond_the_context_length(config: ModelConfig):
    model = build(dataclasses.replace(config, position="learned"))
    tokens = torch.zeros(1, config.context_length + 1, dtype=torch.long)
    with pytest.raises(ValueError, match=r"position='learned' knows context_length=16 .* not 17"):
        model(tokens)


def shuffled_alike(config: ModelConfig, causal: bool) -> bool:
    """Whether shuffling the inputs of attention shuffles its outputs in the same way."""
    torch.manual_seed(0)
    attention = SelfAttention(config).double()
    position = POSITIONS[config.position](config).double()
    x, order = torch.randn(2, 9, config.d_model).double(), torch.randperm(9)
    scoring = Scoring(config.head_dim**-0.5, causal, bias=position.bias(9, 9))
    before = attention(position.embed(x), position, scoring, None)
    after = attention(position.embed(x[:, order]), position, scoring, None)
    return torch.allclose(before[:, order], after, rtol=0, atol=1e-14)


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("kernel", ["reference", "fused"])
def test_attention_is_permutation_equivariant_without_positions_and_mask(
    config: ModelConfig, position: str, kernel: str
):
    config = dataclasses.replace(config, position=position, attention=kernel)
    assert shuffled_alike(config, causal=False) == (position == "none")
    assert not shuffled_alike(config, causal=True)


@pytest.mark.parametrize("position", ["sinusoidal", "rope", "alibi"])
def test_position_tables_grown_in_inference_mode_can_be_trained_through(
    config: ModelConfig, position: str
):
    model = build(dataclasses.replace(config, position=position))
    tokens = torch.zeros(2, config.context_length + 4, dtype=torch.long)
    with torch.inference_mode():
        model(tokens)
    model(tokens).sum().backward()
