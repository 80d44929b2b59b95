"""Derivations about transformers, beside measurements and counts: the table "theory".

A prediction of None means that the derivation makes no prediction. None never means zero.
"""

import bisect
import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, get_args

import torch
from torch.utils.flop_counter import FlopCounterMode

from experiments.theory.random_models import (
    Comparison,
    scaled_dot_products,
    softmax_saturation,
    through_maps,
)
from model import ModelConfig, build
from model.attention import Scoring, SelfAttention, attend_reference
from model.config import Initialisation, Masking
from model.position import NoPosition, sinusoidal_table
from model.presets import PRESETS

_DEPTHS = (2, 4, 8, 16, 24)  # layers or random maps
_GAIN = 0.5  # of random maps
_CONFIG = ModelConfig(
    vocab_size=50,
    context_length=32,
    d_model=64,
    n_layers=1,
    n_heads=4,
    d_ff=256,
    position="none",
    attention="reference",
)


def rows() -> list[dict[str, Any]]:
    """Return the table, a dict per row. The random state neither matters nor changes."""
    table = []
    for topic, compare in TOPICS.items():
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            torch.manual_seed(0)
            table += [{"topic": topic, **comparison._asdict()} for comparison in compare()]
    return table


def head_cost() -> Iterator[Comparison]:
    """Parameters and FLOPs of the attention sublayer for 1 to 16 heads at one d_model."""
    d, time = _CONFIG.d_model, _CONFIG.context_length
    for heads in (1, 2, 4, 8, 16):
        config = replace(_CONFIG, n_heads=heads)
        setting = f"n_heads = {heads}, d_k = {d // heads}"
        attention = SelfAttention(config).to("meta")
        x = torch.zeros(1, time, d, device="meta")
        counted = sum(p.numel() for p in attention.parameters())
        flops = _flops(attention, x, NoPosition(config), Scoring(config.head_dim**-0.5), None)
        yield Comparison(setting, "parameters", 4 * d**2 + 4 * d, counted)
        quantity = f"FLOPs per token of {time}"
        yield Comparison(setting, quantity, 8 * d**2 + 4 * time * d, flops / time)


def permutation() -> Iterator[Comparison]:
    """Attention of a permuted input, against the permuted attention of the input."""
    d, time = _CONFIG.d_model, _CONFIG.context_length
    x, order = torch.randn(2, time, d).double(), torch.randperm(time)
    table = sinusoidal_table(time, d).double()
    for setting, causal, positions, predicted in (
        ("no mask, no positions", False, 0 * table, 0.0),
        ("causal mask", True, 0 * table, None),
        ("sinusoidal positions", False, table, None),
    ):
        attention, position = SelfAttention(_CONFIG).double(), NoPosition(_CONFIG)
        scoring = Scoring(_CONFIG.head_dim**-0.5, causal, bias=position.bias(time, time))
        y = attention(x + positions, position, scoring, None)
        y_permuted = attention(x[:, order] + positions, position, scoring, None)
        difference = (y[:, order] - y_permuted).abs().max().item()
        yield Comparison(setting, "largest difference", predicted, difference)


def residual_path() -> Iterator[Comparison]:
    """The gradient norm at the input over the gradient norm at the output, against depth.

    Compared are products of random maps, and stacks without norms at their initialisation. A layer
    of a stack is two sublayers.
    """
    quantity = "gradient norm, input over output"
    for depth in _DEPTHS:
        for name, gain, residual in (
            (f"maps of gain {_GAIN}, no residual", _GAIN, False),
            (f"maps of gain {_GAIN}, residual", _GAIN, True),
            ("maps of gain 1/√depth, residual", depth**-0.5, True),
        ):
            predicted = (gain**2 + residual) ** (depth / 2)
            measured = through_maps(depth, gain, residual)
            yield Comparison(f"depth = {depth}, {name}", quantity, predicted, measured)
        for scheme, residual in itertools.product(get_args(Initialisation), (False, True)):
            name = f"network ({scheme}), {'residual' if residual else 'no residual'}"
            measured = _through_stack(depth, scheme, residual)
            yield Comparison(f"depth = {depth}, {name}", quantity, None, measured)


def _through_stack(depth: int, scheme: Initialisation, residual: bool) -> float:
    """Norm of a random output gradient after it is propagated back to the input, as a ratio."""
    config = replace(_CONFIG, n_layers=depth, residual=residual, initialisation=scheme)
    model: Any = build(replace(config, norm_placement="none")).double()
    tokens = torch.randint(_CONFIG.vocab_size, (2, _CONFIG.context_length))
    x = model.embedding(tokens).detach().requires_grad_()
    y = x
    for layer in model.layers:
        y = layer(y, model.position, Scoring(model.attention_scale))
    at_output = torch.randn_like(y)
    (at_input,) = torch.autograd.grad(y, x, at_output)
    return float(at_input.norm() / at_output.norm())


