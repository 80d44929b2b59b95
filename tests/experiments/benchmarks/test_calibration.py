"""Calibration: the recipes are as nanoGPT publishes them, and every run is trained once."""

import dataclasses
from pathlib import Path

import pytest
from helping import leave_finished, words

from experiments.benchmarks import calibration
from experiments.benchmarks.calibration import (
    PUBLISHED,
    Published,
    full_evaluation,
    rows,
    spec_of,
)
from experiments.cli import bench as calibrate_command
from experiments.data.corpus import Corpus
from experiments.records.collect import read_table
from experiments.records.run_folder import RunFolder
from experiments.running.job import Job
from experiments.spec import RunSpec
from experiments.training.windows import evaluation_starts
from model import ModelConfig, parameter_count

# Of both recipes: config/train_shakespeare_char.py, and the README's line for a processor.
SHARED = {
    **{"learning_rate": 1e-3, "final_learning_rate_ratio": 0.1, "warmup_steps": 100},
    **{"optimizer": "adamw", "beta1": 0.9, "beta2": 0.99, "weight_decay": 0.1},
    **{"gradient_clip": 1.0, "schedule": "cosine", "label_smoothing": 0.0},
}
SIZES = {
    "cpu": (804_096, {"n_layers": 4, "n_heads": 4, "d_model": 128, "context_length": 64}),
    "cuda": (10_745_088, {"n_layers": 6, "n_heads": 6, "d_model": 384, "context_length": 256}),
}
LENGTHS = {
    "cpu": (1.88, 0.0, {"steps": 2000, "batch_size": 12}),
    "cuda": (1.4697, 0.2, {"steps": 5000, "batch_size": 64}),
}
POINT = '{"step": %d, "split": "%s", "loss": %s}\n'


@pytest.mark.parametrize("published", PUBLISHED, ids=lambda published: published.device)
def test_networks_and_recipes_are_as_nanogpt_publishes_them(published: Published):
    config = ModelConfig(vocab_size=65, **published.network)
    parameters, network = SIZES[published.device]
    loss, dropout, recipe = LENGTHS[published.device]
    assert parameter_count(config) == parameters
    assert (config.dropout, config.bias, config.tie_embeddings) == (dropout, False, True)
    assert (config.position, config.norm, config.norm_placement) == ("learned", "layernorm", "pre")
    assert (config.activation, config.d_ff) == ("gelu", 4 * config.d_model)
    fields = dataclasses.asdict(config) | dataclasses.asdict(published.recipe)
    expected = network | SHARED | recipe
    assert {name: fields[name] for name in expected} == expected
    assert published.loss == loss


@pytest.mark.parametrize("published", PUBLISHED, ids=lambda published: published.device)
def test_full_evaluation_reads_the_whole_validation_split(published: Published, corpus: Corpus):
    recipe, context = full_evaluation(published, corpus), published.network["context_length"]
    starts = evaluation_starts(corpus.lengths["val"], context, 10**9)
    assert recipe.eval_windows == len(starts)
    assert corpus.lengths["val"] - context <= starts[-1] + context < corpus.lengths["val"]
    assert dataclasses.replace(recipe, eval_windows=240) == published.recipe  # nothing else


def test_rows_has_a_row_per_run_and_one_per_recipe_without_a_run(corpus: Corpus, tmp_path: Path):
    cpu, gpu = PUBLISHED
    specs = {(cpu.name, i): spec_of(corpus, cpu.network, cpu.recipe, i) for i in range(3)}
    done, failed, unfinished = specs.values()
    curve = "".join(POINT % (step, "val", loss) for step, loss in enumerate((3.0, 1.5, 2.0)))
    metrics = curve + POINT % (2, "train", 0.1)
    leave_finished(tmp_path, done, metrics=metrics, val_loss=2.0, parameters=7)
    leave_finished(tmp_path, failed, metrics=curve, status="failed", reason="planted")
    RunFolder(tmp_path, unfinished.run_id).start(unfinished)
    table = rows(specs, tmp_path)
    assert {row["margin"] for row in table} == {calibration.MARGIN}
    done_row, failed_row, unfinished_row, gpu_row = table
    assert (done_row["recipe"], done_row["published"], done_row["seed"]) == (cpu.name, cpu.loss, 0)
    assert (done_row["val_loss"], done_row["lowest_loss"], done_row["parameters"]) == (2.0, 1.5, 7)
    assert (failed_row["status"], failed_row["reason"]) == ("failed", "planted")
    assert failed_row["lowest_loss"] is None
    assert (unfinished_row["run_id"], unfinished_row["val_loss"]) == (unfinished.run_id, None)
    assert unfinished_row["lowest_loss"] is None
    assert (gpu_row["recipe"], gpu_row["published"]) == (gpu.name, gpu.loss)
    assert (gpu_row["status"], gpu_row["reason"]) == ("not run", "it needs cuda")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the recipes train tiny networks for four steps, on a text that is not downloaded."""
    size = {"d_model": 16, "d_ff": 32, "n_layers": 1, "n_heads": 2, "context_length": 16}
    short = {"steps": 4, "warmup_steps": 1, "eval_every": 2}
    published = [
        dataclasses.replace(
            entry, network=entry.network | size, recipe=dataclasses.replace(entry.recipe, **short)
        )
        for entry in PUBLISHED
    ]
    monkeypatch.setattr(calibration, "PUBLISHED", published)
    monkeypatch.setattr("experiments.data.corpus._tinyshakespeare", lambda _: words())


def calibrate(folder: Path) -> int:
    """Call the command for two seeds on a processor and return its exit status."""
    return calibrate_command.calibrate(
        device="cpu", jobs=1, seeds=2, results=folder / "results", data=folder / "data"
    )


def test_calibrate_trains_every_run_once(
    small: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    trained, summaries = [], []
    for _ in range(2):
        assert calibrate(tmp_path) == 0
        trained.append(capsys.readouterr().out.count("validation loss"))
        files = sorted((tmp_path / "results" / "calibration" / "runs").rglob("summary.json"))
        summaries.append([(file, file.stat().st_mtime_ns) for file in files])
    assert trained == [2, 0]
    assert summaries[0] == summaries[1]
    table = read_table(tmp_path / "results" / "calibration", "calibration")
    assert table["status"].tolist() == ["done", "done", "not run"]
    assert table["seed"].tolist()[:2] == [0, 1]
    assert table["run_id"].nunique() == 2
    assert (table["lowest_loss"][:2] <= table["val_loss"][:2]).all()
    assert table["steps"].tolist()[:2] == [4, 4]


def test_calibrate_names_failed_runs_and_returns_1(
    small: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    def fail(specs: list[RunSpec], _: object, job: Job, *__: object) -> None:
        leave_finished(job.results, specs[0], metrics=POINT % (0, "val", 3.0))
        leave_finished(job.results, specs[1], status="failed", reason="planted")

    monkeypatch.setattr(calibrate_command, "train_apart", fail)
    assert calibrate(tmp_path) == 1
    assert "failed: nanoGPT's for a processor, seed 1: planted" in capsys.readouterr().out
