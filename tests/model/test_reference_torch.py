"""Outputs and gradients against PyTorch's own attention and layers with the same weights."""

import pytest
import torch
from compare import (
    CONFIG,
    TIME,
    Pair,
    agree,
    agree_in_outputs_and_gradients,
    changed,
    copy,
    matched,
    padding_mask,
    randomise,
)
from torch import Tensor, nn

from model import build
from model.attention import CrossAttention, Scoring, SelfAttention, recorded_attention
from model.networks.stack import Layer
from model.position import NoPosition
from model.sublayer import Sublayer

KERNELS = ["reference", "fused"]
SCALE = CONFIG.head_dim**-0.5
FUTURE = torch.ones(TIME, TIME, dtype=torch.bool).triu(1)  # in theirs, True is hidden


def random(*shape: int) -> Tensor:
    torch.manual_seed(sum(shape))
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


def self_attention_pairs(ours: SelfAttention, theirs: nn.MultiheadAttention) -> list[Pair]:
    return [*matched(ours.qkv, theirs, "in_proj_"), *matched(ours.output, theirs.out_proj)]


def cross_attention_pairs(ours: CrossAttention, theirs: nn.MultiheadAttention) -> list[Pair]:
    projections = matched((ours.query, ours.key_value), theirs, "in_proj_")
    return [*projections, *matched(ours.output, theirs.out_proj)]


def layer_pairs(ours: Layer, theirs: nn.Module) -> list[Pair]:
    """theirs: a TransformerEncoderLayer or a TransformerDecoderLayer."""
    pairs = self_attention_pairs(ours.attention.inner, theirs.self_attn)
    norms = [ours.attention.norm, ours.feed_forward.norm]
    if ours.cross_attention is not None:
        pairs += cross_attention_pairs(ours.cross_attention.inner, theirs.multihead_attn)
        norms.insert(1, ours.cross_attention.norm)
    pairs += matched(ours.feed_forward.inner.hidden, theirs.linear1)
    pairs += matched(ours.feed_forward.inner.output, theirs.linear2)
    for i, norm in enumerate(norms):
        pairs += matched(norm, getattr(theirs, f"norm{i + 1}"))
    return pairs


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("padded", [False, True])
def test_self_attention_equals_multihead_attention(causal: bool, padded: bool, kernel: str):
    """With no mask, a causal mask, padding, and both together."""
    config = changed(attention=kernel)
    ours = randomise(SelfAttention(config))
    theirs = nn.MultiheadAttention(24, 4, batch_first=True, dtype=torch.float64)
    pairs = self_attention_pairs(ours, theirs)
    copy(pairs, ours, theirs)
    x, mask = random(3, TIME, 24), padding_mask() if padded else None
    scoring = Scoring(SCALE, causal, mask)
    y, weights = theirs(
        x,
        x,
        x,
        key_padding_mask=~mask if padded else None,
        attn_mask=FUTURE if causal else None,
        average_attn_weights=False,
    )
    with recorded_attention(ours) as recorded:
        ours(x, NoPosition(config), scoring, None)
    agree("MultiheadAttention, weights", recorded[""], weights, 1e-10)
    output = ours(x, NoPosition(config), scoring, None)
    agree_in_outputs_and_gradients("MultiheadAttention", (output, y), [x], pairs)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("padded", [False, True])
def test_cross_attention_equals_multihead_attention(padded: bool, kernel: str):
    ours = randomise(CrossAttention(changed(attention=kernel)))
    theirs = nn.MultiheadAttention(24, 4, batch_first=True, dtype=torch.float64)
    x, memory, mask = random(3, 7, 24), random(3, TIME, 24), padding_mask() if padded else None
    pairs = cross_attention_pairs(ours, theirs)
    copy(pairs, ours, theirs)
    y, _ = theirs(x, memory, memory, key_padding_mask=~mask if padded else None)
    scoring = Scoring(SCALE, causal=False, padding_mask=mask)
    output = ours(x, memory, scoring, None)
    agree_in_outputs_and_gradients("MultiheadAttention, cross", (output, y), [x, memory], pairs)


def layer_settings(placement: str, activation: str) -> dict:
    return {
        "d_model": 24,
        "nhead": 4,
        "dim_feedforward": CONFIG.d_ff,
        "dropout": 0.0,
        "activation": activation,
        "batch_first": True,
        "norm_first": placement == "pre",
        "dtype": torch.float64,
    }


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("placement", ["pre", "post"])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("padded", [False, True])
def test_layer_without_cross_attention_equals_transformer_encoder_layer(
    causal: bool, padded: bool, placement: str, activation: str, kernel: str
):
    config = changed(norm_placement=placement, activation=activation, attention=kernel)
    ours = randomise(Layer(config, cross=False))
    theirs = nn.TransformerEncoderLayer(**layer_settings(placement, activation))
    pairs = layer_pairs(ours, theirs)
    copy(pairs, ours, theirs)
    x, mask = random(3, TIME, 24), padding_mask() if padded else None
    output = ours(x, NoPosition(config), Scoring(SCALE, causal, mask))
    y = theirs(
        x,
        src_mask=FUTURE if causal else None,
        src_key_padding_mask=~mask if padded else None,
    )
    agree_in_outputs_and_gradients("TransformerEncoderLayer", (output, y), [x], pairs)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("placement", ["pre", "post"])
