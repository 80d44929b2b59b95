"""Parameters, FLOPs and cache size of a network, counted from its config without torch.

FLOPs are those of the matrix products, with a multiply and an add counted as two. Embedding
look-ups, norms, softmax and activations are left out, as is usual (Kaplan 2020, section 2.1).

A network with parts of one's own has no formulas. It is built on the device "meta", and PyTorch
counts its parameters and its matrix products: see `model.counting`. Its cache is not known.
"""

from collections.abc import Callable
from typing import NamedTuple

from model.config import ModelConfig


class Cost(NamedTuple):
    """Trainable parameters of a component, and its multiply-adds per token."""

    parameters: int
    multiply_adds: float


def parameters_by_component(config: ModelConfig) -> dict[str, int]:
    """Trainable parameters of `build(config)` by component.

    A tied matrix is counted once, as the token embedding. For the bigram, the size of its table of
    counts.
    """
    return {name: cost.parameters for name, cost in components(config).items()}


def parameter_count(config: ModelConfig) -> int:
    """Number of trainable parameters of `build(config)`, a tied matrix counted once."""
    return sum(parameters_by_component(config).values())


def flops_by_component(config: ModelConfig, time: int | None = None) -> dict[str, float]:
    """FLOPs per token of a forward pass by component.

    The sequence has `time` tokens, by default `context_length`. For an encoder-decoder the FLOPs
    are those of one source token and one target token together, in sequences of `time` tokens each.
    Attention is counted in full, although a causal kernel may skip the masked half.
    """
    return {name: 2 * cost.multiply_adds for name, cost in components(config, time).items()}


def flops_per_token(config: ModelConfig, time: int | None = None, backward: bool = False) -> float:
    """FLOPs per token of a forward pass, or of a training step with `backward`.

    The backward pass has two matrix products for every one of the forward pass, one for each
    factor. An exception is the first step of an LSTM, whose zero state needs no gradient. `time` is
    as in `flops_by_component`.
    """
    forward = sum(flops_by_component(config, time).values())
    if not backward:
        return forward
    spared = 8 * config.n_layers * config.d_model**2 if config.family == "lstm" else 0
    return 3 * forward - spared / (time or config.context_length)


def cache_bytes(config: ModelConfig, time: int, bytes_per_number: int = 4) -> int:
    """Size of the cache after `time` tokens of one sequence, in bytes.

    The cache of a decoder has 2 · n_layers · kv_heads · head_dim · time numbers, the keys and
    values of every layer. An encoder-decoder has as many again for a source of the same length. The
    caches of LSTM and MLP do not grow with `time`.
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
    """Cost of every component of the network. `time` is as in `flops_by_component`. A network with
    parts of one's own has one component, the whole of it.
    """
    if config.custom.keys() - {"initialisation"}:
        from model.counting import counted  # takes torch, and time

        return {"network": Cost(*counted(config, time or config.context_length))}
    return _FAMILIES[config.family](config, time or config.context_length)


def _transformer(config: ModelConfig, time: int) -> dict[str, Cost]:
    """Per layer and stack: attention with 4·d_model² weights (fewer with shared keys and values),
    feed-forward with 2·d_model·d_ff weights, biases, and one norm per sublayer.
    """
    d, layers, vocabulary = config.d_model, config.n_layers, config.vocab_size
    two_stacks = config.family == "encoder_decoder"
    stacks = 2 if two_stacks else 1
    sublayers = layers * (5 if two_stacks else 2)

    kv_width = config.kv_heads * config.head_dim
    scores_and_mixing = 2 * d * time  # per token: q kᵀ, and the weighted mean of the values
    projections = [(d, d), (d, kv_width), (d, kv_width), (d, d)]
    attention = _linears(projections, config.bias, weightless=scores_and_mixing)
    # Gains of queries and keys, and the score of a sink, have no product.
    extra = 2 * config.head_dim * config.qk_norm + config.n_heads * config.sinks
    self_attention = Cost(attention.parameters + extra, attention.multiply_adds)
    inward = 2 if config.activation == "swiglu" else 1
    widths = [(d, config.hidden_width)] * inward + [(config.hidden_width, d)]
    feed_forward = _linears(widths, config.bias)
    gains = d * (2 if config.bias and config.norm == "layernorm" else 1)
    norms = {
        "pre": sublayers + stacks,
        "post": sublayers,
        "sandwich": 2 * sublayers + stacks,
        "none": 0,
    }[config.norm_placement]
    branch_gains = {"none": 0, "rezero": 1, "layerscale": d}[config.branch_gain]
    embeddings = 1 if config.tie_embeddings else stacks

    costs = {"token embedding": Cost(embeddings * vocabulary * d, 0)}
    if config.position == "learned":
        costs["position embedding"] = Cost(stacks * config.context_length * d, 0)
    costs["self-attention"] = _times(stacks * layers, self_attention)
    if two_stacks:
        costs["cross-attention"] = _times(layers, attention)
    costs["feed-forward"] = _times(stacks * layers, feed_forward)
    costs["norms"] = Cost(norms * gains, 0)
    if branch_gains:
        costs["branch gains"] = Cost(sublayers * branch_gains, 0)
    if config.n_classes is not None:
        classifier = _linears([(d, config.n_classes)], config.bias)
        costs["head"] = Cost(classifier.parameters, classifier.multiply_adds / time)
    else:
        costs["head"] = _head(config)
    return costs


def _lstm(config: ModelConfig, time: int) -> dict[str, Cost]:
    """Per layer: four gates, each with d_model² weights for the input and d_model² for the state
    (Hochreiter 1997). nn.LSTM has a bias vector for the input and one for the state.
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


def _linears(shapes: list[tuple[int, int]], bias: bool, weightless: float = 0) -> Cost:
    """Linear layers of these (inputs, outputs), plus `weightless` multiply-adds without weights."""
    weights = sum(inputs * outputs for inputs, outputs in shapes)
    return Cost(weights + bias * sum(outputs for _, outputs in shapes), weights + weightless)


def _head(config: ModelConfig) -> Cost:
    """Language-model head. Tied weights are counted with the token embedding."""
    head = _linears([(config.d_model, config.vocab_size)], bias=False)
    return Cost(0, head.multiply_adds) if config.tie_embeddings else head


def _times(n: int, cost: Cost) -> Cost:
    return Cost(n * cost.parameters, n * cost.multiply_adds)
