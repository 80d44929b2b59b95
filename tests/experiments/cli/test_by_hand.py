"""One run by hand: its weights give the numbers that the study has, and wrong words one line."""

import subprocess
from pathlib import Path

import pytest
from helping import call, flipped

from experiments.data.corpus import prepare_corpus
from experiments.plan import unique_runs
from experiments.profiles import PROFILES
from experiments.records.run_folder import RunFolder
from experiments.records.study import Study
from experiments.running.job import Job
from experiments.running.local import Local
from experiments.training.checkpoint import load_weights
from model import build


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, text_file: Path) -> Path:
    """A study of which some runs are over."""
    folder = tmp_path_factory.mktemp("place")
    results = folder / "results" / "smoke"
    results.mkdir(parents=True)
    corpus = prepare_corpus(str(text_file), folder / "data")
    study = Study.of(PROFILES["smoke"], corpus, seeds=1)
    study.save(results)
    specs = unique_runs(study.plan(results, ["heads", "continuation", "ladder"]).members)
    some = [spec for spec in specs if spec.model.n_heads == 1 or spec.model.family == "bigram"]
    some += [spec for spec in specs if spec.recipe.task == "continuation"][:1]
    list(Local().run(some, Job(corpus, results, {}), ["cpu", "cpu"]))
    return folder


def by_hand(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return call(place, *words, "--profile", "smoke")


@pytest.mark.parametrize("name", ["heads/heads-1", "ladder/bigram/seed-0"])
def test_the_weights_give_the_losses_of_the_study(place: Path, name: str):
    results = place / "results" / "smoke"
    plan = Study.load(results).plan(results)
    ablation, variant = name.split("/")[:2]
    (spec,) = [m.spec for m in plan.members if (m.ablation, m.variant) == (ablation, variant)]
    summary = RunFolder(results, spec.run_id).summary()
    assert summary
    done = by_hand(place, "evaluate", name)
    assert done.returncode == 0, done.stderr
    assert "its weights were not kept: training it again" in done.stderr
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


def test_what_is_set_is_what_is_trained(place: Path, text_file: Path):
    changes = [
        "--set",
        "model.position=none",
        "--set",
        "recipe.steps=4",
        "--set",
        "model.bias=false",
    ]
    words = [
        "train",
        *changes,
        "--seed",
        "7",
        "--corpus",
        str(text_file),
        "--set",
        "recipe.warmup_steps=1",
    ]
    done = by_hand(place, *words)
    assert done.returncode == 0, done.stderr
    run_id = done.stdout.split("sample ")[1].split()[0]
    folder = RunFolder(place / "results" / "smoke" / "by-hand", run_id)
    spec = folder.spec()
    assert (spec.model.position, spec.model.bias, spec.recipe.steps, spec.seed) == (
        "none",
        False,
        4,
        7,
    )
    load_weights(build(spec.model), folder.weights)
    assert not (place / "results" / "smoke" / "runs" / run_id).exists()
    # a weight that is not as it was written is noticed, and the run made again
    whole = folder.weights.read_bytes()
    folder.weights.write_bytes(flipped(whole, -1))
    assert by_hand(place, "evaluate", run_id).returncode == 0
    assert folder.weights.read_bytes() == whole


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["sample", "heads/heads-11"], "no run 'heads/heads-11/0' in"),
        (["sample", "heads/heads-11"], "did you mean 'heads/heads-1/0'?"),
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
def test_what_cannot_be_is_refused_in_a_line(
    place: Path, text_file: Path, words: list[str], said: str
):
    corpus = ["--corpus", str(text_file)] if words[0] == "train" else []
    done = by_hand(place, *words, *corpus)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert "Traceback" not in done.stderr