@pytest.mark.parametrize("padded", [False, True])
def test_layer_with_cross_attention_equals_transformer_decoder_layer(
    padded: bool, placement: str, activation: str, kernel: str
):
    """Causal self-attention, and padding in the memory."""
    config = changed(norm_placement=placement, activation=activation, attention=kernel)
    ours = randomise(Layer(config, cross=True))
    theirs = nn.TransformerDecoderLayer(**layer_settings(placement, activation))
    pairs = layer_pairs(ours, theirs)
    copy(pairs, ours, theirs)
    x, memory, mask = random(3, TIME, 24), random(3, TIME, 24), padding_mask() if padded else None
    memory_scoring = Scoring(SCALE, causal=False, padding_mask=mask)
    output = ours(x, NoPosition(config), Scoring(SCALE), memory, memory_scoring)
    y = theirs(x, memory, tgt_mask=FUTURE, memory_key_padding_mask=~mask if padded else None)
    agree_in_outputs_and_gradients("TransformerDecoderLayer", (output, y), [x, memory], pairs)


def test_encoder_decoder_equals_torch_transformer():
    """Whole pre-norm stacks with final norms, from embeddings to states."""
    config = changed(family="encoder_decoder", norm_placement="pre", position="none")
    ours = randomise(build(config))
    theirs = nn.Transformer(
        num_encoder_layers=2, num_decoder_layers=2, **layer_settings("pre", "gelu")
    )
    pairs = []
    for stack, their_stack in ((ours.encoder, theirs.encoder), (ours.decoder, theirs.decoder)):
        pairs += matched(stack.final_norm, their_stack.norm)
        for layer, their_layer in zip(stack.layers, their_stack.layers, strict=True):
            pairs += layer_pairs(layer, their_layer)
    copy(
        pairs,
        nn.ModuleList(
            [
                ours.encoder.layers,
                ours.encoder.final_norm,
                ours.decoder.layers,
                ours.decoder.final_norm,
            ]
        ),
        theirs,
    )
    torch.manual_seed(3)
    source, target = torch.randint(13, (3, TIME)), torch.randint(13, (3, 7))
    states = theirs(
        ours.encoder.embedding(source),
        ours.decoder.embedding(target),
        tgt_mask=FUTURE[:7, :7],
        src_key_padding_mask=~padding_mask(),
        memory_key_padding_mask=~padding_mask(),
    )
    agree("Transformer", ours(source, target, padding_mask()), ours.head(states), 1e-10)


def test_lstm_equals_torch_lstm_cells_step_by_step():
    """`nn.LSTMCell` shares no code path with the model."""
    config = changed(family="lstm", tie_embeddings=False)
    ours = randomise(build(config))
    torch.manual_seed(4)
    tokens = torch.randint(13, (3, TIME))
    inputs = ours.embedding(tokens)
    for layer in range(config.n_layers):
        cell = nn.LSTMCell(24, 24, dtype=torch.float64)
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            getattr(cell, name).data.copy_(getattr(ours.layers[layer], f"{name}_l0"))
        state = (torch.zeros(3, 24).double(), torch.zeros(3, 24).double())
        outputs = []
        for step in range(TIME):
            state = cell(inputs[:, step], state)
            outputs.append(state[0])
        inputs = torch.stack(outputs, dim=1)
    agree("LSTMCell", ours(tokens), ours.head(inputs), 1e-10)


def test_rmsnorm_equals_its_formula():
    config = changed(norm="rmsnorm", norm_placement="post", residual=False)
    sublayer = Sublayer(config, nn.Identity()).double()
    x = random(2, 3, 24)
    nn.init.normal_(sublayer.norm.weight)
    expected = x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt() * sublayer.norm.weight
    agree("RMSNorm formula", sublayer(x), expected, 1e-12)


def test_swiglu_equals_its_formula_at_equal_parameters():
    inner = randomise(build(changed(activation="swiglu", bias=False))).layers[0].feed_forward.inner
    x = random(2, 3, 24)
    gate, hidden = x @ inner.gate.weight.T, x @ inner.hidden.weight.T
    expected = (gate * gate.sigmoid() * hidden) @ inner.output.weight.T
    agree("SwiGLU formula", inner(x), expected, 1e-12)
    assert sum(p.numel() for p in inner.parameters()) == 2 * CONFIG.d_model * CONFIG.d_ff
