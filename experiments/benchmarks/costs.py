"""Costs of computing on this machine: seconds, memory and FLOPs of attention, of the base network,
of norms and of generation; and of plain matrix products, which show the speed of the machine.

`python -m experiments.benchmarks.costs RESULTS PROFILE DEVICE` writes the table "costs" into a
results folder. Nothing else may run at the same time.
"""

import itertools
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, get_args

import torch
from torch import Tensor

from experiments.benchmarks.timing import (
    DTYPES,
    fastest_matrix_product,
    median_seconds,
    seconds_and_peak_bytes,
)
from experiments.profiles import PROFILES, SHAKESPEARE_CHARACTERS, Profile
from experiments.records.collect import write_table
from experiments.records.provenance import device_name
from experiments.running.devices import default_precision
from experiments.spec import Precision
from experiments.training.loss import cross_entropy
from experiments.training.torch_setup import autocast_context, configure_torch
from model import ModelConfig, build
from model.accounting import flops_per_token
from model.attention import KERNELS, Scoring
from model.cache import Cache
from model.config import AttentionKernel, Norm
from model.networks.generation import generate
from model.sublayer import norm

_NEW_TOKENS = 256  # per generation
_SECONDS, _BYTES = 2.0, 8e9  # limits of a single call
_KERNELS: tuple[AttentionKernel, ...] = ("reference", "fused")
_DIRECTIONS = ("forward", "both")  # without and with the backward pass


def _precision(device: torch.device) -> Precision:
    """bfloat16 on graphics cards, where float32 has no fused attention; float32 on processors,
    where bfloat16 has no fast one.
    """
    return "bf16" if device.type == "cuda" else "fp32"


class Effort(NamedTuple):
    """Sequence lengths in ascending order, number of repeats, and seconds of timing per repeat."""

    lengths: tuple[int, ...]
    repeats: int
    seconds: float


EFFORTS = dict.fromkeys(PROFILES, Effort((128, 256, 512, 1024, 2048, 4096), 5, seconds=0.06))
EFFORTS["smoke"] = Effort((128, 256, 512), 2, seconds=0.02)


class Measurement(NamedTuple):
    """A function to time. The other fields are columns of the table."""

    run: Callable[[], object]
    what: str
    direction: str | None = None
    length: int | None = None
    flops: float | None = None
    peak_bytes: int | None = None


def rows(profile: Profile, effort: Effort, device: torch.device) -> list[dict[str, Any]]:
    """Return the table, a dict per row.

    Everything is timed once, then everything again, so that a slow minute of the machine does not
    affect a single measurement. Memory does not vary: rows of repeat 0 have it, others have null.
    """
    base, table = profile.base_model(SHAKESPEARE_CHARACTERS), []
    measurements = [matrix_product(effort, device), *generations(base, device)]
    measurements += norm_layers(base, profile.recipe.batch_size, device)
    for make, kernel in itertools.product((attention, network), _KERNELS):
        config = replace(base, attention=kernel)
        measurements += lengthening(make, config, effort.lengths, device)
    for repeat, measurement in itertools.product(range(effort.repeats), measurements):
        row = measurement._asdict() | {"repeat": repeat}
        row["seconds"] = median_seconds(row.pop("run"), effort.seconds, device)
        table.append(row if repeat == 0 else row | {"peak_bytes": None})
    return table


def attention(base: ModelConfig, length: int, direction: str, device: torch.device) -> Measurement:
    """Causal attention of one sequence, all heads, from queries, keys and values.

    The FLOPs are those of the definition, masked half included, for every kernel.
    """
    dtype = DTYPES[_precision(device)]
    shape = (3, 1, base.n_heads, length, base.head_dim)
    q, k, v = torch.randn(shape, device=device, dtype=dtype, requires_grad=True)
    forward = partial(KERNELS[base.attention], q, k, v, Scoring(base.head_dim**-0.5), 0.0)
    flops = 4.0 * base.d_model * length**2 * (3 if direction == "both" else 1)
    run = partial(step, forward, [q, k, v], direction, device)
    return Measurement(run, f"attention {base.attention}", direction, length, flops)


