"""A training step divided by kind of operation, and its page faults."""

import resource
from dataclasses import replace
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from experiments.benchmarks.timing import median_seconds
from experiments.benchmarks.training_steps import step_function
from experiments.benchmarks.whole_runs import SHAPES
from experiments.recipe import Precision
from experiments.spec import RunSpec

_PROFILED_STEPS = 10

# Kinds of operations, by the names that torch gives them. What is in none of them is dispatch:
# views, allocations, Python, and the bookkeeping of the backward pass.
_KINDS = {
    "matrix products": ("aten::mm", "aten::addmm"),
    "attention": ("aten::bmm", "aten::baddbmm", "aten::_softmax", "aten::_scaled_dot_product"),
    "norms": ("aten::native_layer_norm", "aten::_fused_rms_norm"),
    "activation": ("aten::gelu", "aten::relu", "aten::threshold", "aten::silu"),
    "loss": ("aten::_log_softmax", "aten::nll_loss"),
    "optimiser": ("aten::_fused_adam", "aten::linalg_vector_norm", "Optimizer."),
    "sums, products and copies": (
        "aten::add",
        "aten::mul",
        "aten::sum",
        "aten::div",
        "aten::copy_",
        "aten::cat",
        "aten::roll",
        "aten::fill_",
        "aten::clone",
        "aten::index",
        "aten::embedding",
    ),
}
DISPATCH = "dispatch"
KINDS = (*_KINDS, DISPATCH)


def kind_of(operation: str) -> str:
    """The kind of an operation of torch, by its name."""
    for kind, beginnings in _KINDS.items():
        # "aten::add" is the beginning of "aten::addmm", whose kind comes first.
        if operation.startswith(beginnings):
            return kind
    return DISPATCH


def step_profile(
    shape: str, precision: Precision, device: torch.device, at_least: float
) -> dict[str, Any]:
    """Seconds and page faults of a step, and the seconds and calls of each kind of operation.

    The seconds of a kind are its share in a profile of ten steps, of the median step without the
    profiler, which slows every operation down a little.
    """
    config, recipe = SHAPES[shape]
    recipe = replace(recipe, precision=precision)
    step = step_function(RunSpec(model=config, recipe=recipe, corpus="", seed=0), device)
    seconds = median_seconds(step, at_least, device)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(_PROFILED_STEPS):
        step()
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    activities = [ProfilerActivity.CPU]
    if device.type == "cuda":
        activities.append(ProfilerActivity.CUDA)
    with profile(activities=activities) as profiler:
        for _ in range(_PROFILED_STEPS):
            step()
    spent = {kind: [0.0, 0.0] for kind in KINDS}  # seconds and calls
    for event in profiler.key_averages():
        on_card = device.type == "cuda"
        microseconds = event.self_device_time_total if on_card else event.self_cpu_time_total
        kind = spent[kind_of(event.key)]
        kind[0] += microseconds
        kind[1] += event.count / _PROFILED_STEPS
    total = sum(microseconds for microseconds, _ in spent.values())
    return {
        "seconds": seconds,
        "page_faults": faults / _PROFILED_STEPS,
        "kinds": {kind: [seconds * time / total, calls] for kind, (time, calls) in spent.items()},
    }
