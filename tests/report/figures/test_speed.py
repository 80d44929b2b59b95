"""What a benchmark's rows come to, by hand."""

from pathlib import Path

import pandas as pd
import pytest
from planted import plant

from experiments.records.collect import collect, write_table
from report.figures import speed
from report.verdicts.tables import Tables


def size(precision: str, repeat: int, tokens: float, varied: str = "", **changes) -> dict:
    """A training whose token costs a thousand operations."""
    usual = {"width": 128, "context": 64, "batch": 12, "workers": 2, "compiled": False}
    found = {"tokens_per_second": tokens, "flops_per_second": 1000 * tokens}
    row = {"what": "training", "precision": precision, "repeat": repeat, "varied": varied}
    return row | usual | found | changes


def rows() -> list[dict]:
    found = []
    for repeat in range(3):
        slow = 1 - 0.1 * repeat  # the machine's minute: it hits both sides alike
        for what, precision, times in (
            ("plain loop", "fp32", 1.0),
            ("whole runs", "fp32", 1.5),
            ("whole runs", "bf16", 3.0),
        ):
            found.append(size(precision, repeat, slow * times * 10_000) | {"what": what})
        for what, seconds in (("nanoGPT's recipe", 100.0), ("ours", 20.0)):
            found.append({"what": what, "repeat": repeat, "seconds": seconds / slow, "loss": 1.88})
        for precision, peak in (("fp32", 1e8), ("bf16", 2e8)):
            product = {"what": "matrix product", "precision": precision, "repeat": repeat}
            found.append(product | {"flops_per_second": slow * peak})
            found.append(size(precision, repeat, slow * 40_000))
            found.append(size(precision, repeat, slow * 80_000, "width", width=64))
        found.append({"what": "between runs", "repeat": repeat, "seconds": 0.05})
    return found


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tables:
    results = plant(tmp_path, monkeypatch, [0.1, 0.1])
    collect(results)
    write_table(results, "bench", rows())
    return Tables.load(results)


def test_ratios_are_paired_by_repeat(tables: Tables):
    shown = speed.against_plain(tables).data
    assert ">whole runs, fp32</th><td>2 runs</td><td>13,500 (12,000 to 15,000)</td>" in shown
    assert "<td>1.50 (1.50 to 1.50)</td>" in shown  # and not a ratio of medians with a range
    assert "<td>3.00 (3.00 to 3.00)</td>" in shown


def test_time_to_quality_is_told_as_a_share(tables: Tables):
    shown = speed.to_quality(tables).data
    assert ">ours</th><td>22.2 (20.0 to 25.0)</td><td>0.20 (0.20 to 0.20)</td>" in shown
    assert ">between runs</th><td>0.05 (0.05 to 0.05)</td>" in shown


def test_the_share_of_the_peak_is_each_runs_own(tables: Tables):
    found = speed.shares(tables.bench).groupby(["precision", "width"])["share"].agg(set)
    # 40,000 tokens a second of two runs, 1e3 operations each, of 1e8: 20 % a run
    assert {key: {round(v) for v in values} for key, values in found.items()} == {
        ("fp32", 128): {20}, ("fp32", 64): {40}, ("bf16", 128): {10}, ("bf16", 64): {20},
    }  # fmt: skip
    shown = speed.by_size(tables).data
    assert "bf16 64/64/12/2: 72,000 (64,000 to 80,000) and 20 (20 to 20) %" in shown


def test_a_study_without_a_benchmark_says_so(tables: Tables):
    none = tables.bench.iloc[:0]
    bare = Tables(**vars(tables) | {"bench": pd.DataFrame(none)})
    assert "has not been called yet" in speed.against_plain(bare).data
    assert speed.to_quality(bare).data == speed.by_size(bare).data == ""
