"""Costs: what is measured, memory and FLOPs against the definitions, and the limits."""

import datetime
import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from experiments.benchmarks import costs
from experiments.benchmarks.blocks import compared_names
from experiments.benchmarks.costs import (
    EFFORTS,
    Effort,
    Measurement,
    attention,
    generations,
    network,
)
from experiments.benchmarks.timing import seconds_and_peak_bytes
from experiments.catalogue import load_ablations
from experiments.data.corpus import Corpus
from experiments.profiles import PROFILES
from experiments.records.collect import append_rows, read_table
from experiments.records.schema import schema
from experiments.records.study import Study
from model import ModelConfig
from model.accounting import cache_bytes
from model.attention import KERNELS
from model.cache import Cache
from report.study.tables import records

CPU = torch.device("cpu")
BASE = replace(PROFILES["cpu"].base_model(84), attention="fused")
MEASURED = ("reference", "fused")
REFERENCE = replace(BASE, attention="reference")


def peak(base: ModelConfig, length: int, direction: str, make=attention) -> int:
    _, peak_bytes = seconds_and_peak_bytes(make(base, length, direction, CPU).run, CPU)
    assert peak_bytes is not None
    return peak_bytes


EFFORT = Effort((16, 32), 0.0, 0.0)


@pytest.fixture
def study(corpus: Corpus, tmp_path: Path) -> Study:
    study = Study.of(PROFILES["smoke"], corpus, seeds=1)
    study.save(tmp_path)
    return study


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, float]]:
    """What is timed, in order, with the least seconds of timing. The first timing gives one second,
    the second two seconds, and so on.
    """
    calls: list[tuple[str, float]] = []
    names: dict[int, str] = {}

    def median_seconds(run: Callable[[], object], at_least: float, device: torch.device) -> float:
        run()
        calls.append((names[id(run)], at_least))
        return float(len(calls))

    group_rows = costs.group_rows

    def noted(group: list[Measurement], *rest: Any) -> list[dict[str, Any]]:
        names.update({id(each.run): f"{each.what} {each.direction}" for each in group})
        return group_rows(group, *rest)

    monkeypatch.setattr(costs, "group_rows", noted)
    monkeypatch.setattr(costs, "median_seconds", median_seconds)
    monkeypatch.setattr(costs, "seconds_and_peak_bytes", lambda run, device: (0.0, 64))
    monkeypatch.setattr(costs, "_NEW_TOKENS", 8)
    product = Measurement(lambda: None, "matmul", flops=1.0)
    monkeypatch.setattr(costs, "matrix_product", lambda *_: product)
    return calls


def measure_block(study: Study, results: Path, effort: Effort = EFFORT) -> None:
    before = pd.DataFrame(columns=schema("costs").names)
    if (results / "costs.parquet").exists():
        before = read_table(results, "costs")
    append_rows(results, "costs", costs.block_rows(study, effort, CPU, before))


def test_every_combination_is_measured_once_in_every_block(
    study: Study, tmp_path: Path, timed: list
):
    measure_block(study, tmp_path)
    measure_block(study, tmp_path)
    measured = records(read_table(tmp_path, "costs"))
    keys = [(r["block"], r["what"], r["direction"], r["length"]) for r in measured]
    parts = [f"{part} {kernel}" for part in ("attention", "model") for kernel in MEASURED]
    lengthening = itertools.product(parts, ("forward", "both"), (16, 32))
    norms = itertools.product(("layernorm", "rmsnorm"), ("forward", "both"), [None])
    generated = [(f"generation {n}", None, 8) for n in ("multi-head", "grouped", "multi-query")]
    names = [name for group in compared_names(load_ablations()) for name in group]
    steps = [(name, None, None) for name in names if name.startswith("step ")]
    expected = [*lengthening, *norms, *generated, *steps, ("matmul", None, None)]
    assert len(keys) == len(set(keys))
    assert set(keys) == {(block, *key) for block in range(2) for key in expected}


