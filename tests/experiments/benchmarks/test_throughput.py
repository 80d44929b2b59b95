"""The benchmark of training: what its rows measure, and what an interruption keeps."""

import dataclasses
import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from helping import leave_finished

from experiments.benchmarks import baselines, throughput
from experiments.cli import bench as bench_command
from experiments.cli.options import CorpusOptions, StudyOptions
from experiments.data.corpus import Corpus, prepare_corpus
from experiments.plan import unique_runs
from experiments.profiles import PROFILES
from experiments.records.collect import read_table, write_table
from experiments.records.run_folder import RunFolder
from experiments.records.study import Study
from experiments.running.devices import default_precision

SPEEDS = ("tokens_per_second", "flops_per_second")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the benchmark train tiny networks for a step or two, in this process."""
    recipe = dataclasses.replace(
        throughput.NANOGPT_RECIPE, steps=2, warmup_steps=0, eval_windows=1, final_eval_windows=1
    )
    monkeypatch.setattr(throughput, "NANOGPT", throughput.NANOGPT | {"n_layers": 1})
    monkeypatch.setattr(throughput, "NANOGPT_RECIPE", recipe)
    monkeypatch.setattr(throughput, "_STEPS", 1)
    monkeypatch.setattr(throughput, "TRAININGS", (("fp32", False), ("bf16", False)))
    monkeypatch.setattr(baselines, "_SECONDS", 0.0)
    monkeypatch.setattr("torch.set_num_threads", lambda _: None)  # other tests need one thread
    monkeypatch.setattr(
        throughput,
        "_run_baseline",
        lambda name, *words: baselines.BASELINES[name](*map(str, words)),
    )


def test_whole_runs_are_measured_beside_the_plain_loop(small: None, corpus: Corpus, tmp_path: Path):
    rows = list(throughput.against_plain_loop(corpus, ["cpu", "cpu"], repeat=0))
    assert [(row["what"], row["precision"], row["workers"]) for row in rows] == [
        ("plain loop", "fp32", 1),
        ("whole runs", "fp32", 2),
        ("whole runs", "bf16", 2),
    ]
    for row in rows[1:]:  # two runs of two steps, by wall-clock time
        assert row["tokens_per_second"] == pytest.approx(2 * 2 * 12 * 64 / row["seconds"])
    write_table(tmp_path, "bench", rows)
    assert len(read_table(tmp_path, "bench")) == 3


def test_by_size_changes_one_thing_at_a_time(small: None, corpus: Corpus):
    rows = list(throughput.by_size(corpus, ["cpu", "cpu"], repeat=0))
    usual = {"width": 128, "context": 64, "batch": 12, "workers": 2}
    trained = [row for row in rows if row["what"] == "training"]
    for row in trained:
        changed = {name for name, value in usual.items() if row[name] != value}
        # The batch changes with the context, so that a step has as many tokens.
        also = {"batch"} if row["varied"] == "context" else set()
        assert changed == {row["varied"]} - {""} | also
        assert row["varied"] != "context" or row["context"] * row["batch"] == 768
    varied = {"": 1, "width": 2, "context": 3, "batch": 2, "workers": 1}
    assert Counter(row["varied"] for row in trained) == {name: 2 * n for name, n in varied.items()}
    assert len({repr({**row, "repeat": 0, **dict.fromkeys(SPEEDS)}) for row in trained}) == 18
    peaks = {row["precision"]: row["flops_per_second"] for row in rows if "varied" not in row}
    assert set(peaks) == {"fp32", "bf16"}


def test_between_runs_is_shorter_than_the_runs(small: None, corpus: Corpus):
    began = time.monotonic()
    (row,) = throughput.between_runs(corpus, "cpu", repeat=0)
    # Two of the four gaps are at least as long as the median.
    assert 0 < row["seconds"] < (time.monotonic() - began) / 2


def test_between_runs_matches_a_hand_calculation(corpus: Corpus, monkeypatch: pytest.MonkeyPatch):
    starts = [0, 10, 21, 33, 46]  # after runs of 9.5 seconds: gaps of 0.5, 1.5, 2.5 and 3.5
    summaries = [
        {"started": f"2026-01-01T00:00:{start:02}+00:00", "wall_seconds": 9.5} for start in starts
    ]
    monkeypatch.setattr(throughput, "through_runner", lambda *_: (60.0, summaries))
    (row,) = throughput.between_runs(corpus, "cpu", repeat=0)
    assert row["seconds"] == pytest.approx(2.0)


def test_a_failed_run_ends_the_benchmark(corpus: Corpus, tmp_path: Path):
    spec = throughput.spec_of(corpus, throughput.NANOGPT, throughput.NANOGPT_RECIPE, 0)
    missing = dataclasses.replace(corpus, folder=tmp_path / "nowhere")
    with pytest.raises(RuntimeError, match="a run of the benchmark did not finish"):
        throughput.through_runner([spec], missing, ["cpu"])


def test_a_study_is_finished_when_all_of_its_runs_are(text_file: Path, tmp_path: Path):
    data, results = tmp_path / "data", tmp_path / "results" / "smoke"
    corpus = prepare_corpus(str(text_file), data)
    profile = PROFILES["smoke"].with_precision(default_precision("cpu"))
    study = Study.of(profile, corpus, seeds=None)
    assert not throughput.study_is_finished(results, data, str(text_file), "cpu")
    for _ in range(3):  # each stage of tuning decides what the next plan has
        for spec in unique_runs(study.plan(results).runs):
            leave_finished(results, spec)
    assert throughput.study_is_finished(results, data, str(text_file), "cpu")
    RunFolder(results, spec.run_id).finish({"status": "failed", "reason": "planted"})
    assert not throughput.study_is_finished(results, data, str(text_file), "cpu")


@pytest.fixture
def only_calls(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave nothing of the benchmark but the timed calls."""
    for name in ("against_plain_loop", "to_quality", "by_size", "between_runs"):
        monkeypatch.setattr(throughput, name, lambda *_: [])
    monkeypatch.setattr(throughput, "prepare_corpus", lambda *_: corpus)


