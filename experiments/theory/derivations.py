"""What can be derived about transformers, beside what is measured or counted: the table "theory".

A prediction of None says that the derivation does not reach there, and never zero.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, get_args

import torch
from torch import Tensor
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

_DEPTHS = (2, 4, 8, 16, 24)  # in layers, or in maps
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
    """The table, a dict per row; the same at every call, whatever was drawn before."""
    found = []
    for topic, compare in TOPICS.items():
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            torch.manual_seed(0)
            found += [{"topic": topic, **compared._asdict()} for compared in compare()]
    return found


def head_cost() -> Iterator[Comparison]:
    """Parameters and arithmetic of the attention sublayer with more and more heads of one width."""
    d, time = _CONFIG.d_model, _CONFIG.context_length
    for heads in (1, 2, 4, 8, 16):
        config = replace(_CONFIG, n_heads=heads)
        setting = f"n_heads = {heads}, d_k = {d // heads}"
        attention = SelfAttention(config, causal=True).to("meta")
        x = torch.zeros(1, time, d, device="meta")
        counted = sum(p.numel() for p in attention.parameters())
        flops = _flops(attention, x, NoPosition(config), None, None)
        yield Comparison(setting, "parameters", 4 * d**2 + 4 * d, counted)
        quantity = f"FLOPs per token of {time}"
        yield Comparison(setting, quantity, 8 * d**2 + 4 * time * d, flops / time)


def permutation() -> Iterator[Comparison]:
    """Attention to permuted input against attention, permuted; and what tells places apart."""
    d, time = _CONFIG.d_model, _CONFIG.context_length
    x, order = torch.randn(2, time, d).double(), torch.randperm(time)
    table = sinusoidal_table(time, d).double()
    for setting, causal, places, predicted in (
        ("no mask, no positions", False, 0 * table, 0.0),
        ("causal mask", True, 0 * table, None),
        ("sinusoidal positions", False, table, None),
    ):
        attention = SelfAttention(_CONFIG, causal).double()
        ahead, behind = (
            attention(y + places, NoPosition(_CONFIG), None, None) for y in (x, x[:, order])
        )
        moved = (ahead[:, order] - behind).abs().max().item()
        yield Comparison(setting, "largest difference", predicted, moved)


def residual_path() -> Iterator[Comparison]:
    """The gradient's norm at the input over that at the output: of random maps, and of stacks
    without norms at their initialisation, a layer of which is two sublayers.
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
    """What becomes of a random gradient at the last layer's output on its way to the input."""
    model: Any = build(
        replace(
            _CONFIG,
            n_layers=depth,
            residual=residual,
            initialisation=scheme,
            norm_placement="none",
        )
    ).double()
    tokens = torch.randint(_CONFIG.vocab_size, (2, _CONFIG.context_length))
    x = model.embedding(tokens).detach().requires_grad_()
    y = x
    for layer in model.layers:
        y = layer(y, model.position)
    at_output = torch.randn_like(y)
    (at_input,) = torch.autograd.grad(y, x, at_output)
    return float(at_input.norm() / at_output.norm())


def factorisation() -> Iterator[Comparison]:
    """Probabilities of all sequences that can follow a first token, summed."""
    symbols, time = 4, 5
    after = torch.tensor(list(itertools.product(range(symbols), repeat=time)))
    tokens = torch.cat([torch.zeros(len(after), 1, dtype=torch.long), after], dim=1)
    for masking in get_args(Masking):
        torch.manual_seed(0)  # the same weights under both masks
        # Xavier's are large enough for a leak to show.
        small = replace(_CONFIG, vocab_size=symbols, n_layers=2, initialisation="xavier")
        model = build(replace(small, masking=masking)).double()
        with torch.no_grad():
            logits: Tensor = model(tokens[:, :-1])  # [sequences, time, symbols]
        chosen = logits.log_softmax(-1).gather(-1, tokens[:, 1:, None])
        total = chosen.sum((1, 2)).exp().sum().item()
        setting = f"masked {masking.replace('_', ' the ')}"
        predicted = 1.0 if masking == "before_softmax" else None
        yield Comparison(setting, f"sum over {len(after):,} sequences", predicted, total)


def quadratic_cost() -> Iterator[Comparison]:
    """Arithmetic of attention's two products, and the length at which it is half of the layer."""
    for d, n in itertools.product((64,), (128, 256, 512, 1024)):
        quantity = f"FLOPs of the products, d = {d}"
        yield Comparison(f"n = {n}", quantity, 4 * n**2 * d, _products(d, n))
    for d in (64, 512):
        yield Comparison(f"d = {d}, d_ff = 4d", "n at half", 6 * d, _even_length(d))


def _products(d: int, time: int) -> int:
    """FLOPs of q kᵀ and of the weighted mean, counted in full for one sequence."""
    q = torch.zeros(1, 1, time, d, device="meta")
    return _flops(attend_reference, q, q, q, Scoring(scale=1.0))


def _even_length(d: int) -> int:
    """The least length at which the products take as much arithmetic as the rest of a layer."""
    with torch.device("meta"):
        model: Any = build(replace(_CONFIG, d_model=d, d_ff=4 * d))
    shortest, longest = 1, 32 * d
    while shortest < longest:
        time = (shortest + longest) // 2
        x = torch.zeros(1, time, d, device="meta")
        layer = _flops(model.layers[0], x, model.position)
        if 2 * _products(d, time) >= layer:
            longest = time
        else:
            shortest = time + 1
    return shortest


def _flops(run: Callable[..., object], *inputs: object) -> int:
    """Of the matrix products that `run` takes, by PyTorch's own count."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        run(*inputs)
    return int(counter.get_total_flops())


def parameter_counts() -> Iterator[Comparison]:
    """The first transformer by formula, as built, and as said: of base and big by Vaswani 2017
    (table 3), of the untied one by course notes.
    """
    base, big = PRESETS["vaswani-base"], PRESETS["vaswani-big"]
    untied = replace(base, vocab_size=32_000, tie_embeddings=False)
    for setting, config, matrices, said in (
        ("vaswani-base", base, 1, 65e6),
        ("vaswani-big", big, 1, 213e6),
        ("vaswani-base, 32,000 + 32,000 words untied", untied, 3, 65e6),
    ):
        d, d_ff, layers = config.d_model, config.d_ff, config.n_layers
        predicted = {  # a decoder's layer has a second attention, and a third norm
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
        yield Comparison(setting, "said", said, total)


def _component(name: str) -> str:
    """Of a parameter, by its name; a sublayer's norm lies within the sublayer."""
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
