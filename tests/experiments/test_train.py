"""The loop: it learns, repeats bit for bit, and ends a diverged run with its history."""

import dataclasses
import math

import pytest
import torch

from experiments.batches import batch_starts, evaluation_starts, windows_at
from experiments.corpus import Corpus
from experiments.optimisation import build_optimizer, learning_rate_at
from experiments.spec import Recipe, RunSpec
from experiments.train import train
from model import ModelConfig, build, parameter_count


@pytest.fixture
def spec(config: ModelConfig, recipe: Recipe, corpus: Corpus) -> RunSpec:
    model = dataclasses.replace(config, vocab_size=len(corpus.vocabulary))
    return RunSpec(model=model, recipe=recipe, corpus=corpus.hash, seed=0, precision="fp32")


def run(spec: RunSpec, corpus: Corpus):
    points: list[dict] = []
    summary = train(spec, corpus, torch.device("cpu"), lambda **point: points.append(point))
    return summary, points


def without_time(values: dict) -> dict:
    timings = ("seconds", "train_seconds", "tokens_per_second")
    return {name: value for name, value in values.items() if name not in timings}


@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_the_same_run_twice_is_the_same_bit_for_bit(spec: RunSpec, corpus: Corpus, dropout: float):
    spec = dataclasses.replace(spec, model=dataclasses.replace(spec.model, dropout=dropout))
    (first, its_points), (second, other_points) = run(spec, corpus), run(spec, corpus)
    assert without_time(first) == without_time(second)
    assert [*map(without_time, its_points)] == [*map(without_time, other_points)]
    other, _ = run(dataclasses.replace(spec, seed=1), corpus)
    assert other["val_loss"] != first["val_loss"]


def test_it_learns(spec: RunSpec, corpus: Corpus):
    recipe = dataclasses.replace(spec.recipe, steps=150, warmup_steps=10, eval_every=75)
    summary, _ = run(dataclasses.replace(spec, recipe=recipe), corpus)
    assert summary["status"] == "done"
    assert summary["val_loss"] < 0.4 * corpus.unigram_loss


def test_points_are_where_they_should_be(spec: RunSpec, corpus: Corpus):
    summary, points = run(spec, corpus)
    assert [point["step"] for point in points if point["split"] == "val"] == [0, 3, 6]
    assert [point["step"] for point in points if point["split"] == "train"] == [2, 3, 4, 6]
    assert points[-1]["split"] == "val"  # on the windows of the other points, not the final ones
    assert points[-1]["loss"] != summary["val_loss"]
    assert points[-1]["tokens"] == summary["tokens"] == 6 * 4 * 16
    for point in points:
        if point["split"] == "train":
            assert point["gradient_norm"] > 0
            assert point["learning_rate"] == learning_rate_at(point["step"] - 1, spec.recipe)


def test_a_loss_that_is_not_finite_ends_the_run_and_keeps_its_history(
    spec: RunSpec, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
):
    class Explodes(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.calls = build(spec.model), 0

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            self.calls += self.training
            return self.inner(tokens) * (math.nan if self.calls > 3 else 1.0)

    monkeypatch.setattr("experiments.train.build", lambda _: Explodes())
    summary, points = run(spec, corpus)
    assert summary["status"] == "diverged"
    assert "nan by step 4" in summary["reason"]
    assert "val_loss" not in summary
    assert [point["step"] for point in points if point["split"] == "train"] == [2, 3, 4]
    assert math.isnan(points[-1]["loss"])


def test_overfits_one_batch(config: ModelConfig, recipe: Recipe):
    torch.manual_seed(0)
    model, tokens = build(config), torch.randint(config.vocab_size, (4, 17))
    optimizer = build_optimizer(model, recipe)
    for _ in range(150):
        logits = model(tokens[:, :-1])
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05


def test_a_batch_depends_on_seed_and_step_alone():
    long, short = batch_starts(3, 20, 8, 1000), batch_starts(3, 5, 8, 1000)
    assert torch.equal(long[:5], short)
    assert not torch.equal(long[0], long[1])
    assert not torch.equal(batch_starts(4, 5, 8, 1000), short)
    assert long.min() >= 0
    assert long.max() < 1000


def test_targets_are_the_next_tokens_and_windows_stay_inside():
    tokens = torch.arange(100, dtype=torch.int32)
    inputs, targets = windows_at(tokens, torch.tensor([0, 7, 89]), 10)
    assert torch.equal(targets, inputs + 1)
    starts = evaluation_starts(100, 10, 50)
    assert torch.equal(starts, torch.arange(0, 90, 10))  # no overlap, and each has its target
    assert len(evaluation_starts(100, 10, 4)) == 4


def test_a_step_runs_wholly_on_another_device(spec: RunSpec):
    """On "meta" a tensor that was left on the processor fails: the stand-in for a GPU."""
    device = torch.device("meta")
    tokens = torch.zeros(1000, dtype=torch.int32, device=device)
    for family in ("decoder", "lstm"):
        model = build(dataclasses.replace(spec.model, family=family)).to(device)
        starts = batch_starts(0, 1, 4, 900).to(device)
        inputs, targets = windows_at(tokens, starts[0], spec.model.context_length)
        loss = torch.nn.functional.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())
        loss.backward()
        assert loss.device == device


