"""Newer parts against Hugging Face's networks with the same weights, or against their formulas."""

from types import SimpleNamespace

import pytest
import torch
import transformers
from compare import CONFIG, agree, changed, randomise, renamed, tokens
from test_reference_huggingface import load, split_qkv
from torch import nn
from transformers.models.gpt_oss import modeling_gpt_oss

from model import ModelConfig, build
from model.attention import Scoring, attend_reference, attention_weights, soft_cap
from model.networks.generation import generate
from model.networks.stack import Layer

LLAMA = {
    "position": "rope",
    "norm": "rmsnorm",
    "activation": "swiglu",
    "bias": False,
    "tie_embeddings": False,
}
NAMES = {
    "embedding": "model.embed_tokens",
    "final_norm": "model.norm",
    "attention.norm_after": "post_attention_layernorm",
    "attention.norm": "input_layernorm",
    "attention.inner.qkv": "self_attn.qkv",
    "attention.inner.output": "self_attn.o_proj",
    "attention.inner.query_norm": "self_attn.q_norm",
    "attention.inner.key_norm": "self_attn.k_norm",
    "feed_forward.norm_after": "post_feedforward_layernorm",
    "feed_forward.norm": "post_attention_layernorm",
    "feed_forward.inner.hidden": "mlp.up_proj",
    "feed_forward.inner.gate": "mlp.gate_proj",
    "feed_forward.inner.output": "mlp.down_proj",
    "layers.": "model.layers.",
    "head.": "lm_head.",
}


def settings(config: ModelConfig) -> dict:
    return {
        "vocab_size": config.vocab_size,
        "hidden_size": config.d_model,
        "intermediate_size": config.hidden_width,
        "num_hidden_layers": config.n_layers,
        "num_attention_heads": config.n_heads,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.head_dim,
        "max_position_embeddings": config.context_length,
        "rms_norm_eps": 1e-5,
        "tie_word_embeddings": False,
        "attn_implementation": "eager",
    }


def pair(theirs: nn.Module, config: ModelConfig, names: dict[str, str]) -> tuple:
    ours = randomise(build(config))
    widths = ours.layers[0].attention.inner.widths
    weights = split_qkv(renamed(ours, names), widths, ["q_proj", "k_proj", "v_proj"])
    return ours, theirs, weights


def test_normalised_queries_and_keys_equal_those_of_qwen3():
    config = changed(**LLAMA, qk_norm=True, n_kv_heads=2)
    theirs = transformers.Qwen3ForCausalLM(transformers.Qwen3Config(**settings(config)))
    ours, theirs, weights = pair(theirs, config, NAMES)
    load(theirs, weights)
    agree("Qwen3ForCausalLM, logits", ours(tokens()), theirs(tokens()).logits, 1e-6)


@pytest.mark.parametrize("window", [1, 5, 100])
def test_a_sliding_window_equals_that_of_mistral(window: int):
    config = changed(**LLAMA, window=window)
    theirs = transformers.MistralForCausalLM(
        transformers.MistralConfig(**settings(config), sliding_window=window)
    )
    ours, theirs, weights = pair(theirs, config, NAMES)
    load(theirs, weights)
    agree("MistralForCausalLM, logits", ours(tokens()), theirs(tokens()).logits, 1e-6)


def test_caps_and_sandwich_norms_equal_those_of_gemma2():
    """Theirs multiplies by 1 + gain where ours multiplies by the gain."""
    config = changed(
        **LLAMA | {"norm_placement": "sandwich", "embedding_scale": True},
        score_cap=0.7,
        logit_cap=1.5,
        n_kv_heads=2,
    )
    theirs = transformers.Gemma2ForCausalLM(
        transformers.Gemma2Config(
            **settings(config),
            hidden_activation="silu",
            query_pre_attn_scalar=config.head_dim,
            attn_logit_softcapping=0.7,
            final_logit_softcapping=1.5,
            layer_types=["full_attention"] * config.n_layers,
        )
    )
    names = NAMES | {"feed_forward.norm": "pre_feedforward_layernorm"}
    ours, theirs, weights = pair(theirs, config, names)
    for name in weights:
        if "norm" in name:
            weights[name] = weights[name] - 1
    load(theirs, weights)
    agree("Gemma2ForCausalLM, logits", ours(tokens()), theirs(tokens()).logits, 1e-6)