def network(base: ModelConfig, length: int, direction: str, device: torch.device) -> Measurement:
    """The base network and its loss on one sequence, as in a training step."""
    model = build(replace(base, context_length=length)).to(device)
    tokens = torch.randint(base.vocab_size, (1, length), device=device)
    leaves = list(model.parameters())
    run = partial(step, lambda: cross_entropy(model(tokens), tokens), leaves, direction, device)
    flops = length * flops_per_token(base, length, backward=direction == "both")
    return Measurement(run, f"model {base.attention}", direction, length, flops)


def lengthening(
    make: Callable[..., Measurement],
    base: ModelConfig,
    lengths: Sequence[int],
    device: torch.device,
) -> Iterator[Measurement]:
    """Yield a measurement per length and direction, up to the length that reaches the limits."""
    for length in lengths:
        for direction in _DIRECTIONS:
            measurement = make(base, length, direction, device)
            seconds, peak = seconds_and_peak_bytes(measurement.run, device)
            yield measurement._replace(peak_bytes=peak)
        # Twice the length may take four times as much.
        if 4 * seconds > _SECONDS or 4 * (peak or 0) > _BYTES:
            return


def norm_layers(base: ModelConfig, batch_size: int, device: torch.device) -> Iterator[Measurement]:
    """Each kind of norm on the activations of a training step, [batch, time, d_model]."""
    x = torch.randn(batch_size, base.context_length, base.d_model, device=device).requires_grad_()
    for kind, direction in itertools.product(get_args(Norm), _DIRECTIONS):
        layer = norm(replace(base, norm=kind)).to(device)
        run = partial(step, partial(layer, x), [x, *layer.parameters()], direction, device)
        _, peak = seconds_and_peak_bytes(run, device)
        yield Measurement(run, kind, direction, peak_bytes=peak)


def generations(base: ModelConfig, device: torch.device) -> Iterator[Measurement]:
    """Greedy generation from one token, with `n_heads`, `n_heads / 2` and one key and value heads.

    The bytes are the size of the key-value cache at the end.
    """
    start = torch.zeros(1, 1, dtype=torch.long, device=device)
    kv_heads = {"multi-head": base.n_heads, "grouped": max(base.n_heads // 2, 1), "multi-query": 1}
    for name, heads in kv_heads.items():
        config = replace(base, n_kv_heads=heads, position="rope", context_length=_NEW_TOKENS)
        model, cache = build(config).to(device), Cache()
        run = partial(generate, model, start, _NEW_TOKENS, temperature=0.0)
        model(run()[:, :_NEW_TOKENS], cache=cache)  # the last token is never read
        flops = sum(flops_per_token(config, read + 1) for read in range(_NEW_TOKENS))
        yield Measurement(run, f"generation {name}", None, _NEW_TOKENS, flops, cache.nbytes)


def matrix_product(effort: Effort, device: torch.device) -> Measurement:
    """The fastest square matrix product, in the default precision of training."""
    sizes = (2048, 4096, 8192) if device.type == "cuda" else (512, 1024, 2048)
    precision = default_precision(device.type)
    run, flops, _ = fastest_matrix_product(sizes, precision, effort.seconds, device)
    return Measurement(run, "matmul", flops=flops)


def step(
    forward: Callable[[], Tensor], leaves: Sequence[Tensor], direction: str, device: torch.device
) -> None:
    """Call `forward`. Direction "both" computes gradients as well."""
    with autocast_context(_precision(device), device):
        y = forward()
    if direction == "both":
        torch.autograd.grad(y, leaves, torch.ones_like(y))


if __name__ == "__main__":
    configure_torch()
    torch.manual_seed(0)
    results, profile_name, device_kind = sys.argv[1:]
    table = rows(PROFILES[profile_name], EFFORTS[profile_name], torch.device(device_kind))
    name = {"device_name": device_name(device_kind)}
    write_table(Path(results), "costs", [row | name for row in table])
