"""Logits and generated tokens against Hugging Face's networks with the same weights."""

import pytest
import torch
import transformers
from compare import CONFIG, agree, changed, padding_mask, randomise, renamed, tokens
from torch import Tensor, nn

from model import build
from model.networks.generation import beam_search, filtered, generate

NO_DROPOUT = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}


def load(theirs: nn.Module, weights: dict[str, Tensor]) -> nn.Module:
    theirs.double().eval().load_state_dict(weights, strict=True)
    return theirs


def gpt2(tied: bool = True, embedding_std: float = 0.3) -> tuple[nn.Module, nn.Module]:
    ours = randomise(build(changed(position="learned", tie_embeddings=tied)), embedding_std)
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
        if ".c_" in name and value.dim() == 2:  # these matrices are transposed in theirs
            weights[name] = value.T
    config = transformers.GPT2Config(
        vocab_size=CONFIG.vocab_size,
        n_positions=CONFIG.context_length,
        n_embd=CONFIG.d_model,
        n_layer=CONFIG.n_layers,
        n_head=CONFIG.n_heads,
        n_inner=CONFIG.d_ff,
        activation_function="gelu",
        tie_word_embeddings=tied,
        **NO_DROPOUT,
    )
    return ours, load(transformers.GPT2LMHeadModel(config), weights)


def llama(kv_heads: int = 2, embedding_std: float = 0.3) -> tuple[nn.Module, nn.Module]:
    """RoPE, RMSNorm, SwiGLU and grouped queries together."""
    config = changed(
        position="rope",
        norm="rmsnorm",
        activation="swiglu",
        n_kv_heads=kv_heads,
        bias=False,
        tie_embeddings=False,
    )
    ours = randomise(build(config), embedding_std)
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
    weights = split_qkv(
        renamed(ours, names),
        ours.layers[0].attention.inner.widths,
        ["q_proj", "k_proj", "v_proj"],
    )
    theirs = transformers.LlamaConfig(
        vocab_size=config.vocab_size,
        hidden_size=config.d_model,
        intermediate_size=config.hidden_width,
        num_hidden_layers=config.n_layers,
        num_attention_heads=config.n_heads,
        num_key_value_heads=kv_heads,
        max_position_embeddings=config.context_length,
        rms_norm_eps=1e-5,
        tie_word_embeddings=False,
    )
    return ours, load(transformers.LlamaForCausalLM(theirs), weights)


def mpt(heads: int) -> tuple[nn.Module, nn.Module]:
    """ALiBi, also with a number of heads that is not a power of two."""
    config = changed(position="alibi", n_heads=heads, bias=False)
    ours = randomise(build(config))
    names = {
        "embedding": "transformer.wte",
        "final_norm": "transformer.norm_f",
        "attention.norm": "norm_1",
        "attention.inner.qkv": "attn.Wqkv",
        "attention.inner.output": "attn.out_proj",
        "feed_forward.norm": "norm_2",
        "feed_forward.inner.hidden": "ffn.up_proj",
        "feed_forward.inner.output": "ffn.down_proj",
        "layers.": "transformer.blocks.",
        "head.": "lm_head.",
    }
    theirs = transformers.MptConfig(
        vocab_size=config.vocab_size,
        d_model=config.d_model,
        n_heads=heads,
        n_layers=config.n_layers,
        expansion_ratio=4,
        max_seq_len=config.context_length,
    )
    return ours, load(transformers.MptForCausalLM(theirs), renamed(ours, names))