@pytest.mark.parametrize("share", [0.34, 0.67, 1.0])
def test_rotating_a_share_of_each_head_equals_that_of_gpt_neox(share: float):
    config = changed(position="rope", rope_share=share, tie_embeddings=False)
    names = {
        "embedding": "gpt_neox.embed_in",
        "final_norm": "gpt_neox.final_layer_norm",
        "attention.norm": "input_layernorm",
        "attention.inner.qkv": "attention.query_key_value",
        "attention.inner.output": "attention.dense",
        "feed_forward.norm": "post_attention_layernorm",
        "feed_forward.inner.hidden": "mlp.dense_h_to_4h",
        "feed_forward.inner.output": "mlp.dense_4h_to_h",
        "layers.": "gpt_neox.layers.",
        "head.": "lm_head.",
    }
    ours = randomise(build(config))
    weights = renamed(ours, names)
    for name, value in weights.items():
        if "query_key_value" in name:  # theirs has query, key and value of a head side by side
            parts = value.unflatten(0, (3, config.n_heads, config.head_dim))
            weights[name] = parts.transpose(0, 1).flatten(0, 2)
    theirs = transformers.GPTNeoXForCausalLM(
        transformers.GPTNeoXConfig(
            **settings(config) | {"intermediate_size": config.d_ff},
            use_parallel_residual=False,
            layer_norm_eps=1e-5,
            rope_parameters={
                "rope_type": "default",
                "rope_theta": 10000.0,
                "partial_rotary_factor": config.rotated_dim / config.head_dim,
            },
        )
    )
    load(theirs, weights)
    agree("GPTNeoXForCausalLM, logits", ours(tokens()), theirs(tokens()).logits, 1e-6)


def test_sinks_equal_those_of_gpt_oss():
    torch.manual_seed(0)
    q, k, v = (torch.randn(2, heads, 7, 6, dtype=torch.float64) for heads in (4, 2, 2))
    sinks = torch.randn(4, dtype=torch.float64)
    scoring = Scoring(0.4, sinks=sinks)
    ours = attend_reference(q, k, v, scoring)
    module = SimpleNamespace(sinks=sinks, num_key_value_groups=2, training=False)
    mask = Scoring(0.4).mask(7, 7, q)
    theirs, _ = modeling_gpt_oss.eager_attention_forward(module, q, k, v, mask, 0.4)
    agree("GptOss attention", ours, theirs.transpose(1, 2), 1e-10)
    assert (attention_weights(q, k, scoring).sum(-1) < 1).all()


def test_a_cap_is_a_scaled_tanh_and_none_is_no_cap():
    x = torch.linspace(-9, 9, 7)
    assert torch.equal(soft_cap(x, None), x)
    torch.testing.assert_close(soft_cap(x, 2.0), 2 * (x / 2).tanh())


@pytest.mark.parametrize(("gain", "start"), [("rezero", 0.0), ("layerscale", 0.1)])
def test_a_branch_gain_multiplies_what_is_added(gain: str, start: float):
    layer = Layer(changed(branch_gain=gain), cross=False).double()
    sublayer = layer.feed_forward
    assert (sublayer.gain.float() == start).all()
    assert sublayer.gain.numel() == (1 if gain == "rezero" else CONFIG.d_model)
    nn.init.normal_(sublayer.gain)
    x = torch.randn(2, 3, CONFIG.d_model, dtype=torch.float64)
    expected = x + sublayer.gain * sublayer.inner(sublayer.norm(x))
    torch.testing.assert_close(sublayer(x), expected)


def test_relu2_is_the_square_of_relu():
    ours = build(changed(activation="relu2")).layers[0].feed_forward.inner
    x = torch.randn(5, CONFIG.d_model)
    torch.testing.assert_close(ours(x), ours.output(ours.hidden(x).relu() ** 2))


@pytest.mark.parametrize("causal", [False, True])
def test_a_window_hides_all_that_is_further_than_it_reaches(causal: bool):
    hidden = Scoring(1.0, causal, window=3).hidden(4, 9, torch.device("cpu"))
    for query in range(4):
        for key in range(9):
            distance = (5 + query) - key
            sees = 0 <= distance < 3 or (not causal and abs(distance) < 3)
            assert hidden[query, key] == (not sees)


@pytest.mark.parametrize(
    "changes",
    [
        {"window": 3},
        {"sinks": True},
        {"qk_norm": True},
        {"score_cap": 0.5},
        {"logit_cap": 0.5},
        {"rope_share": 0.5},
        {"norm_placement": "sandwich"},
        {"branch_gain": "layerscale"},
    ],
    ids=str,
)
def test_generation_with_the_cache_equals_generation_without(changes: dict):
    ours = randomise(build(changed(**changes)), 9.0)
    texts = [
        generate(ours, tokens(4), 20, temperature=0, cached=cached) for cached in (True, False)
    ]
    assert torch.equal(*texts)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"window": 0}, "window"),
        ({"score_cap": 0.0}, "score_cap"),
        ({"logit_cap": -1}, "logit_cap"),
        ({"rope_share": 1.5}, "rope_share"),
        ({"sinks": True, "attention": "fused"}, "attention"),
        ({"score_cap": 1.0, "attention": "fused"}, "attention"),
        ({"sinks": True, "masking": "after_softmax"}, "masking"),
        ({"branch_gain": "rezero", "residual": False}, "branch_gain"),
    ],
)
def test_what_cannot_work_is_refused(changes: dict, field: str):
    with pytest.raises(ValueError, match=f"{field}=.* cannot work"):
        changed(**changes)