@pytest.mark.parametrize("family", ["lstm", "mlp", "bigram"])
def test_the_baselines_learn_through_the_same_loop(spec: RunSpec, corpus: Corpus, family: str):
    recipe = dataclasses.replace(spec.recipe, steps=150, warmup_steps=10, eval_every=75)
    model = dataclasses.replace(spec.model, family=family)
    summary, points = run(dataclasses.replace(spec, recipe=recipe, model=model), corpus)
    assert summary["status"] == "done"
    assert summary["val_loss"] < 0.7 * corpus.unigram_loss
    assert summary["parameters"] == parameter_count(model)
    assert summary["tokens"] == 150 * 4 * 16
    norms = [point["gradient_norm"] for point in points if point["split"] == "train"]
    assert all(math.isnan(norm) == (family == "bigram") for norm in norms)


def test_the_bigram_has_counted_what_it_was_shown(spec: RunSpec, corpus: Corpus):
    """Its final loss is that of a count by hand over the same batches."""
    model = dataclasses.replace(spec.model, family="bigram", bigram_smoothing=0.1)
    summary, _ = run(dataclasses.replace(spec, model=model), corpus)
    tokens, context = torch.from_numpy(corpus.tokens("train")), spec.model.context_length
    starts = batch_starts(spec.seed, 6, 4, len(tokens) - context)
    inputs, targets = windows_at(tokens, starts.flatten(), context)
    vocabulary = len(corpus.vocabulary)
    counts = torch.zeros(vocabulary, vocabulary).double()
    for a, b in zip(inputs.flatten().tolist(), targets.flatten().tolist(), strict=True):
        counts[a, b] += 1
    log_p = ((counts + 0.1) / (counts + 0.1).sum(1, keepdim=True)).log()
    held_out = torch.from_numpy(corpus.tokens("val"))
    inputs, targets = windows_at(held_out, evaluation_starts(len(held_out), context, 8), context)
    assert summary["val_loss"] == pytest.approx(-log_p[inputs, targets].mean().item(), rel=1e-5)


def test_label_smoothing_is_trained_with_and_not_evaluated_with(spec: RunSpec, corpus: Corpus):
    """An untrained network guesses about evenly, where smoothing changes little; a trained one is
    held back by it, and its validation loss is still the plain one."""
    recipe = dataclasses.replace(spec.recipe, steps=150, warmup_steps=10, eval_every=150)
    plain, _ = run(dataclasses.replace(spec, recipe=recipe), corpus)
    smooth = dataclasses.replace(recipe, label_smoothing=0.3)
    smoothed, points = run(dataclasses.replace(spec, recipe=smooth), corpus)
    assert smoothed["val_loss"] > plain["val_loss"] + 0.05
    last = [point["loss"] for point in points if point["split"] == "train"][-1]
    assert last > smoothed["train_loss"] + 0.1
