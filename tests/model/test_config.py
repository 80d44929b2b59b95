"""Configs: refusals name the field, and every valid config builds a network that runs."""

import dataclasses
from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model import ModelConfig, build, parameter_count
from model.attention import Attention
from model.config import Family

GOOD = {"vocab_size": 7, "context_length": 8, "d_model": 8, "n_layers": 1, "n_heads": 2, "d_ff": 16}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("family", "gru"),
        ("position", "rotary"),
        ("norm_placement", "before"),
        ("activation", None),
        ("n_heads", 3),
        ("n_layers", 0),
        ("d_model", -8),
        ("d_model", 8.0),
        ("d_ff", True),
        ("residual", "yes"),
        ("n_kv_heads", 3),
        ("n_kv_heads", 0),
        ("norm", "batchnorm"),
        ("masking", "before"),
        ("attention_scale", 1),
        ("mlp_window", 0),
        ("bigram_smoothing", 0.0),
        ("bigram_smoothing", float("inf")),
        ("dropout", 1.0),
        ("dropout", float("nan")),
        ("dropout", "0.1"),
    ],
)
def test_an_impossible_value_is_refused_with_the_name_of_its_field(field, value):
    with pytest.raises(ValueError, match=rf"{field}=.* it must be"):
        ModelConfig(**GOOD | {field: value})


def test_the_fused_kernel_cannot_mask_after_the_softmax():
    with pytest.raises(ValueError, match=r"masking='after_softmax' cannot work"):
        ModelConfig(**GOOD, attention="fused", masking="after_softmax")


@pytest.mark.parametrize("change", [{"n_heads": 8}, {"d_model": 6}])
def test_odd_heads_for_rope_are_refused_with_the_names_of_d_model_and_n_heads(change: dict):
    fields = GOOD | change
    refusal = (
        f"d_model={fields['d_model']} with n_heads={fields['n_heads']} cannot work: d_model / "
    )
    with pytest.raises(ValueError, match=refusal + r"n_heads must be even for position='rope'"):
        ModelConfig(**fields)


configs = st.builds(
    lambda kv_heads, group, head_dim, **fields: ModelConfig(
        n_heads=kv_heads * group,
        n_kv_heads=kv_heads,
        d_model=kv_heads * group * head_dim,
        **fields,
    ),
    kv_heads=st.integers(1, 3),
    group=st.integers(1, 2),
    head_dim=st.sampled_from([2, 4, 6]),
    family=st.sampled_from(get_args(Family)),
    vocab_size=st.integers(2, 20),
    context_length=st.integers(1, 12),
    n_layers=st.integers(1, 3),
    d_ff=st.integers(1, 40),
    position=st.sampled_from(["none", "sinusoidal", "learned", "rope", "alibi"]),
    norm_placement=st.sampled_from(["pre", "post", "none"]),
    residual=st.booleans(),
    norm=st.sampled_from(["layernorm", "rmsnorm"]),
    activation=st.sampled_from(["relu", "gelu", "swiglu"]),
    attention_scale=st.booleans(),
    embedding_scale=st.booleans(),
    initialisation=st.sampled_from(["gpt2", "xavier"]),
    attention=st.sampled_from(["reference", "fused"]),
    tie_embeddings=st.booleans(),
    dropout=st.sampled_from([0.0, 0.3]),
    bias=st.booleans(),
    mlp_window=st.integers(1, 5),
    bigram_smoothing=st.sampled_from([0.1, 1.0]),
)


@settings(max_examples=100, deadline=None)
@given(configs, st.sampled_from([None, 2, 5]))
def test_any_valid_config_builds_a_network_that_runs_and_has_the_counted_parameters(
    config: ModelConfig, n_classes: int | None
):
    if config.family in ("encoder", "decoder"):
        config = dataclasses.replace(config, n_classes=n_classes)
    # In float64: without a norm, the products of SwiGLU grow from layer to layer, up to 1e43 in six
    # layers, and overflow in float32.
    torch.manual_seed(0)
    model = build(config).double()
    tokens = torch.randint(config.vocab_size, (2, config.context_length))
    logits = model(tokens, tokens) if config.family == "encoder_decoder" else model(tokens)
    token_logits = (2, config.context_length, config.vocab_size)
    assert logits.shape == ((2, config.n_classes) if config.n_classes else token_logits)
    assert logits.isfinite().all()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if trained:
        logits.square().sum().backward()
    assert bool(trained) == (config.family != "bigram")
    assert all(parameter.grad is not None for parameter in trained)
    assert sum(p.numel() for p in model.parameters()) == parameter_count(config)


