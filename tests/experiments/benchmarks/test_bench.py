"""The benchmark measures what it says, by the study's own runner."""

import dataclasses
import time
from collections import Counter
from pathlib import Path

import pytest
from helping import leave_finished

from experiments.benchmarks import baselines as yardsticks
from experiments.benchmarks import throughput as bench
from experiments.data.corpus import Corpus, prepare_corpus
from experiments.plan import unique_runs
from experiments.profiles import PROFILES
from experiments.records.collect import read_table, write_table
from experiments.records.run_folder import RunFolder
from experiments.records.study import Study

SPEEDS = ("tokens_per_second", "flops_per_second")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same benchmark of a network that takes no time."""
    recipe = dataclasses.replace(
        bench.NANOGPT_RECIPE, steps=2, warmup_steps=0, eval_windows=1, final_eval_windows=1
    )
    monkeypatch.setattr(bench, "NANOGPT", bench.NANOGPT | {"n_layers": 1})
    monkeypatch.setattr(bench, "NANOGPT_RECIPE", recipe)
    monkeypatch.setattr(bench, "_STEPS", 1)
    monkeypatch.setattr(bench, "WAYS", (("fp32", False), ("bf16", False)))
    monkeypatch.setattr(yardsticks, "_ENOUGH", 0.0)
    monkeypatch.setattr("torch.set_num_threads", lambda _: None)  # other tests count on one
    monkeypatch.setattr(
        bench, "_elsewhere", lambda name, *words: yardsticks.YARDSTICKS[name](*map(str, words))
    )


def test_whole_runs_stand_beside_the_plain_loop(small: None, corpus: Corpus, tmp_path: Path):
    rows = list(bench.against_plain(corpus, ["cpu", "cpu"], repeat=0))
    assert [(row["what"], row["precision"], row["workers"]) for row in rows] == [
        ("plain loop", "fp32", 1),
        ("whole runs", "fp32", 2),
        ("whole runs", "bf16", 2),
    ]
    for row in rows[1:]:  # two runs of two steps, by the clock around them
        assert row["tokens_per_second"] == pytest.approx(2 * 2 * 12 * 64 / row["seconds"])
    write_table(tmp_path, "bench", rows)
    assert len(read_table(tmp_path, "bench")) == 3


def test_one_thing_is_changed_at_a_time(small: None, corpus: Corpus):
    rows = list(bench.by_size(corpus, ["cpu", "cpu"], repeat=0))
    usual = {"width": 128, "context": 64, "batch": 12, "workers": 2}
    trained = [row for row in rows if row["what"] == "training"]
    for row in trained:
        changed = {name for name, value in usual.items() if row[name] != value}
        with_it = {"batch"} if row["varied"] == "context" else set()  # as many tokens in a step
        assert changed == {row["varied"]} - {""} | with_it
        assert row["varied"] != "context" or row["context"] * row["batch"] == 768
    varied = {"": 1, "width": 2, "context": 3, "batch": 2, "workers": 1}
    assert Counter(row["varied"] for row in trained) == {name: 2 * n for name, n in varied.items()}
    assert len({repr({**row, "repeat": 0, **dict.fromkeys(SPEEDS)}) for row in trained}) == 18
    peaks = {row["precision"]: row["flops_per_second"] for row in rows if "varied" not in row}
    assert set(peaks) == {"fp32", "bf16"}


def test_a_slot_between_two_runs(small: None, corpus: Corpus):
    began = time.monotonic()
    (row,) = bench.between_runs(corpus, ["cpu"], repeat=0)
    assert 0 < row["seconds"] < (time.monotonic() - began) / 2  # two of the four are no shorter


def test_a_slot_between_two_runs_by_hand(corpus: Corpus, monkeypatch: pytest.MonkeyPatch):
    begins = [0, 10, 21, 33, 46]  # after runs of 9.5 seconds: 0.5, 1.5, 2.5 and 3.5 later
    found = [{"started": f"2026-01-01T00:00:{at:02}+00:00", "wall_seconds": 9.5} for at in begins]
    monkeypatch.setattr(bench, "through_runner", lambda *_: (60.0, found))
    (row,) = bench.between_runs(corpus, ["cpu"], repeat=0)
    assert row["seconds"] == pytest.approx(2.0)


def test_a_run_that_fails_ends_the_benchmark(corpus: Corpus, tmp_path: Path):
    spec = bench.spec_of(corpus, bench.NANOGPT, bench.NANOGPT_RECIPE, 0)
    missing = dataclasses.replace(corpus, folder=tmp_path / "nowhere")
    with pytest.raises(RuntimeError, match="a run of the benchmark ended so"):
        bench.through_runner([spec], missing, ["cpu"])


def test_a_study_is_finished_when_all_of_its_runs_are(text_file: Path, tmp_path: Path):
    """What would train something is not timed as a call with nothing to do."""
    data, results = tmp_path / "data", tmp_path / "results" / "smoke"
    corpus = prepare_corpus(str(text_file), data)
    study = Study.of(PROFILES["smoke"], corpus, seeds=None)
    assert not bench.finished(results, data, str(text_file), "cpu")
    for _ in range(3):  # what the rates turn out to be decides what else is planned
        planned = study.plan(results)
        for spec in unique_runs([*planned.trials, *planned.members]):
            leave_finished(results, spec)
    assert bench.finished(results, data, str(text_file), "cpu")
    RunFolder(results, spec.run_id).finish({"status": "failed", "reason": "planted"})
    assert not bench.finished(results, data, str(text_file), "cpu")


def test_whole_repeats_are_kept_and_no_table_changes_before_a_timed_call(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A page is made anew where a table has changed: in the time of a call when all is done."""
    seen: list[bool] = []

    def around(results: Path, *_: object) -> list[bench.Row]:
        seen.append((results / "bench.parquet").exists())
        if len(seen) == 4:  # once to bring the page up to date, then once a repeat
            raise KeyboardInterrupt
        return [{"what": "run, all done", "repeat": len(seen) - 2, "seconds": 1.0}]

    for name in ("against_plain", "to_quality", "by_size", "between_runs"):
        monkeypatch.setattr(bench, name, lambda *_: [])
    monkeypatch.setattr(bench, "prepare", lambda *_: corpus)
    monkeypatch.setattr(bench, "finished", lambda *_: True)
    monkeypatch.setattr(bench, "around", around)
    with pytest.raises(KeyboardInterrupt):
        bench.main(tmp_path / "smoke", tmp_path, "cpu", "words")
    assert seen == [False] * 4
    assert read_table(tmp_path / "smoke", "bench")["repeat"].tolist() == [0, 1]


def test_a_call_that_is_timed_trains_nothing_that_the_environment_asks_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """`PRECISION=bf16 make bench` would else make another study of the one that lies there."""
    seen = []
    monkeypatch.setenv("PRECISION", "bf16")
    monkeypatch.setenv("SEEDS", "9")
    monkeypatch.setattr("subprocess.run", lambda command, *, env, **_: seen.append((command, env)))
    rows = list(bench.around(tmp_path / "smoke", tmp_path, "cpu", "shakespeare", repeat=0))
    assert [row["what"] for row in rows] == ["run, all done", "report, all done"]
    for command, env in seen:
        assert not {"PRECISION", "SEEDS"} & set(env)
        assert {"PATH"} <= set(env)
        assert command[command.index("--profile") + 1] == "smoke"