def factorisation() -> Iterator[Comparison]:
    """Sum of the probabilities of all sequences that can follow a first token."""
    symbols, time = 4, 5
    after = torch.tensor(list(itertools.product(range(symbols), repeat=time)))
    tokens = torch.cat([torch.zeros(len(after), 1, dtype=torch.long), after], dim=1)
    for masking in get_args(Masking):
        torch.manual_seed(0)  # the same weights under both masks
        # Xavier weights are large enough for a leak to show.
        small = replace(_CONFIG, vocab_size=symbols, n_layers=2, initialisation="xavier")
        model = build(replace(small, masking=masking)).double()
        with torch.no_grad():
            logits = model(tokens[:, :-1])  # [sequences, time, symbols]
        log_probabilities = logits.log_softmax(-1).gather(-1, tokens[:, 1:, None])
        total = log_probabilities.sum((1, 2)).exp().sum().item()
        setting = f"masked {masking.replace('_', ' the ')}"
        predicted = 1.0 if masking == "before_softmax" else None
        yield Comparison(setting, f"sum over {len(after):,} sequences", predicted, total)


def quadratic_cost() -> Iterator[Comparison]:
    """FLOPs of attention's two products, and the length at which they are half of a layer's."""
    for n in (128, 256, 512, 1024):
        quantity = "FLOPs of the products, d = 64"
        yield Comparison(f"n = {n}", quantity, 4 * n**2 * 64, _products(64, n))
    for d in (64, 512):
        yield Comparison(f"d = {d}, d_ff = 4d", "n at half", 6 * d, _half_length(d))


def _products(d: int, time: int) -> int:
    """FLOPs of q kᵀ and of the weighted mean for one sequence, masked products included."""
    q = torch.zeros(1, 1, time, d, device="meta")
    return _flops(attend_reference, q, q, q, Scoring(scale=1.0))


def _half_length(d: int) -> int:
    """The shortest sequence for which the products take half of a layer's FLOPs."""
    with torch.device("meta"):
        model: Any = build(replace(_CONFIG, d_model=d, d_ff=4 * d))

    def reaches_half(time: int) -> bool:
        x = torch.zeros(1, time, d, device="meta")
        return 2 * _products(d, time) >= _flops(
            model.layers[0], x, model.position, Scoring(model.attention_scale)
        )

    lengths = range(1, 32 * d)
    return lengths[bisect.bisect_left(lengths, True, key=reaches_half)]


def _flops(run: Callable[..., object], *inputs: object) -> int:
    """FLOPs of the matrix products in `run(*inputs)`, as PyTorch counts them."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        run(*inputs)
    return int(counter.get_total_flops())


def parameter_counts() -> Iterator[Comparison]:
    """Parameters of the first transformer: by formula, as built, and as published.

    Base and big are published by Vaswani 2017 (table 3), the untied network by course notes.
    """
    base, big = PRESETS["vaswani-base"], PRESETS["vaswani-big"]
    untied = replace(base, vocab_size=32_000, tie_embeddings=False)
    for setting, config, matrices, published in (
        ("vaswani-base", base, 1, 65e6),
        ("vaswani-big", big, 1, 213e6),
        ("vaswani-base, 32,000 + 32,000 words untied", untied, 3, 65e6),
    ):
        d, d_ff, layers = config.d_model, config.d_ff, config.n_layers
        predicted = {  # a decoder layer has a second attention and a third norm
            "attention": 3 * layers * (4 * d**2 + 4 * d),
            "feed-forward": 2 * layers * (2 * d * d_ff + d_ff + d),
            "norms": 5 * layers * 2 * d,
            "embeddings": matrices * config.vocab_size * d,
        }
        counted = dict.fromkeys(predicted, 0)
        with torch.device("meta"):
            model = build(config)
        for name, parameter in model.named_parameters():
            counted[_component(name)] += parameter.numel()
        for component, formula in predicted.items():
            yield Comparison(setting, component, formula, counted[component])
        total = sum(counted.values())
        yield Comparison(setting, "total", sum(predicted.values()), total)
        yield Comparison(setting, "said", published, total)


def _component(name: str) -> str:
    """The component that a parameter belongs to. A norm is named after its sublayer as well."""
    parts = {"norm": "norms", "attention": "attention", "feed_forward": "feed-forward"}
    return next((parts[part] for part in parts if part in name), "embeddings")


TOPICS: dict[str, Callable[[], Iterator[Comparison]]] = {
    "scaled-dot-products": scaled_dot_products,
    "softmax-saturation": softmax_saturation,
    "head-cost": head_cost,
    "permutation": permutation,
    "residual-path": residual_path,
    "factorisation": factorisation,
    "quadratic-cost": quadratic_cost,
    "parameter-counts": parameter_counts,
}
