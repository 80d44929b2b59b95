"""The networks against implementations that others trust, with the same weights."""

import dataclasses

import pytest
import torch
import transformers
from torch import Tensor, nn

from model import ModelConfig, build
from model.sublayer import Sublayer

TIME = 12


@pytest.fixture
def config() -> ModelConfig:
    return ModelConfig(
        vocab_size=13, context_length=16, d_model=24, n_layers=2, n_heads=4, d_ff=96, bias=True
    )


def randomise(model: nn.Module) -> nn.Module:
    """Weights large enough for every part to show, gains and biases included."""
    torch.manual_seed(0)
    for parameter in model.parameters():
        nn.init.normal_(parameter, mean=0.5 if parameter.dim() == 1 else 0.0, std=0.3)
    return model.double().eval()


def tokens(config: ModelConfig) -> Tensor:
    torch.manual_seed(1)
    return torch.randint(config.vocab_size, (3, TIME))


def test_gpt2(config: ModelConfig):
    ours = randomise(build(dataclasses.replace(config, position="learned")))
    theirs = transformers.GPT2LMHeadModel(
        transformers.GPT2Config(
            vocab_size=config.vocab_size,
            n_positions=config.context_length,
            n_embd=config.d_model,
            n_layer=config.n_layers,
            n_head=config.n_heads,
            n_inner=config.d_ff,
            activation_function="gelu",
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
        )
    )
    names = {
        "embedding": "transformer.wte",
        "position.table": "transformer.wpe.weight",
        "final_norm": "transformer.ln_f",
        "attention.norm": "ln_1",
        "attention.inner.qkv": "attn.c_attn",
        "attention.inner.output": "attn.c_proj",
        "feed_forward.norm": "ln_2",
        "feed_forward.inner.hidden": "mlp.c_fc",
        "feed_forward.inner.output": "mlp.c_proj",
        "layers.": "transformer.h.",
        "head.": "lm_head.",
    }
    weights = renamed(ours, names)
    for name, value in weights.items():
        if ".c_" in name and value.dim() == 2:  # theirs keeps these matrices transposed
            weights[name] = value.T
    theirs.double().eval().load_state_dict(weights, strict=True)
    torch.testing.assert_close(
        ours(tokens(config)), theirs(tokens(config)).logits, rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize("kv_heads", [4, 2, 1])
def test_llama(config: ModelConfig, kv_heads: int):
    """RoPE, RMSNorm, SwiGLU and grouped queries together."""
    config = dataclasses.replace(
        config,
        position="rope",
        norm="rmsnorm",
        activation="swiglu",
        n_kv_heads=kv_heads,
        bias=False,
        tie_embeddings=False,
    )
    ours = randomise(build(config))
    theirs = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=config.vocab_size,
            hidden_size=config.d_model,
            intermediate_size=config.hidden_width,
            num_hidden_layers=config.n_layers,
            num_attention_heads=config.n_heads,
            num_key_value_heads=kv_heads,
            max_position_embeddings=config.context_length,
            rms_norm_eps=1e-5,
        )
    )
    names = {
        "embedding": "model.embed_tokens",
        "final_norm": "model.norm",
        "attention.norm": "input_layernorm",
        "attention.inner.qkv": "self_attn.qkv",
        "attention.inner.output": "self_attn.o_proj",
        "feed_forward.norm": "post_attention_layernorm",
        "feed_forward.inner.hidden": "mlp.up_proj",
        "feed_forward.inner.gate": "mlp.gate_proj",
        "feed_forward.inner.output": "mlp.down_proj",
        "layers.": "model.layers.",
        "head.": "lm_head.",
    }
    weights = renamed(ours, names)
    sizes = [config.d_model, kv_heads * config.head_dim, kv_heads * config.head_dim]
    for name in [name for name in weights if "qkv" in name]:
        for part, value in zip("qkv", weights.pop(name).split(sizes), strict=True):
            weights[name.replace("qkv", f"{part}_proj")] = value
    theirs.double().eval().load_state_dict(weights, strict=True)
    # theirs computes the angles of the rotation in float32, whatever the weights are
    torch.testing.assert_close(
        ours(tokens(config)), theirs(tokens(config)).logits, rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("placement", ["pre", "post"])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("kernel", ["reference", "fused"])
def test_torch_layer(config: ModelConfig, placement: str, activation: str, kernel: str):
    """One layer under a causal mask: outputs, and gradients of the input and every weight."""
    config = dataclasses.replace(
        config, norm_placement=placement, activation=activation, attention=kernel, position="none"
    )
    model = randomise(build(config))
    ours = model.layers[0]
    theirs = nn.TransformerEncoderLayer(
        config.d_model,
        config.n_heads,
        config.d_ff,
        dropout=0.0,
        activation=activation,
        batch_first=True,
        norm_first=placement == "pre",
        dtype=torch.float64,
    )
    pairs = [
        (ours.attention.inner.qkv.weight, theirs.self_attn.in_proj_weight),
        (ours.attention.inner.qkv.bias, theirs.self_attn.in_proj_bias),
        *matched(ours.attention.inner.output, theirs.self_attn.out_proj),
        *matched(ours.feed_forward.inner.hidden, theirs.linear1),
        *matched(ours.feed_forward.inner.output, theirs.linear2),
        *matched(ours.attention.norm, theirs.norm1),
        *matched(ours.feed_forward.norm, theirs.norm2),
    ]
    assert len(pairs) == len(list(ours.parameters())) == len(list(theirs.parameters()))
    with torch.no_grad():
        for mine, its in pairs:
            its.copy_(mine)
    x = torch.randn(2, TIME, config.d_model, dtype=torch.float64, requires_grad=True)
    mask = nn.Transformer.generate_square_subsequent_mask(TIME, dtype=torch.float64)
    outputs = ours(x, model.position), theirs(x, src_mask=mask, is_causal=True)
    torch.testing.assert_close(*outputs, rtol=1e-10, atol=1e-10)
    target = torch.randn_like(x)
    gradients = [
        torch.autograd.grad((y * target).sum(), [x, *(pair[side] for pair in pairs)])
        for side, y in enumerate(outputs)
    ]
    torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-9)


