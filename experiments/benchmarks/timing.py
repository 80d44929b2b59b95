"""Time and memory of a function on a device."""

import itertools
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}  # of matrix products, by precision


def median_seconds(run: Callable[[], object], at_least: float, device: torch.device) -> float:
    """Return the median seconds of `run()`.

    `run` is called until the calls took `at_least` seconds together, and twice at the least. The
    first call is a warm-up and is not counted.
    """
    seconds: list[float] = []
    while len(seconds) < 2 or sum(seconds) < at_least:
        began = time.perf_counter()
        run()
        if device.type != "cpu":
            torch.accelerator.synchronize()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[1:])


def seconds_and_peak_bytes(
    run: Callable[[], object], device: torch.device
) -> tuple[float, int | None]:
    """Return the seconds of `run()`, and the most bytes that its tensors held at a time.

    The bytes are None on devices that do not count them.
    """
    if device.type == "cuda":
        run()  # libraries allocate their workspace at the first call, and keep it
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        seconds = median_seconds(run, 0.0, device)
        return seconds, torch.cuda.max_memory_allocated(device) - before
    if device.type != "cpu":
        return median_seconds(run, 0.0, device), None
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        seconds = median_seconds(run, 0.0, device)
    results: Any = profiler.profiler and profiler.profiler.kineto_results
    # One event per allocation, a kernel's scratch memory included, and one per release.
    changes = (event.nbytes() for event in results.events() if event.name() == "[memory]")
    return seconds, max(itertools.accumulate(changes, initial=0))


def fastest_matrix_product(
    sizes: Sequence[int], precision: str, at_least: float, device: torch.device
) -> tuple[Callable[[], object], float, float]:
    """Find the square matrix product with the most floating-point operations per second.

    Args:
        sizes: rows of the matrices that are tried.
        precision: a key of `DTYPES`.
        at_least: seconds of timing per size.
        device: where the matrices lie.

    Returns:
        The product as a function, its FLOPs, and its FLOPs per second.
    """
    products = []
    for n in sizes:
        run = partial(torch.matmul, *torch.randn(2, n, n, device=device).to(DTYPES[precision]))
        flops = 2.0 * n**3
        products.append((run, flops, flops / median_seconds(run, at_least, device)))
    return max(products, key=lambda product: product[2])
