"""Costs: what is measured, memory and FLOPs against the definitions, and the limits."""

import itertools
from dataclasses import replace

import pytest
import torch

from experiments.benchmarks import costs
from experiments.benchmarks.costs import (
    EFFORTS,
    Effort,
    attention,
    generations,
    network,
    rows,
)
from experiments.benchmarks.timing import seconds_and_peak_bytes
from experiments.profiles import PROFILES
from model import ModelConfig
from model.accounting import cache_bytes
from model.attention import KERNELS
from model.cache import Cache

CPU = torch.device("cpu")
BASE = replace(PROFILES["cpu"].base_model(84), attention="fused")
MEASURED = ("reference", "fused")
REFERENCE = replace(BASE, attention="reference")


def peak(base: ModelConfig, length: int, direction: str, make=attention) -> int:
    _, peak_bytes = seconds_and_peak_bytes(make(base, length, direction, CPU).run, CPU)
    assert peak_bytes is not None
    return peak_bytes


@pytest.fixture(scope="module")
def measured() -> list[dict]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(costs, "_NEW_TOKENS", 8)
        return rows(PROFILES["smoke"], Effort((16, 32), repeats=2, seconds=0.0), CPU)


def test_every_combination_is_measured_once_in_every_repeat(measured: list[dict]):
    keys = [(r["repeat"], r["what"], r["direction"], r["length"]) for r in measured]
    lengthening = itertools.product(
        [f"{part} {kernel}" for part in ("attention", "model") for kernel in MEASURED],
        ("forward", "both"),
        (16, 32),
    )
    norms = itertools.product(("layernorm", "rmsnorm"), ("forward", "both"), [None])
    generated = [(f"generation {n}", None, 8) for n in ("multi-head", "grouped", "multi-query")]
    expected = [*lengthening, *norms, *generated, ("matmul", None, None)]
    assert len(keys) == len(set(keys))
    assert set(keys) == {(repeat, *key) for repeat in range(2) for key in expected}


def test_everything_is_measured_once_before_the_next_repeat(measured: list[dict]):
    assert [r["repeat"] for r in measured] == sorted(r["repeat"] for r in measured)


def test_rows_have_time_flops_and_the_memory_of_the_first_repeat(measured: list[dict]):
    for row in measured:
        assert row["seconds"] > 0
        assert (row["flops"] is None) == row["what"].endswith("norm")
        assert row["flops"] is None or row["flops"] > 0
        has_memory = row["repeat"] == 0 and row["what"] != "matmul"
        assert (row["peak_bytes"] is not None) == has_memory
        assert not has_memory or row["peak_bytes"] > 0


def test_every_profile_has_lengths_and_repeats_for_the_costs():
    assert EFFORTS.keys() == PROFILES.keys()
    assert max(EFFORTS["smoke"].lengths) < max(EFFORTS["cpu"].lengths)


@pytest.mark.parametrize("direction", ["forward", "both"])
def test_memory_of_the_reference_kernel_is_quadratic_in_the_length(direction: str):
    short, long = (peak(REFERENCE, n, direction) for n in (256, 512))
    assert short >= BASE.n_heads * 256**2 * 4
    assert long / short == pytest.approx(4, rel=0.05)


@pytest.mark.parametrize("direction", ["forward", "both"])
def test_memory_of_the_fused_kernel_is_about_linear_in_the_length(direction: str):
    short, long = (peak(BASE, n, direction) for n in (256, 1024))
    assert long < 6 * short  # four times the length
    assert long < peak(REFERENCE, 1024, direction) / 3


def test_a_training_step_stores_the_attention_weights_of_every_layer():
    weights = BASE.n_layers * BASE.n_heads * 256**2 * 4
    assert peak(REFERENCE, 256, "both", network) - peak(BASE, 256, "both", network) > weights


def test_peak_bytes_are_exact_and_do_not_include_freed_tensors():
    def run() -> None:
        for _ in range(3):
            torch.empty(1000)
        both = torch.empty(500), torch.empty(2000)
        del both

    before = torch.empty(10_000)
    assert seconds_and_peak_bytes(run, CPU)[1] == 2500 * 4
    del before


