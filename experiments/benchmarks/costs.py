"""What computing costs on this machine: seconds, memory and arithmetic of attention, of the base
network, of norms and of generation; and of plain matrix products, which say how fast it can be.

`python -m experiments.benchmarks.costs RESULTS PROFILE DEVICE` writes the table "costs" into a results folder.
It must have the machine to itself.
"""

import ctypes
import itertools
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, get_args

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from experiments.profiles import PROFILES, SHAKESPEARE_CHARACTERS, Profile
from experiments.records.collect import write_table
from experiments.records.provenance import default_precision, device_name
from experiments.training.loss import cross_entropy
from experiments.training.torch_setup import autocast_context, configure_torch
from model import ModelConfig, build
from model.accounting import flops_per_token
from model.attention import KERNELS, Scoring
from model.cache import Cache
from model.config import AttentionKernel, Norm
from model.networks.generation import generate
from model.sublayer import norm

_NEW_TOKENS = 256  # that are generated
_SECONDS, _BYTES = 2.0, 8e9  # that one run may take
_DIRECTIONS = ("forward", "both")  # without and with the backward pass
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}  # what is multiplied, by precision


class Effort(NamedTuple):
    """How much is measured: sequence lengths, ascending; how often; seconds of timing each time."""

    lengths: tuple[int, ...]
    repeats: int
    seconds: float


EFFORTS = dict.fromkeys(PROFILES, Effort((128, 256, 512, 1024, 2048, 4096), 5, seconds=0.06))
EFFORTS["smoke"] = Effort((128, 256, 512), 2, seconds=0.02)


class Measurement(NamedTuple):
    """Something to measure: `run` does it once. The rest are columns of the table."""

    run: Callable[[], object]
    what: str
    direction: str | None = None
    length: int | None = None
    flops: float | None = None
    peak_bytes: int | None = None


def rows(profile: Profile, effort: Effort, device: torch.device) -> list[dict[str, Any]]:
    """The table. All is timed once, then all again, so that a slow minute of the machine does not
    hit one thing alone; memory, which does not vary, stands in the rows of repeat 0.
    """
    base, found = profile.base_model(SHAKESPEARE_CHARACTERS), []
    jobs = [matrix_product(effort, device), *generations(base, device)]
    jobs += norm_layers(base, profile.recipe.batch_size, device)
    for make, kernel in itertools.product((attention, network), get_args(AttentionKernel)):
        jobs += lengthening(make, replace(base, attention=kernel), effort.lengths, device)
    for repeat, job in itertools.product(range(effort.repeats), jobs):
        row = job._asdict() | {"repeat": repeat}
        row["seconds"] = timed(row.pop("run"), effort.seconds, device)
        found.append(row if repeat == 0 else row | {"peak_bytes": None})
    return found


def attention(base: ModelConfig, length: int, direction: str, device: torch.device) -> Measurement:
    """Scores, softmax and mixing of one sequence's queries, keys and values, all heads, causal;
    the arithmetic is the definition's, its masked half included, whatever the kernel does.
    """
    dtype = DTYPES[default_precision(device.type)]
    shape = (3, 1, base.n_heads, length, base.head_dim)
    q, k, v = torch.randn(shape, device=device, dtype=dtype, requires_grad=True)
    forward = partial(KERNELS[base.attention], q, k, v, Scoring(base.head_dim**-0.5), 0.0)
    flops = 4.0 * base.d_model * length**2 * (3 if direction == "both" else 1)
    run = partial(step, forward, [q, k, v], direction, device)
    return Measurement(run, f"attention {base.attention}", direction, length, flops)


def network(base: ModelConfig, length: int, direction: str, device: torch.device) -> Measurement:
    """The base network and its loss on one sequence, as a training step computes them."""
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
    """A job for each length and direction, while the next length is sure to be bearable."""
    for length in lengths:
        for direction in _DIRECTIONS:
            job = make(base, length, direction, device)
            seconds, peak = tried(job.run, device)
            yield job._replace(peak_bytes=peak)
        if 4 * seconds > _SECONDS or 4 * (peak or 0) > _BYTES:  # as twice the length may take
            return


