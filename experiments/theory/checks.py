"""Exact claims about transformers, checked without training: the table "identities"."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, get_args

import torch

from model import ModelConfig, build
from model.attention import Scoring, attention_weights
from model.cache import Cache
from model.config import Masking

_EXACT = 1e-12  # largest rounding error in float64
_CONFIG = ModelConfig(
    vocab_size=50, context_length=32, d_model=64, n_layers=2, n_heads=4, d_ff=256, position="none"
)

Theory = Sequence[dict[str, Any]]  # rows of the table "theory"


class Check(NamedTuple):
    """Whether a claim holds, and the numbers that decide it."""

    holds: bool
    why: str


def rows(theory: Theory) -> list[dict[str, Any]]:
    """Return the table "identities", a dict per row, given the rows of the table "theory"."""
    return [{"check": name, **check(theory)._asdict()} for name, check in CHECKS.items()]


def permutation(theory: Theory) -> Check:
    """Attention is permutation-equivariant without a mask, and not with a causal mask."""
    differences = _measured(theory, "permutation", "largest difference")
    unmasked, causal = differences["no mask, no positions"], differences["causal mask"]
    return Check(
        unmasked < _EXACT < causal,
        f"largest difference {unmasked:.1e} without a mask, {causal:.1e} with the causal one",
    )


def mask_placement(_: Theory) -> Check:
    """Masking after the softmax leaks later tokens, and its weights do not sum to one."""
    leaks, least_sums = {}, {}
    for masking in get_args(Masking):
        torch.manual_seed(0)
        config = dataclasses.replace(_CONFIG, attention="reference", masking=masking)
        model, tokens = build(config).double(), torch.randint(50, (2, 32))
        changed = tokens.clone()
        changed[:, -1] = (changed[:, -1] + 1) % 50
        leaks[masking] = (model(tokens)[:, :-1] - model(changed)[:, :-1]).abs().max().item()
        q, k = torch.randn(2, 1, 4, 32, 16).double()
        weights = attention_weights(q, k, Scoring(0.25, masking=masking))
        least_sums[masking] = weights.sum(-1).min().item()
    leak_before, leak_after = leaks["before_softmax"], leaks["after_softmax"]
    sum_before, sum_after = least_sums["before_softmax"], least_sums["after_softmax"]
    return Check(
        leak_before == 0 < leak_after and abs(sum_before - 1) < _EXACT and sum_after < 1 - _EXACT,
        f"after the softmax a later token moves earlier logits by {leak_after:.1e} and rows sum to"
        f" as little as {sum_after:.2f}; before it, by {leak_before:g}, and all sum to one",
    )


def head_cost(theory: Theory) -> Check:
    """The number of heads changes neither the parameters nor the FLOPs of attention."""
    parameters = _measured(theory, "head-cost", "parameters").values()
    flops = _measured(theory, "head-cost", "FLOPs per token of 32").values()
    return Check(
        len(set(parameters)) == len(set(flops)) == 1,
        f"attention has {max(parameters):,} parameters and takes {max(flops):,.0f} FLOPs per token"
        " with 1, 2, 4, 8 or 16 heads",
    )


def base_size(theory: Theory) -> Check:
    """The base encoder-decoder has 65 million parameters with one embedding of 37,000 tokens."""
    return _said_size(theory, "vaswani-base")


def base_size_untied(theory: Theory) -> Check:
    """The base encoder-decoder has 65 million parameters with 32,000 + 32,000 untied words."""
    return _said_size(theory, "vaswani-base, 32,000 + 32,000 words untied")


def _said_size(theory: Theory, setting: str) -> Check:
    count = _measured(theory, "parameter-counts", "said")[setting]
    return Check(abs(count / 65e6 - 1) < 0.05, f"{count:,} parameters, counted")


def score_variance(theory: Theory) -> Check:
    """The variance of q · k is d_k for unit normal q and k of width d_k."""
    ratios = _measured(theory, "scaled-dot-products", "variance of q · k / √d_k")
    listed = ", ".join(f"{ratio:.3f} for {setting}" for setting, ratio in ratios.items())
    return Check(
        all(abs(ratio - 1) < 0.05 for ratio in ratios.values()), f"variance over d_k is {listed}"
    )


def kv_cache(_: Theory) -> Check:
    """The bytes of a key-value cache are proportional to the number of key and value heads."""
    sizes = []
    for heads in (4, 2, 1):
        cache = Cache()
        model = build(dataclasses.replace(_CONFIG, n_kv_heads=heads)).eval()
        model(torch.zeros(1, 32, dtype=torch.long), cache)
        sizes.append(cache.nbytes)
    return Check(
        sizes[0] == 2 * sizes[1] == 4 * sizes[2],
        f"{', '.join(f'{size:,}' for size in sizes)} bytes with 4, 2 and 1 heads of keys and values"
        " for 4 of queries",
    )


CHECKS: dict[str, Callable[[Theory], Check]] = {
    "permutation": permutation,
    "mask-place": mask_placement,
    "head-cost": head_cost,
    "base-size": base_size,
    "base-size-untied": base_size_untied,
    "score-variance": score_variance,
    "kv-cache": kv_cache,
}


def _measured(theory: Theory, topic: str, quantity: str) -> dict[str, Any]:
    """Return the measured values of a topic and quantity, by setting."""
    return {
        row["setting"]: row["measured"]
        for row in theory
        if row["topic"] == topic and row["quantity"] == quantity
    }