@pytest.mark.cuda
def test_peak_bytes_on_a_gpu_are_those_of_the_call():
    device = torch.device("cuda")
    _, peak_bytes = seconds_and_peak_bytes(lambda: torch.empty(2**20, device=device), device)
    assert peak_bytes == 4 * 2**20


@pytest.mark.parametrize("make", [attention, network])
@pytest.mark.parametrize("kernel", MEASURED)
def test_a_measurement_runs_the_kernel_in_its_name(
    make, kernel: str, monkeypatch: pytest.MonkeyPatch
):
    ran, shapes = [], []
    for name, attend in list(KERNELS.items()):

        def recorded(q, k, v, scoring, dropout, name=name, attend=attend):
            ran.append(name)
            shapes.append(tuple(q.shape))
            assert scoring.causal
            return attend(q, k, v, scoring, dropout)

        monkeypatch.setitem(KERNELS, name, recorded)
    measurement = make(replace(BASE, attention=kernel), 16, "both", CPU)
    measurement.run()
    assert measurement.what.endswith(kernel)
    assert set(ran) == {kernel}
    assert set(shapes) == {(1, BASE.n_heads, 16, BASE.head_dim)}


def test_direction_both_computes_the_gradient_of_every_parameter(monkeypatch: pytest.MonkeyPatch):
    gradients = []
    grad = torch.autograd.grad

    def recorded(y, leaves, *rest):
        gradients.append(grad(y, leaves, *rest))
        return gradients[-1]

    monkeypatch.setattr(torch.autograd, "grad", recorded)
    network(BASE, 16, "forward", CPU).run()
    assert not gradients
    network(BASE, 16, "both", CPU).run()
    assert all(gradient is not None for gradient in gradients[0])


def test_flops_of_attention_are_what_length_adds_to_the_flops_of_the_network():
    """Twice the length doubles the FLOPs of a network, attention apart."""
    for direction, passes in (("forward", 1), ("both", 3)):
        assert attention(BASE, 64, direction, CPU).flops == passes * 2 * 2 * 64**2 * BASE.d_model
        flops_without_attention = [
            network(BASE, n, direction, CPU).flops
            - BASE.n_layers * attention(BASE, n, direction, CPU).flops
            for n in (64, 128)
        ]
        assert flops_without_attention[1] == 2 * flops_without_attention[0]


def test_cache_bytes_of_a_generation_match_the_formula(monkeypatch: pytest.MonkeyPatch):
    sizes = []
    extend = Cache.extend

    def recorded(self, module, *new):
        result = extend(self, module, *new)
        sizes.append(self.nbytes)
        return result

    monkeypatch.setattr(Cache, "extend", recorded)
    monkeypatch.setattr(costs, "_NEW_TOKENS", 64)
    base = PROFILES["smoke"].base_model(84)
    for generation, heads in zip(generations(base, CPU), (4, 2, 1), strict=True):
        assert generation.peak_bytes == cache_bytes(replace(base, n_kv_heads=heads), 64)
        sizes.clear()
        generation.run()
        assert max(sizes) == generation.peak_bytes  # of the cache that `generate` fills


def test_lengthening_stops_before_the_limits_of_time_and_memory(monkeypatch: pytest.MonkeyPatch):
    def lengths() -> list[int | None]:
        return [m.length for m in costs.lengthening(attention, BASE, (16, 32, 64), CPU)]

    assert lengths() == [16, 16, 32, 32, 64, 64]
    monkeypatch.setattr(
        costs,
        "seconds_and_peak_bytes",
        lambda run, device: (0.6 if run.args[2] == "both" else 0, 0),
    )
    assert lengths() == [16, 16]
    monkeypatch.setattr(costs, "seconds_and_peak_bytes", lambda run, device: (0.1, 3e9))
    assert lengths() == [16, 16]
    monkeypatch.setattr(costs, "seconds_and_peak_bytes", lambda run, device: (0.1, None))
    assert lengths() == [16, 16, 32, 32, 64, 64]
