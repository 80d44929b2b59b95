"""The benchmark of training: what its rows measure, and what an interruption keeps."""

import dataclasses
import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from helping import leave_finished, leave_tuned

from experiments.benchmarks import baselines, throughput
from experiments.benchmarks.step_profile import KINDS, kind_of
from experiments.cli import bench as bench_command
from experiments.cli.options import CorpusOptions, StudyOptions
from experiments.data.corpus import Corpus, prepare_corpus
from experiments.errors import UserError
from experiments.planning.plan import unique_runs
from experiments.profiles import PROFILES
from experiments.records.collect import read_table, write_table
from experiments.records.run_folder import RunFolder
from experiments.records.study import Study
from experiments.running.devices import default_precision

SPEEDS = ("tokens_per_second", "flops_per_second")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the benchmark train tiny networks for a step or two, in this process."""
    recipe = dataclasses.replace(throughput.NANOGPT_RECIPE, steps=2, warmup_steps=0, eval_windows=1)
    monkeypatch.setattr(throughput, "NANOGPT", throughput.NANOGPT | {"n_layers": 1})
    monkeypatch.setattr(throughput, "NANOGPT_RECIPE", recipe)
    monkeypatch.setattr(throughput, "_STEPS", 1)
    monkeypatch.setattr(throughput, "_BASE_STEPS", 2)
    base = PROFILES["cpu"]
    few = dataclasses.replace(base.recipe, warmup_steps=0, eval_windows=1)
    monkeypatch.setitem(throughput.PROFILES, "cpu", dataclasses.replace(base, recipe=few))
    monkeypatch.setattr(throughput, "TRAININGS", (("fp32", False), ("bf16", False)))
    monkeypatch.setattr(baselines, "_SECONDS", 0.0)
    # Other tests need floats below the normal range, which this setting flushes to zero.
    monkeypatch.setattr(baselines, "configure_torch", lambda: None)
    monkeypatch.setattr("torch.set_num_threads", lambda _: None)  # other tests need one thread
    monkeypatch.setattr(
        throughput,
        "_run_baseline",
        lambda name, *words: baselines.BASELINES[name](*map(str, words)),
    )


def test_whole_runs_are_measured_beside_the_plain_loop(small: None, corpus: Corpus, tmp_path: Path):
    rows = list(throughput.against_nanogpt(corpus, tmp_path, ["cpu", "cpu"], 0, None))
    assert [(row["what"], row["precision"], row["workers"]) for row in rows] == [
        ("plain loop", "fp32", 1),
        ("whole runs", "fp32", 2),
        ("whole runs", "bf16", 2),
    ]
    for row in rows[1:]:  # two runs of two steps, by wall-clock time
        assert row["tokens_per_second"] == pytest.approx(2 * 2 * 12 * 64 / row["seconds"])
    write_table(tmp_path, "bench", rows)
    assert len(read_table(tmp_path, "bench")) == 3


def test_whole_runs_of_the_base_are_measured(small: None, corpus: Corpus):
    rows = list(throughput.of_the_base(corpus, ["cpu", "cpu"], repeat=0))
    assert [(row["what"], row["precision"], row["width"]) for row in rows] == [
        ("whole runs of the base", precision, 64) for precision in ("fp32", "bf16")
    ]
    for row in rows:
        assert row["tokens_per_second"] == pytest.approx(2 * 2 * 8 * 128 / row["seconds"])


def test_a_step_is_divided_into_kinds_that_add_up_to_it(small: None, tmp_path: Path):
    rows = list(throughput.by_operation("cpu", repeat=0))
    write_table(tmp_path, "bench", rows)
    table = read_table(tmp_path, "bench")
    assert set(table["what"]) == {"step, base of the study", "step, nanoGPT's recipe"}
    for _, step in table.groupby(["what", "precision"]):
        whole = step[step["part"].isna()].iloc[0]
        parts = step.dropna(subset="part").set_index("part")
        assert set(parts.index) == set(KINDS)
        assert parts["seconds"].sum() == pytest.approx(whole["seconds"])
        assert (parts["seconds"] > 0).all()
        assert whole["page_faults"] >= 0
        # Four layers of four products, and the head; each twice more in the backward pass, but for
        # the gradient of the embedding, which is no product.
        assert parts.loc["matrix products", "calls"] == pytest.approx(3 * 17, abs=4)


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        ("aten::addmm", "matrix products"),
        ("aten::add_", "sums, products and copies"),
        ("aten::bmm", "attention"),
        ("aten::_softmax_backward_data", "attention"),
        ("aten::_scaled_dot_product_flash_attention_for_cpu", "attention"),
        ("aten::_log_softmax", "loss"),
        ("aten::mm", "matrix products"),
        ("aten::mul", "sums, products and copies"),
        ("Optimizer.step#AdamW.step", "optimiser"),
        ("aten::view", "dispatch"),
        ("autograd::engine::evaluate_function: MmBackward0", "dispatch"),
    ],
)
def test_operations_belong_to_the_kind_that_they_spend_time_on(operation: str, kind: str):
    assert kind_of(operation) == kind


def test_nanogpt_is_trained_from_a_copy_by_its_own_program(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The program is replaced by one that prints what nanoGPT prints."""
    checkout = tmp_path / "nanoGPT"
    (checkout / "config").mkdir(parents=True)
    for name in ("model.py", "configurator.py", "config/train_shakespeare_char.py"):
        (checkout / name).touch()
    (checkout / "train.py").write_text(
        "import pickle, numpy, sys\n"
        "assert '--device=cpu' in sys.argv and '--block_size=64' in sys.argv\n"
        "meta = pickle.load(open('data/shakespeare_char/meta.pkl', 'rb'))\n"
        "tokens = numpy.fromfile('data/shakespeare_char/train.bin', dtype=numpy.uint16)\n"
        "assert tokens.max() < meta['vocab_size'] and len(tokens) > 100\n"
        "for i, ms in enumerate((90, 40, 40)):\n"
        "    print(f'iter {i}: loss 4.1, time {ms:.2f}ms, mfu 1.00%')\n"
    )
    before = sorted(path.name for path in checkout.rglob("*"))
    monkeypatch.setattr(baselines, "prepare_corpus", lambda *_: corpus)
    row = baselines.nanogpt(str(checkout), "cpu", "data")
    assert row == {"tokens_per_second": pytest.approx(12 * 64 / 0.040)}
    assert sorted(path.name for path in checkout.rglob("*")) == before
    with pytest.raises(UserError, match="is no checkout of nanoGPT"):
        baselines.nanogpt(str(tmp_path), "cpu", "data")