def bert(n_classes: int | None) -> tuple[nn.Module, nn.Module]:
    """Post-norm, learned positions, GELU. The parts of BERT that ours does not have are taken out:
    the norm after the embeddings, the segment embedding and the layer before each head.
    """
    config = changed(
        family="encoder", norm_placement="post", position="learned", n_classes=n_classes
    )
    ours = randomise(build(config))
    theirs_config = transformers.BertConfig(
        vocab_size=config.vocab_size,
        hidden_size=config.d_model,
        num_hidden_layers=config.n_layers,
        num_attention_heads=config.n_heads,
        intermediate_size=config.d_ff,
        max_position_embeddings=config.context_length,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        layer_norm_eps=1e-5,
        num_labels=n_classes or 2,
    )
    names = {
        "embedding": "bert.embeddings.word_embeddings",
        "position.table": "bert.embeddings.position_embeddings.weight",
        "attention.norm": "attention.output.LayerNorm",
        "attention.inner.qkv": "attention.self.qkv",
        "attention.inner.output": "attention.output.dense",
        "feed_forward.norm": "output.LayerNorm",
        "feed_forward.inner.hidden": "intermediate.dense",
        "feed_forward.inner.output": "output.dense",
        "layers.": "bert.encoder.layer.",
    }
    if n_classes is None:
        theirs = transformers.BertForMaskedLM(theirs_config)
        theirs.cls.predictions.transform = nn.Identity()
        theirs.cls.predictions.decoder = nn.Linear(config.d_model, config.vocab_size, bias=False)
        theirs.cls.predictions.bias = None
        names["head."] = "cls.predictions.decoder."
    else:
        theirs = transformers.BertForSequenceClassification(theirs_config)
        theirs.bert.pooler.dense = theirs.bert.pooler.activation = nn.Identity()
        names["head."] = "classifier."
    theirs.bert.embeddings.LayerNorm = nn.Identity()
    weights = split_qkv(renamed(ours, names), [config.d_model] * 3, ["query", "key", "value"])
    segments = "bert.embeddings.token_type_embeddings.weight"
    weights[segments] = torch.zeros(2, config.d_model)
    return ours, load(theirs, weights)


def split_qkv(weights: dict[str, Tensor], widths: list[int], names: list[str]) -> dict[str, Tensor]:
    """Split our matrix of queries, keys and values into three matrices with these names."""
    for fused in [name for name in weights if "qkv" in name]:
        for name, value in zip(names, weights.pop(fused).split(widths), strict=True):
            weights[fused.replace("qkv", name)] = value
    return weights


def test_logits_equal_those_of_gpt2():
    ours, theirs = gpt2()
    agree("GPT2LMHeadModel, logits", ours(tokens()), theirs(tokens()).logits, 1e-10)


@pytest.mark.parametrize("kv_heads", [4, 2, 1])
def test_logits_equal_those_of_llama(kv_heads: int):
    ours, theirs = llama(kv_heads)
    # Theirs always computes the rotation angles in float32.
    agree("LlamaForCausalLM, logits", ours(tokens()), theirs(tokens()).logits, 1e-6)


@pytest.mark.parametrize("heads", [4, 6])
def test_logits_equal_those_of_mpt(heads: int):
    ours, theirs = mpt(heads)
    # Theirs always computes the softmax in float32.
    agree("MptForCausalLM, logits", ours(tokens()), theirs(tokens()).logits, 1e-6)


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("n_classes", [None, 3])
def test_logits_equal_those_of_bert(n_classes: int | None, padded: bool):
    ours, theirs = bert(n_classes)
    mask = padding_mask() if padded else torch.ones_like(padding_mask())
    our_logits = ours(tokens(), mask if padded else None)
    their_logits = theirs(tokens(), attention_mask=mask.long()).logits
    if n_classes is None:  # logits at padding have no meaning
        our_logits, their_logits = our_logits[mask], their_logits[mask]
    agree(f"{type(theirs).__name__}, logits", our_logits, their_logits, 1e-10)


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("network", ["gpt2", "llama"])
def test_greedy_decoding_and_beam_search_generate_the_same_tokens(
    network: str, beams: int, cached: bool
):
    ours, theirs = gpt2(False, 9.0) if network == "gpt2" else llama(2, 9.0)
    start, new = tokens(4), CONFIG.context_length - 4
    expected = theirs.generate(
        start,
        attention_mask=torch.ones_like(start),
        max_new_tokens=new,
        do_sample=False,
        num_beams=beams,
        eos_token_id=None,
        pad_token_id=0,
    )
    if beams == 1:
        generated = generate(ours, start, new, temperature=0, cached=cached)
    else:
        generated = beam_search(ours, start, new, beams=beams, cached=cached)
    assert torch.equal(generated, expected)
    assert len(set(generated[:, 4:].flatten().tolist())) > 3  # not one token repeated


@pytest.mark.parametrize("top_k", [None, 3, 50])
@pytest.mark.parametrize("top_p", [None, 0.1, 0.8, 1.0])
def test_top_k_and_top_p_filters_equal_those_of_transformers(
    top_k: int | None, top_p: float | None
):
    torch.manual_seed(0)
    logits = 2 * torch.randn(5, 13, dtype=torch.float64)
    expected = logits
    if top_k is not None:
        expected = transformers.TopKLogitsWarper(top_k)(None, expected)
    if top_p is not None:
        expected = transformers.TopPLogitsWarper(top_p)(None, expected)
    assert torch.equal(filtered(logits, top_k, top_p), expected)