def test_n_classes_must_be_at_least_two_and_needs_an_encoder_or_a_decoder():
    for wrong in (1, 0, True, 2.0):
        with pytest.raises(ValueError, match=r"n_classes=.* it must be"):
            ModelConfig(**GOOD, family="encoder", n_classes=wrong)
    for family in ("encoder_decoder", "lstm", "mlp", "bigram"):
        with pytest.raises(ValueError, match=r"n_classes=3 .* it must be None unless"):
            ModelConfig(**GOOD, family=family, n_classes=3)


@pytest.mark.parametrize(
    ("family", "others"),
    [
        ("lstm", {"position": "none", "n_heads": 2, "residual": False, "d_ff": 128}),
        ("mlp", {"position": "none", "n_heads": 2, "residual": False, "n_layers": 1}),
        ("bigram", {"d_model": 8, "dropout": 0.5, "mlp_window": 2, "bias": False}),
        ("decoder", {"mlp_window": 2, "bigram_smoothing": 0.1}),
        ("encoder", {"mlp_window": 2, "bigram_smoothing": 0.1}),
        ("encoder_decoder", {"mlp_window": 2, "bigram_smoothing": 0.1}),
    ],
)
def test_fields_that_a_family_does_not_read_change_no_output_and_are_not_relevant(
    config: ModelConfig, family: str, others: dict
):
    one = dataclasses.replace(config, family=family)
    other = dataclasses.replace(one, **others)
    assert one.relevant() == other.relevant()
    tokens = torch.randint(config.vocab_size, (2, 8))
    inputs = (tokens, tokens) if family == "encoder_decoder" else (tokens,)
    outputs = []
    for each in (one, other):
        torch.manual_seed(0)
        outputs.append(build(each)(*inputs))
    assert torch.equal(*outputs)


OTHER_VALUES = {
    "vocab_size": 12,
    "context_length": 9,
    "d_model": 24,
    "n_layers": 3,
    "n_heads": 2,
    "n_kv_heads": 2,
    "d_ff": 48,
    "position": "alibi",
    "norm": "rmsnorm",
    "norm_placement": "post",
    "residual": False,
    "activation": "relu",
    "attention": "reference",
    "self_attention": "own_parts:RunningMean",
    "sublayer": "own_parts:ReZero",
    "branch_gain": "rezero",
    "qk_norm": True,
    "window": 3,
    "sinks": True,
    "score_cap": 0.1,
    "logit_cap": 0.1,
    "rope_share": 0.5,
    "attention_scale": False,
    "masking": "after_softmax",
    "initialisation": "xavier",
    "embedding_scale": True,
    "tie_embeddings": False,
    "dropout": 0.5,
    "bias": False,
    "n_classes": 3,
    "mlp_window": 3,
    "bigram_smoothing": 0.5,
}


def behaviour(config: ModelConfig) -> tuple:
    """Everything that a field can change: logits in training, shapes of weights, and kernels."""
    torch.manual_seed(0)
    model = build(config)
    tokens = torch.randint(11, (2, 9), generator=torch.Generator().manual_seed(1))
    padding_mask = torch.arange(9) < torch.tensor([[9], [5]])
    inputs = {"encoder": (tokens, padding_mask)}
    inputs["encoder_decoder"] = (tokens, tokens, padding_mask)
    if config.family == "bigram":
        model.count(tokens[:, :-1], tokens[:, 1:])
    torch.manual_seed(2)
    logits = model(*inputs.get(config.family, (tokens,)))
    kernels = [m.attend.__name__ for m in model.modules() if isinstance(m, Attention)]
    weights = [tuple(p.shape) for p in model.parameters()]
    return logits.tolist(), weights, kernels


@pytest.mark.parametrize("family", get_args(Family))
@pytest.mark.parametrize("field", [f.name for f in dataclasses.fields(ModelConfig)])
def test_every_relevant_field_changes_the_behaviour_of_the_network(
    config: ModelConfig, family: str, field: str
):
    if field == "family":
        return
    one = dataclasses.replace(config, family=family)
    if field == "masking":
        one = dataclasses.replace(one, attention="reference")
    if field not in one.relevant():
        assert field not in ("vocab_size", "context_length")
        return
    other = dataclasses.replace(one, **{field: OTHER_VALUES[field]})
    if field == "context_length":  # changes generation only
        assert build(one).context_length != build(other).context_length
    else:
        assert behaviour(one) != behaviour(other)


def test_importing_model_and_the_ablation_interface_does_not_import_torch():
    import subprocess
    import sys

    code = "import sys, model, experiments.ablation; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
