"""Networks of the papers, by name."""

from model.config import ModelConfig

_VASWANI = ModelConfig(
    family="encoder_decoder",
    vocab_size=37_000,  # shared by source, target and output (section 5.1)
    context_length=512,  # the paper names no limit; sinusoidal positions have none
    d_model=512,
    n_layers=6,
    n_heads=8,
    d_ff=2048,
    position="sinusoidal",
    norm_placement="post",
    activation="relu",
    initialisation="xavier",
    embedding_scale=True,
    dropout=0.1,
)

PRESETS: dict[str, ModelConfig] = {
    "vaswani-base": _VASWANI,
    "vaswani-big": ModelConfig(
        **{**vars(_VASWANI), "d_model": 1024, "n_heads": 16, "d_ff": 4096, "dropout": 0.3}
    ),
    "gpt2": ModelConfig(
        vocab_size=50_257,
        context_length=1024,
        d_model=768,
        n_layers=12,
        n_heads=12,
        d_ff=3072,
        position="learned",
        dropout=0.1,
    ),
    "bert-base": ModelConfig(
        family="encoder",
        vocab_size=30_522,
        context_length=512,
        d_model=768,
        n_layers=12,
        n_heads=12,
        d_ff=3072,
        position="learned",
        norm_placement="post",
        dropout=0.1,
    ),
    "llama-7b": ModelConfig(
        vocab_size=32_000,
        context_length=2048,
        d_model=4096,
        n_layers=32,
        n_heads=32,
        d_ff=16_512,  # a hidden layer of 11,008 gated
        norm="rmsnorm",
        activation="swiglu",
        tie_embeddings=False,
        bias=False,
    ),
}

# Parameter counts that the papers give. BERT has parts that the network here lacks: segment
# embeddings, a norm after the embeddings, and another layer before its head.
PUBLISHED = {
    "vaswani-base": "65M (Vaswani 2017, table 3)",
    "vaswani-big": "213M (Vaswani 2017, table 3)",
    "gpt2": "124M (Radford 2019, as released)",
    "bert-base": "110M (Devlin 2019)",
    "llama-7b": "6.7B (Touvron 2023, table 2)",
}
