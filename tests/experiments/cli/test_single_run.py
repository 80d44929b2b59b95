"""`train`, `sample` and `evaluate`: the kept weights give the losses of the study."""

import subprocess
from pathlib import Path

import pytest
from helping import call, flipped, leave_tuned

from experiments.data.corpus import prepare_corpus
from experiments.planning.plan import unique_runs
from experiments.profiles import PROFILES
from experiments.records.run_folder import RunFolder
from experiments.records.study import Study
from experiments.running.job import Job
from experiments.running.local import Local
from experiments.training.checkpoint import load_weights
from model import build


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, text_file: Path) -> Path:
    """A study in which some runs are finished."""
    folder = tmp_path_factory.mktemp("place")
    results = folder / "results" / "smoke"
    results.mkdir(parents=True)
    corpus = prepare_corpus(str(text_file), folder / "data")
    study = Study.of(PROFILES["smoke"], corpus, seeds=1)
    study.save(results)
    plan = leave_tuned(results, study, ["heads", "continuation", "ladder"])
    specs = unique_runs(plan.comparison_runs)
    chosen = [spec for spec in specs if spec.model.n_heads == 1 or spec.model.family == "bigram"]
    chosen += [spec for spec in specs if spec.recipe.task == "continuation"][:1]
    list(Local().run(chosen, Job(corpus, results, {}), ["cpu", "cpu"]))
    return folder


def by_hand(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return call(place, *words, "--profile", "smoke")


@pytest.mark.parametrize("name", ["heads/heads-1", "ladder/bigram/seed-200"])
def test_evaluate_and_sample_use_weights_that_give_the_losses_of_the_study(place: Path, name: str):
    results = place / "results" / "smoke"
    plan = Study.load(results).plan(results)
    ablation, variant = name.split("/")[:2]
    budgets = {
        m.budget: m.spec
        for m in plan.comparison_runs
        if (m.ablation, m.variant) == (ablation, variant)
    }
    assert sorted(budgets) == ([1, 2] if ablation == "heads" else [1])
    spec = budgets[max(budgets)]  # of several budgets, the name means the longest training
    summary = RunFolder(results, spec.run_id).summary()
    assert summary
    done = by_hand(place, "evaluate", name)
    assert done.returncode == 0, done.stderr
    assert "the weights of the run were not kept: training it again" in done.stderr
    assert "here, and was" not in done.stderr  # it came out the same
    for split in ("train", "val", "test"):
        assert f"{split:5} loss {summary[f'{split}_loss']:.4f}" in done.stdout
    again = by_hand(place, "sample", spec.run_id[:8], "--length", "40", "--prompt", "the c")
    assert again.returncode == 0, again.stderr
    assert again.stderr == ""  # the weights are there now
    assert again.stdout.startswith("the c")
    assert len(again.stdout) == len("the c") + 40 + 1
    other = by_hand(place, "sample", name, "--length", "40", "--prompt", "the c", "--seed", "1")
    assert other.stdout != again.stdout


def test_train_applies_every_change_and_damaged_weights_are_trained_again(
    place: Path, text_file: Path
):
    changes = [
        "model.position=none",
        "recipe.steps=4",
        "model.bias=false",
        "recipe.warmup_steps=1",
    ]
    options = [word for change in changes for word in ("--set", change)]
    done = by_hand(place, "train", *options, "--seed", "7", "--corpus", str(text_file))
    assert done.returncode == 0, done.stderr
    run_id = done.stdout.split("sample ")[1].split()[0]
    folder = RunFolder(place / "results" / "smoke" / "by-hand", run_id)
    spec = folder.spec()
    assert (spec.model.position, spec.model.bias) == ("none", False)
    assert (spec.recipe.steps, spec.recipe.warmup_steps, spec.seed) == (4, 1, 7)
    load_weights(build(spec.model), folder.weights)
    assert not (place / "results" / "smoke" / "runs" / run_id).exists()
    weights = folder.weights.read_bytes()
    folder.weights.write_bytes(flipped(weights, -1))
    assert by_hand(place, "evaluate", run_id).returncode == 0
    assert folder.weights.read_bytes() == weights


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sample", "heads/heads-11"], "unknown run 'heads/heads-11/200'"),
        (["sample", "heads/heads-11"], "did you mean 'heads/heads-1/200'?"),
        (["sample", "zz"], "'zz' is no run in"),
        (["sample", ""], "is the beginning of several runs"),
        (["sample", "heads/heads-1", "--prompt", "ß"], "'ß' is no character of corpus"),
        (["sample", "heads/heads-1", "--prompt", ""], "--prompt is empty"),
        (["sample", "continuation/decoder"], "its task is 'continuation'"),
        (["train", "--set", "model.positon=rope"], "did you mean 'model.position'?"),
        (["train", "--set", "model.position=rop"], "did you mean 'rope'?"),
        (["train", "--set", "model.position"], "must be FIELD=VALUE"),
        (["train", "--set", "recipe.steps=NaN"], "steps=nan cannot work"),
    ],
)
def test_bad_runs_prompts_and_changes_are_refused_in_one_line(
    place: Path, text_file: Path, words: list[str], message: str
):
    corpus = ["--corpus", str(text_file)] if words[0] == "train" else []
    done = by_hand(place, *words, *corpus)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert "Traceback" not in done.stderr
