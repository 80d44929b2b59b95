"""Parameters, arithmetic and cache, counted from the config alone, so that planning needs no torch.

Arithmetic is that of the matrix multiplications, a multiply and an add counted as two; embedding
look-ups, norms, softmax and activations are left out, as is usual (Kaplan 2020, section 2.1).

Of a mechanism that is none of ours nothing is known: a feed-forward network is counted as GELU's, a
norm as RMSNorm's, a position as if it had neither weights nor arithmetic.
"""

from collections.abc import Callable
from typing import NamedTuple

from model.config import ModelConfig


class Cost(NamedTuple):
    """What a part of a network has and does: trainable numbers, and multiply-adds per token."""

    parameters: int
    multiply_adds: float


def parameters_by_component(config: ModelConfig) -> dict[str, int]:
    """Trainable numbers of `build(config)` by component, a tied matrix counted once, under the
    token embedding. For the bigram, its table of counts.
    """
    return {name: cost.parameters for name, cost in components(config).items()}


def parameter_count(config: ModelConfig) -> int:
    """Number of trainable numbers of `build(config)`, a tied matrix counted once."""
    return sum(parameters_by_component(config).values())


def flops_by_component(config: ModelConfig, time: int | None = None) -> dict[str, float]:
    """FLOPs of a forward pass, per token of a sequence of `time` tokens (by default
    `context_length`), by component; of an encoder-decoder, per token of the source and one of the
    target, both of that length.

    Attention is counted in full: a causal kernel may spare the half of it that is masked.
    """
    return {name: 2 * cost.multiply_adds for name, cost in components(config, time).items()}


def flops_per_token(config: ModelConfig, time: int | None = None, backward: bool = False) -> float:
    """FLOPs per token, as in `flops_by_component`; with `backward`, of a training step: every
    matrix product of the forward pass is followed by one for each of its two factors, but for an
    LSTM's first, whose state of zeros needs no gradient.
    """
    forward = sum(flops_by_component(config, time).values())
    if not backward:
        return forward
    spared = 8 * config.n_layers * config.d_model**2 if config.family == "lstm" else 0
    return 3 * forward - spared / (time or config.context_length)


def cache_bytes(config: ModelConfig, time: int, bytes_per_number: int = 4) -> int:
    """Memory of the cache after `time` tokens of one sequence, in bytes: keys and values of every
    layer, 2 · n_layers · kv_heads · head_dim · time numbers; of an encoder-decoder, as many again
    for a source of the same length. The baselines' does not grow.
    """
    keys_and_values = 2 * config.n_layers * config.kv_heads * config.head_dim * time
    numbers = {
        "decoder": keys_and_values,
        "encoder": 0,
        "encoder_decoder": 2 * keys_and_values,
        "lstm": 2 * config.n_layers * config.d_model,
        "mlp": (config.mlp_window - 1) * config.d_model,
        "bigram": 0,
    }
    return numbers[config.family] * bytes_per_number


def components(config: ModelConfig, time: int | None = None) -> dict[str, Cost]:
    """Every component of the network with its cost; `time` as in `flops_by_component`."""
    return _FAMILIES[config.family](config, time or config.context_length)


def _transformer(config: ModelConfig, time: int) -> dict[str, Cost]:
    """Per layer and stack: attention 4·d_model² (less where query heads share keys and values),
    feed-forward 2·d_model·d_ff, each with its biases, and a norm for each sublayer.
    """
    d, layers, vocabulary = config.d_model, config.n_layers, config.vocab_size
    two_stacks = config.family == "encoder_decoder"
    stacks = 2 if two_stacks else 1
    sublayers = layers * (5 if two_stacks else 2)

    kv_width = config.kv_heads * config.head_dim
    scores_and_mixing = 2 * d * time  # per token: q kᵀ, and the weighted mean of the values
    projections = [(d, d), (d, kv_width), (d, kv_width), (d, d)]
    attention = _linears(projections, config.bias, and_also=scores_and_mixing)
    inward = 2 if config.activation == "swiglu" else 1
    widths = [(d, config.hidden_width)] * inward + [(config.hidden_width, d)]
    feed_forward = _linears(widths, config.bias)
    gains = d * (2 if config.bias and config.norm == "layernorm" else 1)
    norms = {"pre": sublayers + stacks, "post": sublayers, "none": 0}[config.norm_placement]
    own_embeddings = 1 if config.tie_embeddings else stacks

    found = {"token embedding": Cost(own_embeddings * vocabulary * d, 0)}
    if config.position == "learned":
        found["position embedding"] = Cost(stacks * config.context_length * d, 0)
    found["self-attention"] = _times(stacks * layers, attention)
    if two_stacks:
        found["cross-attention"] = _times(layers, attention)
    found["feed-forward"] = _times(stacks * layers, feed_forward)
    found["norms"] = Cost(norms * gains, 0)
    if config.n_classes is not None:
        classifier = _linears([(d, config.n_classes)], config.bias)
        found["head"] = Cost(classifier.parameters, classifier.multiply_adds / time)
    else:
        found["head"] = _head(config)
    return found


def _lstm(config: ModelConfig, time: int) -> dict[str, Cost]:
    """Per layer: four gates, each with d_model² weights from the input and as many from the state
    (Hochreiter 1997); nn.LSTM keeps one bias vector for each of the two.
    """
    layer = _linears([(config.d_model, 4 * config.d_model)] * 2, config.bias)
    return {
        "token embedding": Cost(config.vocab_size * config.d_model, 0),
        "recurrence": _times(config.n_layers, layer),
        "head": _head(config),
    }


def _mlp(config: ModelConfig, time: int) -> dict[str, Cost]:
    return {
        "token embedding": Cost(config.vocab_size * config.d_model, 0),
        "hidden layer": _linears([(config.mlp_window * config.d_model, config.d_ff)], config.bias),
        "head": _linears([(config.d_ff, config.vocab_size)], config.bias),
    }


def _bigram(config: ModelConfig, time: int) -> dict[str, Cost]:
    return {"counts": Cost(config.vocab_size**2, 0)}


_FAMILIES: dict[str, Callable[[ModelConfig, int], dict[str, Cost]]] = {
    "decoder": _transformer,
    "encoder": _transformer,
    "encoder_decoder": _transformer,
    "lstm": _lstm,
    "mlp": _mlp,
    "bigram": _bigram,
}


def _linears(shapes: list[tuple[int, int]], bias: bool, and_also: float = 0) -> Cost:
    """Linear layers of these (inputs, outputs); `and_also` more multiply-adds without weights."""
    weights = sum(inputs * outputs for inputs, outputs in shapes)
    return Cost(weights + bias * sum(outputs for _, outputs in shapes), weights + and_also)


def _head(config: ModelConfig) -> Cost:
    """The language-model head, whose weights, where tied, are counted as the embedding's."""
    head = _linears([(config.d_model, config.vocab_size)], bias=False)
    return Cost(0, head.multiply_adds) if config.tie_embeddings else head


def _times(n: int, cost: Cost) -> Cost:
    return Cost(n * cost.parameters, n * cost.multiply_adds)
