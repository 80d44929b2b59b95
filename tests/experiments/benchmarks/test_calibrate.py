"""nanoGPT's recipes are those that it publishes; what is asked of them is trained once."""

import dataclasses
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from helping import leave_finished, words

from experiments.benchmarks import calibration
from experiments.benchmarks.calibration import PUBLISHED, calibrate, rows, spec_of, whole
from experiments.data.corpus import Corpus
from experiments.records.collect import read_table
from experiments.records.run_folder import RunFolder
from experiments.running.job import Job
from experiments.spec import RunSpec
from experiments.training.windows import evaluation_starts
from model import ModelConfig, parameter_count

# Of both: config/train_shakespeare_char.py, and the README's line for a processor.
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
def test_the_recipes_are_nanogpts(published: calibration.Published):
    config = ModelConfig(vocab_size=65, **published.network)
    parameters, network = SIZES[published.device]
    loss, dropout, recipe = LENGTHS[published.device]
    assert parameter_count(config) == parameters
    assert (config.dropout, config.bias, config.tie_embeddings) == (dropout, False, True)
    assert (config.position, config.norm, config.norm_placement) == ("learned", "layernorm", "pre")
    assert (config.activation, config.d_ff) == ("gelu", 4 * config.d_model)
    found = dataclasses.asdict(config) | dataclasses.asdict(published.recipe)
    wanted = network | SHARED | recipe
    assert {name: found[name] for name in wanted} == wanted
    assert published.loss == loss


@pytest.mark.parametrize("published", PUBLISHED, ids=lambda published: published.device)
def test_every_evaluation_is_of_the_whole_split(published: calibration.Published, corpus: Corpus):
    recipe, context = whole(published, corpus), published.network["context_length"]
    assert recipe.eval_windows == recipe.final_eval_windows
    everything = evaluation_starts(corpus.lengths["val"], context, 10**9)
    assert recipe.eval_windows == len(everything)
    assert corpus.lengths["val"] - context <= everything[-1] + context < corpus.lengths["val"]
    sampled = {"eval_windows": 240, "final_eval_windows": 240}
    assert dataclasses.replace(recipe, **sampled) == published.recipe  # the rest is as it was


def test_a_row_for_every_run_and_one_for_a_recipe_that_was_not_run(corpus: Corpus, tmp_path: Path):
    ours, theirs = PUBLISHED
    asked = {(ours.name, i): spec_of(corpus, ours.network, ours.recipe, i) for i in range(3)}
    first, failed, begun = asked.values()
    curve = "".join(POINT % (step, "val", loss) for step, loss in enumerate((3.0, 1.5, 2.0)))
    metrics = curve + POINT % (2, "train", 0.1)
    leave_finished(tmp_path, first, metrics=metrics, val_loss=2.0, parameters=7)
    leave_finished(tmp_path, failed, metrics=curve, status="failed", reason="planted")
    RunFolder(tmp_path, begun.run_id).start(begun)
    one, two, three, other = rows(asked, tmp_path)
    assert {row["margin"] for row in (one, two, three, other)} == {calibration.MARGIN}
    assert (one["recipe"], one["published"], one["seed"]) == (ours.name, ours.loss, 0)
    assert (one["val_loss"], one["lowest_loss"], one["parameters"]) == (2.0, 1.5, 7)
    assert (two["status"], two["reason"], "lowest_loss" in two) == ("failed", "planted", False)
    assert (three["run_id"], three["val_loss"]) == (begun.run_id, None)
    assert "lowest_loss" not in three
    assert (other["recipe"], other["published"]) == (theirs.name, theirs.loss)
    assert (other["status"], other["reason"]) == ("not run", "it needs cuda")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same recipes of networks that take no time, on a text that is no download."""
    size = {"d_model": 16, "d_ff": 32, "n_layers": 1, "n_heads": 2, "context_length": 16}
    few = {"steps": 4, "warmup_steps": 1, "eval_every": 2}
    published = [
        dataclasses.replace(
            one, network=one.network | size, recipe=dataclasses.replace(one.recipe, **few)
        )
        for one in PUBLISHED
    ]
    monkeypatch.setattr(calibration, "PUBLISHED", published)
    monkeypatch.setattr("experiments.data.corpus._fetch_tiny", lambda _: words())


def called(folder: Path) -> Result:
    """The command, for two seeds on a processor."""
    where = ["--results", str(folder / "results"), "--data", str(folder / "data")]
    return CliRunner().invoke(calibrate, ["--device=cpu", "--jobs=1", "--seeds=2", *where])


def test_what_is_asked_is_trained_once(small: None, tmp_path: Path):
    told, left = [], []
    for _ in range(2):
        done = called(tmp_path)
        assert done.exit_code == 0, done.output
        told.append(done.output.count("validation loss"))
        runs = sorted((tmp_path / "results" / "calibration" / "runs").rglob("summary.json"))
        left.append([(file, file.stat().st_mtime_ns) for file in runs])
    assert told == [2, 0]
    assert left[0] == left[1]
    table = read_table(tmp_path / "results" / "calibration", "calibration")
    assert table["status"].tolist() == ["done", "done", "not run"]
    assert table["seed"].tolist()[:2] == [0, 1]
    assert table["run_id"].nunique() == 2
    assert (table["lowest_loss"][:2] <= table["val_loss"][:2]).all()
    assert table["steps"].tolist()[:2] == [4, 4]


def test_a_run_that_fails_is_said_and_decides_the_status(
    small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def fail(specs: list[RunSpec], _: object, job: Job, *__: object) -> None:
        leave_finished(job.results, specs[0], metrics=POINT % (0, "val", 3.0))
        leave_finished(job.results, specs[1], status="failed", reason="planted")

    monkeypatch.setattr(calibration, "train_apart", fail)
    done = called(tmp_path)
    assert done.exit_code == 1
    assert "failed: nanoGPT's for a processor, seed 1: planted" in done.output