def test_the_row_says_that_nanogpt_itself_was_measured(
    small: None, corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(baselines.BASELINES, "nanogpt", lambda *_: {"tokens_per_second": 1.0})
    first, *_ = throughput.against_nanogpt(corpus, tmp_path, ["cpu"], 0, tmp_path)
    assert (first["what"], first["tokens_per_second"]) == ("nanoGPT's train.py", 1.0)


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
    plan = leave_tuned(results, study)
    assert not throughput.study_is_finished(results, data, str(text_file), "cpu")
    for spec in unique_runs(plan.comparison_runs):
        leave_finished(results, spec)
    assert throughput.study_is_finished(results, data, str(text_file), "cpu")
    RunFolder(results, spec.run_id).finish({"status": "failed", "reason": "planted"})
    assert not throughput.study_is_finished(results, data, str(text_file), "cpu")


def test_a_study_is_finished_at_the_budgets_that_it_has(text_file: Path, tmp_path: Path):
    """Calls that are timed as training nothing must not train a budget that was added."""
    data, results = tmp_path / "data", tmp_path / "results" / "smoke"
    corpus = prepare_corpus(str(text_file), data)
    profile = PROFILES["smoke"].with_precision(default_precision("cpu"))
    study = Study.of(profile, corpus, seeds=None, budgets=[1])
    study.save(results)
    for spec in unique_runs(leave_tuned(results, study).comparison_runs):
        leave_finished(results, spec)
    assert throughput.study_is_finished(results, data, str(text_file), "cpu")
    Study.of(profile, corpus, seeds=None, budgets=[1, 2]).save(results)
    assert not throughput.study_is_finished(results, data, str(text_file), "cpu")


@pytest.fixture
def only_calls(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave nothing of the benchmark but the timed calls."""
    for name in (
        "against_nanogpt",
        "of_the_base",
        "by_operation",
        "to_quality",
        "by_size",
        "between_runs",
    ):
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
    [((results, _, device, corpus_name, calls, nanogpt), environment)] = measured
    assert (results, device, corpus_name) == (tmp_path / "results" / "smoke", "cpu", str(text_file))
    assert nanogpt is None
    assert not {"PRECISION", "SEEDS"} & set(environment)
    assert {"PATH"} <= set(environment)
    assert [name for name, _ in calls] == ["run, all done", "report, all done"]
    for _, command in calls:
        assert command[command.index("--profile") + 1] == "smoke"