def test_an_interrupted_benchmark_keeps_whole_repeats_and_writes_no_table_before_a_timed_call(
    only_calls: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A new table makes the page out of date, and the timed call would have to update the page."""
    tables: list[bool] = []

    def time_calls(_: object, repeat: int) -> Iterator[throughput.Row]:
        tables.append((tmp_path / "smoke" / "bench.parquet").exists())
        if len(tables) == 4:  # one call to update the page, then one per repeat
            raise KeyboardInterrupt
        yield {"what": "run, all done", "repeat": repeat, "seconds": 1.0}

    monkeypatch.setattr(throughput, "study_is_finished", lambda *_: True)
    monkeypatch.setattr(throughput, "time_calls", time_calls)
    with pytest.raises(KeyboardInterrupt):
        throughput.measure(tmp_path / "smoke", tmp_path, "cpu", "words", [])
    assert tables == [False] * 4
    assert read_table(tmp_path / "smoke", "bench")["repeat"].tolist() == [0, 1]


@pytest.mark.parametrize("finished", [True, False])
def test_calls_are_timed_in_every_repeat_if_the_study_is_finished(
    finished: bool, only_calls: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    commands: list[list[str]] = []
    monkeypatch.setattr("subprocess.run", lambda command, **_: commands.append(command))
    monkeypatch.setattr(throughput, "study_is_finished", lambda *_: finished)
    calls = [("run, all done", ["run"]), ("report, all done", ["report"])]
    throughput.measure(tmp_path / "smoke", tmp_path, "cpu", "words", calls)
    if not finished:
        assert commands == []
    else:
        assert commands == [["run"], ["report"]] * 4  # one untimed call each, then one per repeat
        names = read_table(tmp_path / "smoke", "bench")["what"].tolist()
        assert names == ["run, all done", "report, all done"] * 3


def test_timed_calls_do_not_see_the_variables_that_choose_a_study(
    text_file: Path, corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """With `PRECISION=bf16`, the calls would train another study than the finished one."""
    measured = []

    def measure(*arguments: object) -> None:
        measured.append((arguments, dict(os.environ)))

    monkeypatch.setenv("PRECISION", "bf16")
    monkeypatch.setenv("SEEDS", "9")
    monkeypatch.setattr(bench_command, "measure", measure)
    monkeypatch.setattr(bench_command, "prepare_corpus", lambda *_: corpus)
    bench_command.bench(
        study=StudyOptions(profile="smoke", device="cpu", results=tmp_path / "results"),
        corpus=CorpusOptions(corpus=str(text_file), data=tmp_path / "data"),
    )
    [((results, _, device, corpus_name, calls), environment)] = measured
    assert (results, device, corpus_name) == (tmp_path / "results" / "smoke", "cpu", str(text_file))
    assert not {"PRECISION", "SEEDS"} & set(environment)
    assert {"PATH"} <= set(environment)
    assert [name for name, _ in calls] == ["run, all done", "report, all done"]
    for _, command in calls:
        assert command[command.index("--profile") + 1] == "smoke"