def test_rmsnorm_against_its_formula(config: ModelConfig):
    sublayer = Sublayer(
        dataclasses.replace(config, norm="rmsnorm", norm_placement="post", residual=False),
        nn.Identity(),
    )
    x = torch.randn(2, 3, config.d_model)
    nn.init.normal_(sublayer.norm.weight)
    expected = x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt() * sublayer.norm.weight
    torch.testing.assert_close(sublayer(x), expected)


def test_swiglu_against_its_formula_at_equal_parameters(config: ModelConfig):
    gated = dataclasses.replace(config, activation="swiglu", bias=False)
    inner = build(gated).layers[0].feed_forward.inner
    x = torch.randn(2, 3, config.d_model)
    gate, hidden = x @ inner.gate.weight.T, x @ inner.hidden.weight.T
    expected = (gate * gate.sigmoid() * hidden) @ inner.output.weight.T
    torch.testing.assert_close(inner(x), expected, rtol=1e-5, atol=1e-6)
    assert sum(p.numel() for p in inner.parameters()) == 2 * config.d_model * config.d_ff


def matched(mine: nn.Module, its: nn.Module) -> list[tuple[nn.Parameter, nn.Parameter]]:
    return [(mine.weight, its.weight), (mine.bias, its.bias)]


def renamed(model: nn.Module, names: dict[str, str]) -> dict[str, Tensor]:
    """The weights under another implementation's names."""
    found = {}
    for name, value in model.state_dict().items():
        for ours, theirs in names.items():
            name = name.replace(ours, theirs)
        found[name] = value.clone()
    return found