def norm_layers(base: ModelConfig, batch_size: int, device: torch.device) -> Iterator[Measurement]:
    """Each norm on the activations of one training step, [batch, time, d_model]."""
    x = torch.randn(batch_size, base.context_length, base.d_model, device=device).requires_grad_()
    for kind, direction in itertools.product(get_args(Norm), _DIRECTIONS):
        layer = norm(replace(base, norm=kind)).to(device)
        run = partial(step, partial(layer, x), [x, *layer.parameters()], direction, device)
        yield Measurement(run, kind, direction, peak_bytes=tried(run, device)[1])


def generations(base: ModelConfig, device: torch.device) -> Iterator[Measurement]:
    """Greedy generation from one token, with as many key and value heads as there are heads, half
    as many, and one. The bytes are what a cache holds of all that was read.
    """
    start = torch.zeros(1, 1, dtype=torch.long, device=device)
    shared = {"multi-head": base.n_heads, "grouped": max(base.n_heads // 2, 1), "multi-query": 1}
    for name, heads in shared.items():
        config = replace(base, n_kv_heads=heads, position="rope", context_length=_NEW_TOKENS)
        model, cache = build(config).to(device), Cache()
        run = partial(generate, model, start, _NEW_TOKENS, temperature=0.0)
        model(run()[:, :_NEW_TOKENS], cache=cache)  # the last token is written, and never read
        flops = sum(flops_per_token(config, read + 1) for read in range(_NEW_TOKENS))
        yield Measurement(run, f"generation {name}", None, _NEW_TOKENS, flops, cache.nbytes)


def matrix_product(effort: Effort, device: torch.device) -> Measurement:
    """Of some square matrix products the one that computes fastest: what the machine can do."""
    dtype = DTYPES[default_precision(device.type)]
    sizes = (2048, 4096, 8192) if device.type == "cuda" else (512, 1024, 2048)
    runs = {n: partial(torch.matmul, *torch.randn(2, n, n, device=device).to(dtype)) for n in sizes}
    best = max(runs, key=lambda n: n**3 / timed(runs[n], effort.seconds, device))
    return Measurement(runs[best], "matmul", flops=2.0 * best**3)


def step(
    forward: Callable[[], Tensor], leaves: Sequence[Tensor], direction: str, device: torch.device
) -> None:
    """A forward pass in the precision of training; in both directions, also the gradients."""
    with autocast_context(default_precision(device.type), device):
        y = forward()
    if direction == "both":
        torch.autograd.grad(y, leaves, torch.ones_like(y))


def timed(run: Callable[[], object], enough: float, device: torch.device) -> float:
    """Median seconds of as many runs as take `enough` together, after a first, which warms up."""
    taken: list[float] = []
    while len(taken) < 2 or sum(taken) < enough:
        began = time.perf_counter()
        run()
        if device.type != "cpu":
            torch.accelerator.synchronize()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken[1:])


def tried(run: Callable[[], object], device: torch.device) -> tuple[float, int | None]:
    """Seconds of a run, and the most bytes it held at a time; None where nothing counts them."""
    if device.type == "cuda":
        run()  # libraries take their workspace at first use, and keep it
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        return timed(run, 0.0, device), torch.cuda.max_memory_allocated(device) - before
    if device.type != "cpu":
        return timed(run, 0.0, device), None
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        seconds = timed(run, 0.0, device)
    results: Any = profiler.profiler and profiler.profiler.kineto_results
    # an event for whatever was given, a kernel's scratch included, and one when it was given back
    changes = (event.nbytes() for event in results.events() if event.name() == "[memory]")
    return seconds, max(itertools.accumulate(changes, initial=0))


if __name__ == "__main__":
    if sys.platform == "linux":  # keep what is freed: to have large tensors' pages cleared anew
        libc = ctypes.CDLL(None)  # each time would take longer than the arithmetic
        libc.mallopt(-4, 0)  # M_MMAP_MAX
        libc.mallopt(-1, -1)  # M_TRIM_THRESHOLD
    configure_torch()
    torch.manual_seed(0)
    found = rows(PROFILES[sys.argv[2]], EFFORTS[sys.argv[2]], torch.device(sys.argv[3]))
    measured = {"device_name": device_name(sys.argv[3])}
    write_table(Path(sys.argv[1]), "costs", [row | measured for row in found])