def test_what_claims_compare_is_timed_in_mirrored_order_and_everything_else_once(
    study: Study, tmp_path: Path, timed: list
):
    measure_block(study, tmp_path, Effort((16,), compared_seconds=0.5, seconds=0.25))
    names = [name for name, _ in timed]
    for a, b in (
        ("layernorm both", "rmsnorm both"),
        ("generation multi-head None", "generation multi-query None"),
        ("step heads/heads-1 None", "step heads/heads-16 None"),
        ("step lstm-baseline/transformer None", "step lstm-baseline/lstm None"),
    ):
        first = names.index(a)
        assert timed[first : first + 4] == [(each, 0.5) for each in (a, b, b, a)]
        assert (names.count(a), names.count(b)) == (2, 2)
    for single in ("layernorm forward", "generation grouped None", "model fused both"):
        assert timed.count((single, 0.25)) == names.count(single) == 1


def test_the_seconds_of_a_pair_are_means_of_both_of_its_timings(timed: list):
    """The first of four timings gives one second, the last four: 1 2 3 4 for A B B A."""
    pair = [Measurement(lambda: None, name, "both") for name in "ab"]
    rows = costs.group_rows(pair, EFFORT, CPU)
    assert [(row["what"], row["seconds"]) for row in rows] == [("a", 2.5), ("b", 2.5)]
    assert [name for name, _ in timed] == ["a both", "b both", "b both", "a both"]
    three = [Measurement(lambda: None, name, "both") for name in "abc"]
    costs.group_rows(three, EFFORT, CPU)
    assert "".join(name[0] for name, _ in timed[4:]) == "abccba"


def test_blocks_are_numbered_and_only_the_first_measures_memory(
    study: Study, tmp_path: Path, timed: list, monkeypatch: pytest.MonkeyPatch
):
    measure_block(study, tmp_path)

    monkeypatch.setattr(costs, "seconds_and_peak_bytes", None)  # not called again
    measure_block(study, tmp_path, Effort((16, 32, 64), 0.0, 0.0))  # at the lengths of the first
    measure_block(study, tmp_path)
    table = read_table(tmp_path, "costs")
    assert table.groupby("block").size().tolist() == [len(table) / 3] * 3
    assert set(table["length"].dropna()) == {8, 16, 32}
    for row in records(table):
        no_memory = row["block"] > 0 or row["what"].startswith(("matmul", "step"))
        assert (row["peak_bytes"] is None) == no_memory
    for _, block in table.groupby("block"):
        (started,) = set(block["started"])
        assert datetime.datetime.fromisoformat(started).utcoffset() == datetime.timedelta(0)
    assert set(table["threads"]) == {torch.get_num_threads()}


def test_rows_have_flops_or_the_tokens_of_a_training_step(
    study: Study, tmp_path: Path, timed: list
):
    measure_block(study, tmp_path)
    for row in records(read_table(tmp_path, "costs")):
        is_step = row["what"].startswith("step ")
        assert row["seconds"] > 0
        assert (row["flops"] is None) == (is_step or row["what"].endswith("norm"))
        assert row["tokens"] == (4 * 32 if is_step else None)  # four windows of 32


def test_a_table_of_another_version_is_begun_anew(
    study: Study, tmp_path: Path, timed: list, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "costs.parquet").write_bytes(b"of another version")
    monkeypatch.setitem(EFFORTS, "smoke", EFFORT)
    monkeypatch.setattr(costs, "configure_torch", lambda: None)
    costs.main(tmp_path, "cpu")
    assert set(read_table(tmp_path, "costs")["block"]) == {0}
    assert (tmp_path / "damaged" / "costs-1.parquet").exists()


def test_every_profile_has_lengths_and_seconds_for_the_costs():
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
    for generation, heads in zip(generations(base, CPU, memory=True), (4, 2, 1), strict=True):
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
