"""Costs: everything is measured, memory is what the definitions say, and names tell the truth."""

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
    tried,
)
from experiments.profiles import PROFILES
from model import ModelConfig
from model.accounting import cache_bytes
from model.attention import KERNELS
from model.cache import Cache

CPU = torch.device("cpu")
BASE = PROFILES["cpu"].base_model(84)
REFERENCE = replace(BASE, attention="reference")


def peak(base: ModelConfig, length: int, direction: str, make=attention) -> int:
    _, found = tried(make(base, length, direction, CPU).run, CPU)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def measured() -> list[dict]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(costs, "_NEW_TOKENS", 8)
        return rows(PROFILES["smoke"], Effort((16, 32), repeats=2, seconds=0.0), CPU)


def test_every_combination_is_measured_once_in_every_repeat(measured: list[dict]):
    found = [(r["repeat"], r["what"], r["direction"], r["length"]) for r in measured]
    lengthening = itertools.product(
        [f"{part} {kernel}" for part in ("attention", "model") for kernel in KERNELS],
        ("forward", "both"),
        (16, 32),
    )
    norms = itertools.product(("layernorm", "rmsnorm"), ("forward", "both"), [None])
    generated = [(f"generation {n}", None, 8) for n in ("multi-head", "grouped", "multi-query")]
    wanted = [*lengthening, *norms, *generated, ("matmul", None, None)]
    assert len(found) == len(set(found))
    assert set(found) == {(repeat, *each) for repeat in range(2) for each in wanted}


def test_repeats_follow_each_other(measured: list[dict]):
    assert [r["repeat"] for r in measured] == sorted(r["repeat"] for r in measured)


def test_numbers(measured: list[dict]):
    for row in measured:
        assert row["seconds"] > 0
        assert (row["flops"] is None) == row["what"].endswith("norm")
        assert row["flops"] is None or row["flops"] > 0
        without = row["repeat"] > 0 or row["what"] == "matmul"
        assert (row["peak_bytes"] is None) == without
        assert without or row["peak_bytes"] > 0


def test_every_profile_has_its_effort():
    assert EFFORTS.keys() == PROFILES.keys()
    assert max(EFFORTS["smoke"].lengths) < max(EFFORTS["cpu"].lengths)


@pytest.mark.parametrize("direction", ["forward", "both"])
def test_the_definition_stores_its_weights(direction: str):
    less, more = (peak(REFERENCE, n, direction) for n in (256, 512))
    assert less >= BASE.n_heads * 256**2 * 4
    assert more / less == pytest.approx(4, rel=0.05)


@pytest.mark.parametrize("direction", ["forward", "both"])
def test_the_fused_kernel_does_not(direction: str):
    less, more = (peak(BASE, n, direction) for n in (256, 1024))
    assert more < 6 * less  # four times the length
    assert more < peak(REFERENCE, 1024, direction) / 3


def test_a_training_step_keeps_every_layers_weights():
    weights = BASE.n_layers * BASE.n_heads * 256**2 * 4
    assert peak(REFERENCE, 256, "both", network) - peak(BASE, 256, "both", network) > weights


def test_memory_is_counted_to_the_byte_and_only_while_held():
    def run() -> None:
        for _ in range(3):
            torch.empty(1000)
        both = torch.empty(500), torch.empty(2000)
        del both

    before = torch.empty(10_000)
    assert tried(run, CPU)[1] == 2500 * 4
    del before


@pytest.mark.cuda
def test_memory_on_a_graphics_card():
    _, found = tried(lambda: torch.empty(2**20, device="cuda"), torch.device("cuda"))
    assert found == 4 * 2**20


@pytest.mark.parametrize("make", [attention, network])
@pytest.mark.parametrize("kernel", KERNELS)
def test_a_row_runs_the_kernel_it_names(make, kernel: str, monkeypatch: pytest.MonkeyPatch):
    ran, shapes = [], []
    for name, attend in list(KERNELS.items()):

        def watched(q, k, v, scoring, dropout, name=name, attend=attend):
            ran.append(name)
            shapes.append(tuple(q.shape))
            assert scoring.causal
            return attend(q, k, v, scoring, dropout)

        monkeypatch.setitem(KERNELS, name, watched)
    job = make(replace(BASE, attention=kernel), 16, "both", CPU)
    job.run()
    assert job.what.endswith(kernel)
    assert set(ran) == {kernel}
    assert set(shapes) == {(1, BASE.n_heads, 16, BASE.head_dim)}


def test_both_directions_ask_for_every_gradient(monkeypatch: pytest.MonkeyPatch):
    asked = []
    grad = torch.autograd.grad

    def watched(y, leaves, *rest):
        asked.append(grad(y, leaves, *rest))
        return asked[-1]

    monkeypatch.setattr(torch.autograd, "grad", watched)
    network(BASE, 16, "forward", CPU).run()
    assert not asked
    network(BASE, 16, "both", CPU).run()
    assert all(gradient is not None for gradient in asked[0])


def test_arithmetic_of_attention_is_the_networks_own():
    """A network twice as long has, per token, that much more to score and mix."""
    for direction, passes in (("forward", 1), ("both", 3)):
        assert attention(BASE, 64, direction, CPU).flops == passes * 2 * 2 * 64**2 * BASE.d_model
        once, twice = (network(BASE, n, direction, CPU).flops for n in (64, 128))
        alone = [attention(BASE, n, direction, CPU).flops for n in (64, 128)]
        layers = BASE.n_layers
        assert twice - layers * alone[1] == 2 * (once - layers * alone[0])


def test_the_cache_is_as_large_as_its_heads(monkeypatch: pytest.MonkeyPatch):
    sizes = []
    extend = Cache.extend

    def watched(self, module, *new):
        kept = extend(self, module, *new)
        sizes.append(self.nbytes)
        return kept

    monkeypatch.setattr(Cache, "extend", watched)
    monkeypatch.setattr(costs, "_NEW_TOKENS", 64)
    base = PROFILES["smoke"].base_model(84)
    for job, heads in zip(generations(base, CPU), (4, 2, 1), strict=True):
        assert job.peak_bytes == cache_bytes(replace(base, n_kv_heads=heads), 64)
        sizes.clear()
        job.run()
        assert max(sizes) == job.peak_bytes  # of the cache that generation itself fills


def test_a_series_ends_before_what_cannot_be_borne(monkeypatch: pytest.MonkeyPatch):
    def lengths() -> list[int | None]:
        return [job.length for job in costs.lengthening(attention, BASE, (16, 32, 64), CPU)]

    assert lengths() == [16, 16, 32, 32, 64, 64]
    monkeypatch.setattr(
        costs, "tried", lambda run, device: (0.6 if run.args[2] == "both" else 0, 0)
    )
    assert lengths() == [16, 16]
    monkeypatch.setattr(costs, "tried", lambda run, device: (0.1, 3e9))
    assert lengths() == [16, 16]
    monkeypatch.setattr(costs, "tried", lambda run, device: (0.1, None))
    assert lengths() == [16, 16, 32, 32, 64, 64]
