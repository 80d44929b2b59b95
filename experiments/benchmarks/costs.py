"""Seconds, memory and FLOPs of attention, norms, generation and training steps.

The base network is measured too, and so are plain matrix products, which show the speed of the
machine. `python -m experiments.benchmarks.costs RESULTS DEVICE` measures one block, and appends it
to the table "costs" of a results folder. Nothing else may run at the same time.
"""

import datetime
import itertools
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple, get_args

import pandas as pd
import torch
from torch import Tensor

from experiments.benchmarks.blocks import compared_names
from experiments.benchmarks.timing import (
    DTYPES,
    fastest_matrix_product,
    median_seconds,
    seconds_and_peak_bytes,
)
from experiments.benchmarks.training_steps import step_function, step_specs
from experiments.errors import UserError
from experiments.profiles import PROFILES
from experiments.recipe import Precision
from experiments.records.collect import append_rows, read_table
from experiments.records.provenance import device_name
from experiments.records.schema import schema
from experiments.records.study import Study
from experiments.running.devices import default_precision
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
    """Sequence lengths in ascending order, and seconds of timing per measurement: of what claims
    compare, and of everything else.
    """

    lengths: tuple[int, ...]
    compared_seconds: float
    seconds: float


EFFORTS = dict.fromkeys(PROFILES, Effort((128, 256, 512, 1024, 2048, 4096), 0.3, 0.06))
EFFORTS["smoke"] = Effort((128, 256, 512), 0.02, 0.02)


class Measurement(NamedTuple):
    """A function to time. The other fields are columns of the table."""

    run: Callable[[], object]
    what: str
    direction: str | None = None
    length: int | None = None
    flops: float | None = None
    peak_bytes: int | None = None
    tokens: int | None = None


def block_rows(
    study: Study, effort: Effort, device: torch.device, before: pd.DataFrame
) -> list[dict[str, Any]]:
    """Measure a block, and return its rows.

    Args:
        study: the study, whose base, recipe and claims decide what is measured.
        effort: lengths and seconds of timing.
        device: where everything is measured.
        before: the table "costs" so far.
    """
    number = 0 if before.empty else int(before["block"].max()) + 1
    started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    common = {"block": number, "started": started, "threads": torch.get_num_threads()}
    common["device_name"] = device_name(device.type)
    return [
        row | common
        for group in groups(study, effort, device, before)
        for row in group_rows(group, effort, device)
    ]


def group_rows(
    group: Sequence[Measurement], effort: Effort, device: torch.device
) -> list[dict[str, Any]]:
    """Time measurements that are compared with each other in mirrored order, A B B A, so that a
    machine that steadily becomes slower favours none of them; or time a single measurement once.
    """
    single = len(group) == 1
    at_least = effort.seconds if single else effort.compared_seconds
    seconds: list[list[float]] = [[] for _ in group]
    places = range(len(group))
    if not single:
        for measurement in group:  # preparing one that is compiled discards the code of the others
            measurement.run()
    for i in places if single else (*places, *reversed(places)):
        seconds[i].append(median_seconds(group[i].run, at_least, device))
    rows = [measurement._asdict() for measurement in group]
    return [
        {name: value for name, value in row.items() if name != "run"} | {"seconds": mean(times)}
        for row, times in zip(rows, seconds, strict=True)
    ]


def groups(
    study: Study, effort: Effort, device: torch.device, before: pd.DataFrame
) -> Iterator[list[Measurement]]:
    """Yield the measurements of a block in groups, each prepared when it is asked for.

    Memory does not vary, so only a first block measures it. Later blocks have the lengths that the
    first one reached.
    """
    base, compared = study.base, compared_names(study.ablations)
    yield [matrix_product(effort, device)]
    batch_size, first = study.profile.recipe.batch_size, before.empty
    yield from grouped(generations(base, device, memory=first), compared)
    yield from grouped(norm_layers(base, batch_size, device, memory=first), compared)
    reached = before.dropna(subset=["length"]).groupby("what")["length"].unique().to_dict()
    for (name, make), kernel in itertools.product(_LENGTHENED.items(), _KERNELS):
        lengths = sorted(map(int, reached.get(f"{name} {kernel}", ())))
        config = replace(base, attention=kernel)
        if lengths:
            for place in itertools.product(lengths, _DIRECTIONS):
                yield [make(config, *place, device)]
        else:
            for measurement in lengthening(make, config, effort.lengths, device):
                yield [measurement]
    for names in compared:
        specs = step_specs(study, names)
        if specs:
            yield [
                Measurement(step_function(spec, device), name, tokens=spec.tokens_per_step)
                for name, spec in specs.items()
            ]


def grouped(
    measurements: Iterable[Measurement], compared: Sequence[Sequence[str]]
) -> Iterator[list[Measurement]]:
    """Measurements in groups: those that claims compare together, and each other one alone. No
    claim is about a forward pass alone.
    """
    left = list(measurements)
    while left:
        first = left[0]
        names = next((group for group in compared if first.what in group), ())
        group = [first]
        if first.direction != "forward":
            group += [m for m in left[1:] if m.what in names and m.direction != "forward"]
        left = [m for m in left if m not in group]
        yield group


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


_LENGTHENED: Mapping[str, Callable[..., Measurement]] = {"attention": attention, "model": network}


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


def norm_layers(
    base: ModelConfig, batch_size: int, device: torch.device, *, memory: bool
) -> Iterator[Measurement]:
    """Each kind of norm on the activations of a training step, [batch, time, d_model]."""
    x = torch.randn(batch_size, base.context_length, base.d_model, device=device).requires_grad_()
    for kind, direction in itertools.product(get_args(Norm), _DIRECTIONS):
        layer = norm(replace(base, norm=kind)).to(device)
        run = partial(step, partial(layer, x), [x, *layer.parameters()], direction, device)
        peak = seconds_and_peak_bytes(run, device)[1] if memory else None
        yield Measurement(run, kind, direction, peak_bytes=peak)


def generations(base: ModelConfig, device: torch.device, *, memory: bool) -> Iterator[Measurement]:
    """Greedy generation from one token, with `n_heads`, `n_heads / 2` and one key and value heads.

    With `memory`, the bytes are the size of the key-value cache at the end.
    """
    start = torch.zeros(1, 1, dtype=torch.long, device=device)
    kv_heads = {"multi-head": base.n_heads, "grouped": max(base.n_heads // 2, 1), "multi-query": 1}
    for name, heads in kv_heads.items():
        config = replace(base, n_kv_heads=heads, position="rope", context_length=_NEW_TOKENS)
        model, cache = build(config).to(device), Cache()
        run = partial(generate, model, start, _NEW_TOKENS, temperature=0.0)
        if memory:
            model(run()[:, :_NEW_TOKENS], cache=cache)  # the last token is never read
        flops = sum(flops_per_token(config, read + 1) for read in range(_NEW_TOKENS))
        yield Measurement(run, f"generation {name}", None, _NEW_TOKENS, flops, cache.nbytes or None)


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


def main(results: Path, device_kind: str) -> None:
    """Measure a block of the study in a results folder, and append it to the table "costs"."""
    configure_torch()
    torch.manual_seed(0)
    study = Study.load(results)
    try:
        before = read_table(results, "costs")
    except UserError:
        before = pd.DataFrame(columns=schema("costs").names)
    effort = EFFORTS[study.profile_name]
    append_rows(results, "costs", block_rows(study, effort, torch.device(device_kind), before))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
