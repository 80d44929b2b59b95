"""Parameters, counted from the config alone, so that planning needs no torch."""

from model.config import ModelConfig


def parameter_count(config: ModelConfig) -> int:
    """Number of trainable parameters of `build(config)`, a tied matrix counted once.

    For a decoder layer: attention 4·d_model² (less where query heads share keys and values),
    feed-forward 2·d_model·d_ff, each with its biases, and two norms (Vaswani 2017, section 3).
    For an LSTM layer: four gates, each with d_model·d_model weights from the input and as many
    from the state (Hochreiter 1997).
    """
    d, vocabulary = config.d_model, config.vocab_size
    embeddings = vocabulary * d * (1 if config.tie_embeddings else 2)
    if config.family == "lstm":
        # nn.LSTM keeps one bias vector for the input and one for the state
        return embeddings + config.n_layers * (8 * d * d + (8 * d if config.bias else 0))
    positions = config.context_length * d if config.position == "learned" else 0
    norm = d * (2 if config.bias and config.norm == "layernorm" else 1)
    qkv = d + 2 * config.kv_heads * config.head_dim
    attention = d * qkv + d * d + (qkv + d if config.bias else 0)
    inward = config.hidden_width * (2 if config.activation == "swiglu" else 1)
    feed_forward = d * (inward + config.hidden_width) + (inward + d if config.bias else 0)
    layer = attention + feed_forward + (2 * norm if config.norm_placement != "none" else 0)
    final_norm = norm if config.norm_placement == "pre" else 0
    return embeddings + positions + config.n_layers * layer + final_norm
