"""Claims that need no training: each is checked exactly, or counted.

`python -m experiments.theory.checks RESULTS` writes the table "identities" into a results folder, and
the tables "theory", of derivations beside measurements, and "encodings".
"""

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, get_args

import torch

from experiments.records.collect import write_table
from experiments.theory import derivations as theory
from experiments.theory import encodings
from model import ModelConfig, build, parameter_count
from model.accounting import flops_per_token
from model.attention import Scoring, SelfAttention, attention_weights
from model.cache import Cache
from model.config import Masking
from model.position import NoPosition
from model.presets import PRESETS

_EXACT = 1e-12  # what float64 may lose
_CONFIG = ModelConfig(
    vocab_size=50, context_length=32, d_model=64, n_layers=2, n_heads=4, d_ff=256, position="none"
)


class Checked(NamedTuple):
    """Whether a claim holds, and the numbers that say so."""

    holds: bool
    why: str


def permutation() -> Checked:
    """Attention to shuffled positions against attention, shuffled; and under a causal mask."""
    torch.manual_seed(0)
    x, order = torch.randn(2, 32, _CONFIG.d_model).double(), torch.randperm(32)
    moved = []
    for causal in (False, True):
        attention = SelfAttention(_CONFIG, causal).double()
        one, other = (attention(y, NoPosition(_CONFIG), None, None) for y in (x, x[:, order]))
        moved.append((one[:, order] - other).abs().max().item())
    return Checked(
        moved[0] < _EXACT < moved[1],
        f"largest difference {moved[0]:.1e} without a mask, {moved[1]:.1e} with the causal one",
    )


def mask_placement() -> Checked:
    """What a change of the last token does to the outputs before it, and what rows sum to."""
    found = {}
    for masking in get_args(Masking):
        torch.manual_seed(0)
        config = dataclasses.replace(_CONFIG, attention="reference", masking=masking)
        model, tokens = build(config).double(), torch.randint(50, (2, 32))
        other = tokens.clone()
        other[:, -1] = (other[:, -1] + 1) % 50
        leak = (model(tokens)[:, :-1] - model(other)[:, :-1]).abs().max().item()
        q, k = torch.randn(2, 1, 4, 32, 16).double()
        rows = attention_weights(q, k, Scoring(0.25, masking=masking)).sum(-1)
        found[masking] = (leak, rows.min().item())
    (before, whole), (after, least) = found["before_softmax"], found["after_softmax"]
    return Checked(
        before == 0 and after > 0 and abs(whole - 1) < _EXACT and least < 1 - _EXACT,
        f"after the softmax a later token moves earlier logits by {after:.1e} and rows sum to as"
        f" little as {least:.2f}; before it, by {before:g}, and all sum to one",
    )


def head_cost() -> Checked:
    """Parameters and FLOPs of one to sixteen heads of one width."""
    configs = [dataclasses.replace(_CONFIG, n_heads=n) for n in (1, 2, 4, 8, 16)]
    costs = {(parameter_count(config), flops_per_token(config)) for config in configs}
    parameters, flops = next(iter(costs))
    return Checked(
        len(costs) == 1,
        f"{parameters:,} parameters and {flops:,.0f} FLOPs per token with 1, 2, 4, 8 or 16 heads",
    )


def base_size() -> Checked:
    """The base encoder-decoder as its paper has it: one embedding of 37,000 word pieces."""
    count = parameter_count(PRESETS["vaswani-base"])
    return Checked(abs(count / 65e6 - 1) < 0.05, f"{count:,} parameters, counted")


def base_size_untied() -> Checked:
    """The same with 32,000 source and 32,000 target words, nothing shared, as in courses."""
    base = PRESETS["vaswani-base"]
    count = parameter_count(dataclasses.replace(base, vocab_size=32_000, tie_embeddings=False))
    return Checked(abs(count / 65e6 - 1) < 0.05, f"{count:,} parameters, counted")


def score_variance() -> Checked:
    """Variance of q · k for unit normal q and k, against its width."""
    torch.manual_seed(0)
    ratios = []
    for width in (4, 16, 64, 256):
        q, k = torch.randn(2, 100_000, width)
        ratios.append(((q * k).sum(-1).var() / width).item())
    told = ", ".join(f"{ratio:.3f}" for ratio in ratios)
    return Checked(
        all(abs(ratio - 1) < 0.05 for ratio in ratios),
        f"variance over d_k is {told} for d_k = 4, 16, 64, 256",
    )


def kv_cache() -> Checked:
    """Bytes that a cache holds after reading 32 tokens, with fewer and fewer heads of keys and
    values.
    """
    held = []
    for heads in (4, 2, 1):
        config = dataclasses.replace(_CONFIG, n_kv_heads=heads)
        cache = Cache()
        build(config).eval()(torch.zeros(1, 32, dtype=torch.long), cache)
        held.append(cache.nbytes)
    told = ", ".join(f"{n:,}" for n in held)
    return Checked(
        held[0] == 2 * held[1] == 4 * held[2],
        f"{told} bytes with 4, 2 and 1 heads of keys and values for 4 of queries",
    )


CHECKS: dict[str, Callable[[], Checked]] = {
    "permutation": permutation,
    "mask-place": mask_placement,
    "head-cost": head_cost,
    "base-size": base_size,
    "base-size-untied": base_size_untied,
    "score-variance": score_variance,
    "kv-cache": kv_cache,
}


def main(results: Path) -> None:
    """Check all, and write the tables."""
    with torch.no_grad():
        rows = [{"check": name, **check()._asdict()} for name, check in CHECKS.items()]
        write_table(results, "encodings", encodings.rows())
    write_table(results, "identities", rows)
    write_table(results, "theory", theory.rows())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
