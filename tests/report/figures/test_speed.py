"""Benchmark tables and figures, against ratios and shares worked out by hand."""

from pathlib import Path
from typing import Any

import markupsafe
import pytest
from planted import plant

from experiments.records.collect import collect, write_table
from report.figures.speed import (
    base_runs_table,
    baseline_ratios,
    baseline_table,
    speed_by_size,
    step_table,
    time_to_loss,
    with_share_of_peak,
)
from report.study.tables import Tables


def training(precision: str, repeat: int, tokens_per_second: float, **changes: Any) -> dict:
    """A row of the table "bench" for a training that needs 1000 operations per token."""
    row = {"what": "training", "precision": precision, "repeat": repeat, "varied": ""}
    row |= {"width": 128, "context": 64, "batch": 12, "workers": 2, "compiled": False}
    row |= {"tokens_per_second": tokens_per_second, "flops_per_second": 1000 * tokens_per_second}
    return row | changes


def bench_rows() -> list[dict]:
    rows = []
    for repeat in range(3):
        # Every repetition runs on a slower machine, which slows both sides of a ratio alike.
        slow = 1 - 0.1 * repeat
        for what, precision, speed in (
            ("plain loop", "fp32", 1.0),
            ("whole runs", "fp32", 1.5),
            ("whole runs", "bf16", 3.0),
        ):
            rows.append(training(precision, repeat, slow * speed * 10_000, what=what))
        for what, seconds in (("nanoGPT's recipe", 100.0), ("ours", 20.0)):
            rows.append({"what": what, "repeat": repeat, "seconds": seconds / slow, "loss": 1.88})
        for precision, peak in (("fp32", 1e8), ("bf16", 2e8)):
            product = {"what": "matrix product", "precision": precision, "repeat": repeat}
            rows.append(product | {"flops_per_second": slow * peak})
            rows.append(training(precision, repeat, slow * 40_000))
            rows.append(training(precision, repeat, slow * 80_000, varied="width", width=64))
        rows.append(
            training("bf16", repeat, slow * 100_000, what="whole runs of the base", varied=None)
        )
        step = {"what": "step, base of the study", "precision": "fp32", "repeat": repeat}
        rows.append(step | {"seconds": 0.02 / slow, "page_faults": 3.0})
        rows.append(step | {"part": "attention", "seconds": 0.005 / slow, "calls": 40.0})
        rows.append({"what": "between runs", "repeat": repeat, "seconds": 0.05})
    return rows


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tables:
    results = plant(tmp_path, monkeypatch, [0.1, 0.1])
    collect(results)
    write_table(results, "bench", bench_rows())
    return Tables.load(results)


@pytest.mark.parametrize("name", ["plain loop", "nanoGPT's train.py"])
def test_ratios_to_the_baseline_are_paired_by_repetition(tables: Tables, name: str):
    bench = tables.bench.replace({"what": {"plain loop": name}})
    tables = Tables(**vars(tables) | {"bench": bench})
    html = baseline_table(tables).data
    assert f"relative to {markupsafe.escape(name)}" in html
    assert ">whole runs, fp32</th><td>2 runs</td><td>13,500 (12,000 to 15,000)</td>" in html
    assert "<td>1.50 (1.50 to 1.50)</td>" in html  # a ratio of medians would have a range
    assert "<td>3.00 (3.00 to 3.00)</td>" in html
    ratios = baseline_ratios(tables.bench)
    assert ratios == {"fp32": pytest.approx([1.5] * 3), "bf16": pytest.approx([3.0] * 3)}


def test_whole_runs_of_the_base_are_shown_by_core_second(tables: Tables):
    html = base_runs_table(tables).data
    cells = "<td>90,000 (80,000 to 100,000)</td><td>45,000 (40,000 to 50,000)</td>"
    assert f">bf16</th><td>2 runs</td>{cells}" in html


def test_a_step_is_shown_by_kind_of_operation_with_its_page_faults(tables: Tables):
    html = step_table(tables).data
    assert ">base of the study, fp32</th>" in html
    assert ">whole step</th><td>22.2</td>" in html  # the median repetition ran at nine tenths
    assert ">attention</th><td>5.6</td>" in html
    assert ">page faults</th><td>3.0</td>" in html


def test_time_to_loss_is_relative_to_the_reference_training(tables: Tables):
    html = time_to_loss(tables).data
    assert ">ours</th><td>22.2 (20.0 to 25.0)</td><td>0.20 (0.20 to 0.20)</td>" in html
    assert ">between runs</th><td>0.05 (0.05 to 0.05)</td>" in html


def test_share_of_the_peak_is_that_of_a_single_run(tables: Tables):
    shares = with_share_of_peak(tables.bench).groupby(["precision", "width"])["share"].agg(set)
    # 40,000 tokens per second of two runs, 1000 operations per token, peak 1e8: 20 % per run.
    assert {key: {round(share) for share in values} for key, values in shares.items()} == {
        ("fp32", 128): {20},
        ("fp32", 64): {40},
        ("bf16", 128): {10},
        ("bf16", 64): {20},
    }
    html = speed_by_size(tables).data
    assert "at most" in html
    assert "precision,width,context,batch,workers,repeat,tokens_per_second,share" in html
    assert "\nbf16,64,64,12,2," in html


def test_a_study_without_a_benchmark_names_the_command_that_makes_one(tables: Tables):
    empty = Tables(**vars(tables) | {"bench": tables.bench.iloc[:0]})
    assert "No results yet: <code>make bench</code>" in baseline_table(empty).data
    for figure in (time_to_loss, speed_by_size, base_runs_table, step_table):
        assert figure(empty).data == ""
