"""Attention kernels, masks, grouped queries and the recording of weights."""

import dataclasses

import pytest
import torch

from model import ModelConfig, build
from model.attention import (
    Attention,
    Scoring,
    attend_auto,
    attend_fused,
    attend_reference,
    attention_weights,
    recorded_attention,
)
from model.position import POSITIONS


def random_qkv() -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [torch.randn(2, 3, 7, 8, dtype=torch.float64, requires_grad=True) for _ in range(3)]


def test_causal_weights_sum_to_one_and_are_zero_above_the_diagonal():
    q, k, _ = random_qkv()
    weights = attention_weights(q, k, Scoring(8**-0.5))
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 3, 7, dtype=torch.float64))
    assert (weights.triu(diagonal=1) == 0).all()
    assert (weights.tril() > 0).sum() == 2 * 3 * 7 * 8 // 2


def test_attention_weights_equal_a_computation_by_hand():
    # Head width 4 halves the scores: 0 and ln 3, so the weights of the second query are 1 : 3.
    q = torch.tensor([[[[1.0, 0, 0, 0], [1.0, 0, 0, 0]]]])
    k = torch.tensor([[[[0.0, 0, 0, 0], [2 * torch.log(torch.tensor(3.0)), 0, 0, 0]]]])
    expected = torch.tensor([[[[1.0, 0.0], [0.25, 0.75]]]])
    torch.testing.assert_close(attention_weights(q, k, Scoring(0.5)), expected)


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("scale", [8**-0.5, 1.0])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("padded", [False, True])
def test_fused_equals_reference_in_outputs_and_gradients(
    scale: float, biased: bool, causal: bool, padded: bool
):
    inputs = random_qkv()
    bias = torch.randn(3, 7, 7, dtype=torch.float64) if biased else None
    padding_mask = torch.arange(7) < torch.tensor([[7], [4]]) if padded else None
    scoring = Scoring(scale, causal, padding_mask, bias)
    outputs, gradients = [], []
    for attend in (attend_reference, attend_fused):
        y = attend(*inputs, scoring)
        outputs.append(y)
        gradients.append(torch.autograd.grad(y.square().sum(), inputs))
    torch.testing.assert_close(*outputs, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(*gradients, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("attend", [attend_reference, attend_fused])
@pytest.mark.parametrize("queries", [1, 3])
@pytest.mark.parametrize("biased", [False, True])
def test_the_last_queries_alone_get_the_same_output_as_with_all_queries(
    attend, queries: int, biased: bool
):
    """As with a cache: few queries, and keys of the whole sequence."""
    q, k, v = random_qkv()
    bias = torch.randn(3, 7, 7, dtype=torch.float64) if biased else None
    last = None if bias is None else bias[:, -queries:]
    whole = attend(q, k, v, Scoring(0.3, bias=bias))[:, :, -queries:]
    alone = attend(q[:, :, -queries:], k, v, Scoring(0.3, bias=last))
    torch.testing.assert_close(alone, whole, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("attend", [attend_reference, attend_fused])
def test_dropout_changes_the_output_of_attention(attend):
    inputs = (*random_qkv(), Scoring(1.0))
    assert not torch.equal(attend(*inputs, 0.5), attend(*inputs, 0.0))


@pytest.mark.parametrize("masking", ["before_softmax", "after_softmax"])
def test_keys_at_padding_have_zero_weight(masking: str):
    q, k, _ = random_qkv()
    padding_mask = torch.arange(7) < torch.tensor([[7], [4]])
    scoring = Scoring(1.0, causal=False, padding_mask=padding_mask, masking=masking)
    weights = attention_weights(q, k, scoring)
    assert (weights[1, :, :, 4:] == 0).all()
    assert (weights[1, :, :, :4] > 0).all()
    assert (weights[0] > 0).all()
    sums = weights.sum(-1)[1]
    assert torch.allclose(sums, torch.ones_like(sums)) == (masking == "before_softmax")


def test_recording_attention_changes_no_output_and_stops_after_the_block(config: ModelConfig):
    torch.manual_seed(0)
    model, tokens = build(config).double(), torch.randint(config.vocab_size, (2, 9))
    plain = model(tokens)
    with recorded_attention(model) as weights:
        torch.testing.assert_close(model(tokens), plain, rtol=1e-12, atol=1e-12)
    assert list(weights) == [f"layers.{i}.attention.inner" for i in range(config.n_layers)]
    for recorded in weights.values():
        assert recorded.shape == (2, config.n_heads, 9, 9)
        assert (recorded.triu(diagonal=1) == 0).all()
        torch.testing.assert_close(recorded.sum(-1), torch.ones(2, 4, 9).double())
    weights.clear()
    model(tokens)
    assert not weights


def test_recorded_weights_times_values_equal_the_input_of_the_output_projection(
    config: ModelConfig,
):
    torch.manual_seed(0)
    model, tokens = build(config).double(), torch.randint(config.vocab_size, (2, 9))
    attention = model.layers[1].attention.inner
    tensors = {}
    attention.output.register_forward_hook(lambda _, x, y: tensors.update(mixed=x[0]))
    attention.qkv.register_forward_hook(lambda _, x, y: tensors.update(qkv=y))
    with recorded_attention(model) as weights:
        model(tokens)
    v = tensors["qkv"][..., -config.d_model :].unflatten(-1, (4, -1)).transpose(1, 2)
    mixed = weights["layers.1.attention.inner"] @ v
    torch.testing.assert_close(mixed.transpose(1, 2).flatten(2), tensors["mixed"])


def test_masking_after_the_softmax_leaks_the_future_and_rows_sum_to_less_than_one(
    config: ModelConfig,
):
    q, k, _ = random_qkv()
    weights = attention_weights(q, k, Scoring(1.0, masking="after_softmax"))
    assert (weights.triu(diagonal=1) == 0).all()
    assert (weights.sum(-1)[..., :-1] < 1).all()
    late = dataclasses.replace(config, attention="reference", masking="after_softmax")
    model, before = build(late).double(), torch.randint(config.vocab_size, (1, 8))
    after = before.clone()
    after[:, 7] = (after[:, 7] + 1) % config.vocab_size
    assert not torch.equal(model(before)[:, :7], model(after)[:, :7])


@pytest.mark.parametrize("kernel", ["reference", "fused"])
@pytest.mark.parametrize("kv_heads", [1, 2])
def test_grouped_queries_equal_full_heads_with_repeated_keys_and_values(
    config: ModelConfig, kv_heads: int, kernel: str
):
    config = dataclasses.replace(config, attention=kernel)
    grouped = build(dataclasses.replace(config, n_kv_heads=kv_heads)).double()
    full = build(config).double()
    weights = grouped.state_dict()
    for name in [name for name in weights if ".qkv." in name]:
        heads = weights[name].unflatten(0, (-1, config.head_dim))
        q, k, v = heads.split([config.n_heads, kv_heads, kv_heads])
        repeated = [part.repeat_interleave(config.n_heads // kv_heads, dim=0) for part in (k, v)]
        weights[name] = torch.cat([q, *repeated]).flatten(0, 1)
    full.load_state_dict(weights)
    tokens = torch.randint(config.vocab_size, (2, 9))
    torch.testing.assert_close(grouped(tokens), full(tokens), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("position", POSITIONS)
def test_queries_keys_and_values_are_bfloat16_under_autocast(config: ModelConfig, position: str):
    """A positional encoding must not turn queries and keys into float32, which is slower."""
    model = build(dataclasses.replace(config, position=position))
    dtypes = set()

    def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, *more) -> torch.Tensor:
        dtypes.update(tensor.dtype for tensor in (q, k, v))
        return attend_fused(q, k, v, *more)

    for module in model.modules():
        if isinstance(module, Attention):
            module.attend = attend
    with torch.autocast("cpu", dtype=torch.bfloat16):
        model(torch.zeros(1, 8, dtype=torch.long)).sum().backward()
    assert dtypes == {torch.bfloat16}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_auto_is_the_reference_for_up_to_512_keys_on_a_processor(dtype: torch.dtype):
    torch.manual_seed(0)
    for length, kernel in ((512, attend_reference), (513, attend_fused)):
        q, k, v = torch.randn(3, 1, 1, length, 8).to(dtype)
        assert torch.equal(attend_auto(q, k, v, Scoring(1.0)), kernel(q, k, v, Scoring(1.0)))


def test_auto_is_the_reference_where_the_mask_comes_after_the_softmax():
    q, k, v = torch.randn(3, 1, 1, 600, 8)
    scoring = Scoring(1.0, masking="after_softmax")
    assert torch.equal(attend_auto(q, k, v, scoring), attend_reference(q, k, v, scoring))


@pytest.mark.parametrize("position", ["rope", "alibi"])
def test_the_mask_and_the_bias_are_computed_once_for_all_layers(
    config: ModelConfig, position: str, monkeypatch: pytest.MonkeyPatch
):
    config = dataclasses.replace(config, position=position)
    model = build(config)
    calls = []
    for cls, name in ((Scoring, "hidden"), (POSITIONS[position], "bias")):
        counted = getattr(cls, name)

        def once(*arguments, counted=counted, name=name):
            calls.append(name)
            return counted(*arguments)

        monkeypatch.setattr(cls, name, once)
    model(torch.zeros(2, 8, dtype=torch.long)).sum().backward()
    assert config.n_layers > 1
    assert sorted(calls) == ["bias", "hidden"]
