"""How long runs will take on this machine: from runs that it has finished, and where there are none
from timing a few steps.

`python -m experiments.running.estimates PROFILE DEVICE` times the steps, and prints operations per second by
family of network; it alone of this file's users loads torch.
"""

import json
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from experiments.plan import preliminary_plan, unique_runs
from experiments.profiles import PROFILES
from experiments.records.provenance import default_precision, environment
from experiments.records.run_folder import RunFolder
from experiments.spec import RunSpec

_START = 0.7  # seconds: what a run takes besides, whatever its size
_STEPS = 4  # that are timed, after one that warms up
_MUCH = 1e10  # floating-point operations of a step on a processor

Paces = Mapping[str, float]  # floating-point operations per second, by family


def total_seconds(specs: Iterable[RunSpec], paces: Paces) -> float:
    """What the runs take one after the other: training and evaluation, no probes."""
    return sum(
        _START + (spec.flops + spec.evaluation_flops) / (paces[spec.model.family] or 1.0)
        for spec in specs  # a bigram has no arithmetic, and so no pace
    )


def measured_speeds(specs: Iterable[RunSpec], results: Path) -> dict[str, float]:
    """From the runs among these that this machine has finished; it had others at work beside it."""
    here = environment()["hardware"]
    spent, done = defaultdict[str, float](float), defaultdict[str, float](float)
    for spec in specs:
        summary = RunFolder(results, spec.run_id).summary() or {}
        if summary.get("status") == "done" and summary["hardware"] == here:
            family = spec.model.family
            taken = max(summary["wall_seconds"] - _START, 0.01)
            spent[family] += taken
            done[family] += spec.flops + spec.evaluation_flops
    return {family: done[family] / spent[family] for family in done}


def timed_speeds(profile: str, device: str) -> dict[str, float]:
    """Timed now, in a program of its own: we never load torch."""
    command = [sys.executable, "-m", "experiments.running.estimates", profile, device]
    printed = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    found: dict[str, float] = json.loads(printed)
    return found


def _pace(spec: RunSpec, device: str) -> float:
    """Of training steps on random tokens, with nothing else at work."""
    import torch

    from experiments.training.loss import cross_entropy
    from experiments.training.optim import build_optimizer
    from experiments.training.torch_setup import autocast_context
    from model import build

    config, place = spec.model, torch.device(device)
    model = build(config).to(place)
    optimizer = build_optimizer(model, spec.recipe)
    two = config.family == "encoder_decoder"
    length = config.context_length // (2 if two else 1)
    of_one = spec.flops / spec.recipe.steps / spec.recipe.batch_size
    batch = spec.recipe.batch_size
    if place.type == "cpu" and of_one:  # a network for a GPU would take minutes a step
        batch = min(batch, max(1, round(_MUCH / of_one)))
    tokens = torch.randint(config.vocab_size, (batch, length), device=place)
    targets = tokens[:, 0] % config.n_classes if config.n_classes else tokens

    def step() -> None:
        with autocast_context(spec.recipe.precision, place):
            loss = cross_entropy(model(*[tokens] * (2 if two else 1)), targets)
        if loss.requires_grad:  # a bigram is counted
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    def wait() -> None:
        if place.type != "cpu":
            torch.accelerator.synchronize()

    step()
    wait()
    began = time.perf_counter()
    for _ in range(_STEPS):
        step()
    wait()
    per_step = (time.perf_counter() - began) / _STEPS
    return batch * of_one / per_step


def main(profile: str, device: str) -> None:
    """Time the first run of each family, and print what was found as JSON."""
    from experiments.training.torch_setup import configure_torch

    configure_torch()
    planned = preliminary_plan(PROFILES[profile].with_precision(default_precision(device)), None)
    first: dict[str, RunSpec] = {}
    for spec in unique_runs(planned):
        first.setdefault(spec.model.family, spec)
    print(json.dumps({family: _pace(spec, device) for family, spec in first.items()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
