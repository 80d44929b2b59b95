"""Estimates of how long runs take.

Speeds come from runs that this machine has finished or from timing a few training steps; for
graphics cards that this machine lacks they come from published times. Timing needs torch, so
`timed_speeds` runs `python -m experiments.running.estimates PROFILE DEVICE` as a program of its
own, which prints the speeds as JSON.
"""

import json
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import get_args

from experiments.planning.plan import preliminary_plan, unique_runs
from experiments.profiles import CARD_SPEEDS, PROFILES
from experiments.records.provenance import machine
from experiments.records.run_folder import RunFolder
from experiments.running.devices import default_precision
from experiments.spec import RunSpec
from model.config import Family

_STARTUP_SECONDS = 0.1  # of every run on a processor, whatever its size
_TIMED_STEPS = 4  # after one step of warm-up
_MAX_CPU_STEP_FLOPS = 1e10  # keeps a step of a network that is meant for a GPU short

Speeds = Mapping[str, float]  # FLOP per second, by network family


def total_seconds(specs: Iterable[RunSpec], speeds: Speeds) -> float:
    """Estimated seconds for the runs one after another: training and evaluation, no probes."""
    return sum(
        _STARTUP_SECONDS + _flops(spec) / (speeds[spec.model.family] or 1.0)
        for spec in specs  # a bigram has no FLOPs, and so no speed
    )


def measured_speeds(specs: Iterable[RunSpec], results: Path) -> dict[str, float]:
    """FLOP per second by family, from those of the runs that this machine has finished.

    Other runs may have been training at the same time. Where they shared a graphics card, the speed
    is that of all runs on the card together.
    """
    hardware = machine()
    seconds, flops = defaultdict[str, float](float), defaultdict[str, float](float)
    for spec in specs:
        summary = RunFolder(results, spec.run_id).summary() or {}
        if summary.get("status") == "done" and summary["hardware"] == hardware:
            family = spec.model.family
            seconds[family] += max(summary["wall_seconds"] - _STARTUP_SECONDS, 0.01)
            flops[family] += _flops(spec) * (summary.get("runs_per_card") or 1)
    return {family: flops[family] / seconds[family] for family in flops}


def card_speeds(card: str) -> dict[str, float]:
    """FLOP per second by family on a graphics card: that of the base, for all families."""
    return dict.fromkeys(get_args(Family), CARD_SPEEDS[card])


def timed_speeds(profile: str, device: str) -> dict[str, float]:
    """FLOP per second by family, from training steps timed now in a program of its own."""
    command = [sys.executable, "-m", "experiments.running.estimates", profile, device]
    printed = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    speeds: dict[str, float] = json.loads(printed)
    return speeds


def _flops(spec: RunSpec) -> float:
    return spec.flops + spec.evaluation_flops


def _time_steps(spec: RunSpec, device: str) -> float:
    """FLOP per second of training steps on random tokens."""
    import torch

    from experiments.training.loss import cross_entropy
    from experiments.training.optim import build_optimizer
    from experiments.training.torch_setup import autocast_context
    from model import build

    config, recipe, torch_device = spec.model, spec.recipe, torch.device(device)
    model = build(config).to(torch_device)
    optimizer = build_optimizer(model, recipe)
    inputs = 2 if config.family == "encoder_decoder" else 1
    batch = recipe.batch_size
    example_flops = spec.flops / recipe.steps / batch
    if torch_device.type == "cpu" and example_flops:
        batch = min(batch, max(1, round(_MAX_CPU_STEP_FLOPS / example_flops)))
    shape = (batch, config.context_length // inputs)
    tokens = torch.randint(config.vocab_size, shape, device=torch_device)
    targets = tokens[:, 0] % config.n_classes if config.n_classes else tokens
    times = []
    for _ in range(1 + _TIMED_STEPS):
        with autocast_context(recipe.precision, torch_device):
            loss = cross_entropy(model(*[tokens] * inputs), targets)
        if loss.requires_grad:  # a bigram has no gradient
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if torch_device.type != "cpu":
            torch.accelerator.synchronize()
        times.append(time.perf_counter())
    return _TIMED_STEPS * batch * example_flops / (times[-1] - times[0])


def main(profile: str, device: str) -> None:
    """Time the first run of every family in the profile's plan, and print the speeds as JSON."""
    from experiments.training.torch_setup import configure_torch

    configure_torch()
    profiled = PROFILES[profile].with_precision(default_precision(device))
    first: dict[str, RunSpec] = {}
    for spec in unique_runs(preliminary_plan(profiled, None)):
        first.setdefault(spec.model.family, spec)
    print(json.dumps({family: _time_steps(spec, device) for family, spec in first.items()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
