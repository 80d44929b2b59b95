"""Training through the loop: learning, repetition bit for bit, divergence, timing."""

import dataclasses
import math

import pytest
import torch
from helping import timeless
from recorded import run

from experiments.data.corpus import Corpus
from experiments.recipe import Recipe
from experiments.spec import RunSpec
from experiments.training.evaluate import evaluate
from experiments.training.optim import build_optimizer, learning_rate_at
from experiments.training.windows import batch_starts, evaluation_starts, windows_at
from model import ModelConfig, build, parameter_count


def test_tuning_run_is_evaluated_on_the_validation_split_alone(spec: RunSpec, corpus: Corpus):
    comparison, _ = run(spec, corpus)
    trial, _ = run(dataclasses.replace(spec, tuning=True), corpus)
    assert {name for name in comparison if name not in trial} == {
        f"{split}_{score}"
        for split in ("train", "test")
        for score in ("loss", "accuracy", "exact_match")
    }


@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_same_spec_trains_to_the_same_numbers_bit_for_bit(
    spec: RunSpec, corpus: Corpus, dropout: float
):
    spec = dataclasses.replace(spec, model=dataclasses.replace(spec.model, dropout=dropout))
    (first, first_points), (second, second_points) = run(spec, corpus), run(spec, corpus)
    assert timeless(first) == timeless(second)
    assert [*map(timeless, first_points)] == [*map(timeless, second_points)]
    other, other_points = run(dataclasses.replace(spec, seed=1), corpus)
    assert other["val_loss"] != first["val_loss"]
    assert other_points[0]["loss"] != first_points[0]["loss"]  # the initial weights differ


def test_decoder_learns_below_the_unigram_loss(spec: RunSpec, corpus: Corpus):
    recipe = dataclasses.replace(spec.recipe, steps=150, warmup_steps=10, eval_every=75)
    summary, _ = run(dataclasses.replace(spec, recipe=recipe), corpus)
    assert summary["status"] == "done"
    assert summary["val_loss"] < 0.4 * corpus.unigram_loss


def test_curve_points_are_at_the_steps_that_the_recipe_asks_for(spec: RunSpec, corpus: Corpus):
    summary, points = run(spec, corpus)
    assert [point["step"] for point in points if point["split"] == "val"] == [0, 3, 6]
    assert [point["step"] for point in points if point["split"] == "train"] == [2, 3, 4, 6]
    assert points[-1]["split"] == "val"
    for score in ("loss", "accuracy", "exact_match"):
        assert points[-1][score] == summary[f"val_{score}"]
    assert points[-1]["tokens"] == summary["tokens"] == 6 * 4 * 16
    for point in points:
        if point["split"] == "train":
            assert point["gradient_norm"] > 0
            assert point["learning_rate"] == learning_rate_at(point["step"] - 1, spec.recipe)


def test_loss_that_is_not_finite_ends_the_run_as_diverged_and_keeps_its_points(
    spec: RunSpec, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
):
    class Explodes(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.calls = build(spec.model), 0

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            self.calls += self.training
            return self.inner(tokens) * (math.nan if self.calls > 3 else 1.0)

    monkeypatch.setattr("experiments.training.events.build", lambda _: Explodes())
    summary, points = run(spec, corpus)
    assert summary["status"] == "diverged"
    assert "nan by step 4" in summary["reason"]
    assert "val_loss" not in summary
    assert [point["step"] for point in points if point["split"] == "train"] == [2, 3, 4]
    assert points[-1]["loss"] is None


def test_schedule_warmup_and_learning_rate_change_the_result(spec: RunSpec, corpus: Corpus):
    losses = set()
    for changes in ({}, {"schedule": "constant"}, {"warmup_steps": 0}, {"learning_rate": 5e-3}):
        recipe = dataclasses.replace(spec.recipe, **changes)
        losses.add(run(dataclasses.replace(spec, recipe=recipe), corpus)[0]["val_loss"])
    assert len(losses) == 4


def test_clipping_bounds_updates_and_records_unclipped_norms(spec: RunSpec, corpus: Corpus):
    """Gradients clipped far below Adam's epsilon do not move the weights."""
    recipe = dataclasses.replace(spec.recipe, gradient_clip=1e-15, weight_decay=0.0)
    _, points = run(dataclasses.replace(spec, recipe=recipe), corpus)
    losses = [point["loss"] for point in points if point["split"] == "val"]
    assert losses[-1] == pytest.approx(losses[0], abs=1e-4)
    assert all(point["gradient_norm"] > 0.1 for point in points if point["split"] == "train")


def test_bf16_changes_the_loss_slightly(spec: RunSpec, corpus: Corpus):
    fp32, _ = run(spec, corpus)
    recipe = dataclasses.replace(spec.recipe, precision="bf16")
    bf16, _ = run(dataclasses.replace(spec, recipe=recipe), corpus)
    assert bf16["val_loss"] != fp32["val_loss"]
    assert bf16["val_loss"] == pytest.approx(fp32["val_loss"], abs=0.05)


@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_compiled_run_compiles_training_steps_only_and_changes_no_number(
    spec: RunSpec, corpus: Corpus, monkeypatch: pytest.MonkeyPatch, dropout: float
):
    """The compiler is replaced, since compiling takes half a minute."""
    calls = []
    monkeypatch.setattr(
        "torch.compile", lambda loss: lambda *batch: calls.append(1) or loss(*batch)
    )
    spec = dataclasses.replace(spec, model=dataclasses.replace(spec.model, dropout=dropout))
    plain, plain_points = run(spec, corpus)
    assert not calls
    assert plain["compile_seconds"] == 0.0
    recipe = dataclasses.replace(spec.recipe, compiled=True)
    compiled, points = run(dataclasses.replace(spec, recipe=recipe), corpus)
    assert len(calls) == 1 + spec.recipe.steps  # the first call compiles
    assert compiled["compile_seconds"] > 0.0
    # Compiling draws no random number and leaves no gradient.
    assert compiled["val_loss"] == plain["val_loss"]
    assert [*map(timeless, points)] == [*map(timeless, plain_points)]
    bigram = dataclasses.replace(spec.model, family="bigram")
    run(dataclasses.replace(spec, model=bigram, recipe=recipe), corpus)
    assert len(calls) == 1 + spec.recipe.steps  # a bigram is counted: nothing is compiled


def test_training_seconds_exclude_evaluation(
    spec: RunSpec, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
):
    clock = [0.0]

    def slow(*arguments):
        clock[0] += 100.0
        return evaluate(*arguments)

    monkeypatch.setattr("experiments.training.loop.evaluate", slow)
    monkeypatch.setattr(
        "experiments.training.loop.learning_rate_at", lambda *_: clock.append(0) or 1e-3
    )
    monkeypatch.setattr(
        "experiments.training.loop.time.perf_counter", lambda: clock[0] + 0.001 * len(clock)
    )
    summary, _ = run(spec, corpus)
    assert clock[0] == 300  # three evaluations
    assert 0 < summary["train_seconds"] < 1


def test_final_loss_above_twice_a_uniform_guess_counts_as_diverged(
    spec: RunSpec, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
):
    class Shouts(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = build(spec.model)

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            return self.inner(tokens) * (1.0 if self.training else 1e6)

    monkeypatch.setattr("experiments.training.events.build", lambda _: Shouts())
    summary, _ = run(spec, corpus)
    assert summary["status"] == "diverged"
    assert "the final validation loss is" in summary["reason"]
    assert "val_loss" not in summary


def test_decoder_overfits_one_batch(config: ModelConfig, recipe: Recipe):
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


def test_batch_starts_depend_on_seed_and_step_alone():
    long, short = batch_starts(3, 20, 8, 1000), batch_starts(3, 5, 8, 1000)
    assert torch.equal(long[:5], short)
    assert not torch.equal(long[0], long[1])
    assert not torch.equal(batch_starts(4, 5, 8, 1000), short)
    assert long.min() >= 0
    assert long.max() < 1000


def test_targets_are_the_next_tokens_and_windows_stay_inside_the_split():
    tokens = torch.arange(100, dtype=torch.int32)
    inputs, targets = windows_at(tokens, torch.tensor([0, 7, 89]), 10)
    assert torch.equal(targets, inputs + 1)
    starts = evaluation_starts(100, 10, 50)
    assert torch.equal(starts, torch.arange(0, 90, 10))  # no overlap, and the last target is inside
    assert len(evaluation_starts(100, 10, 4)) == 4


@pytest.mark.parametrize("family", ["lstm", "mlp", "bigram"])
def test_baseline_families_learn_below_the_unigram_loss(spec: RunSpec, corpus: Corpus, family: str):
    recipe = dataclasses.replace(spec.recipe, steps=150, warmup_steps=10, eval_every=75)
    model = dataclasses.replace(spec.model, family=family)
    summary, points = run(dataclasses.replace(spec, recipe=recipe, model=model), corpus)
    assert summary["status"] == "done"
    assert summary["val_loss"] < 0.7 * corpus.unigram_loss
    assert summary["parameters"] == parameter_count(model)
    assert summary["tokens"] == 150 * 4 * 16
    norms = [point["gradient_norm"] for point in points if point["split"] == "train"]
    assert all((norm is None) == (family == "bigram") for norm in norms)


def test_bigram_loss_equals_a_count_by_hand_over_the_same_batches(spec: RunSpec, corpus: Corpus):
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
    inputs, targets = windows_at(held_out, evaluation_starts(len(held_out), context, 4), context)
    assert summary["val_loss"] == pytest.approx(-log_p[inputs, targets].mean().item(), rel=1e-5)


def test_label_smoothing_applies_to_training_and_not_to_evaluation(spec: RunSpec, corpus: Corpus):
    """Both networks are trained: smoothing hardly changes an untrained network's loss."""
    recipe = dataclasses.replace(spec.recipe, steps=150, warmup_steps=10, eval_every=150)
    plain, _ = run(dataclasses.replace(spec, recipe=recipe), corpus)
    smooth = dataclasses.replace(recipe, label_smoothing=0.3)
    smoothed, points = run(dataclasses.replace(spec, recipe=smooth), corpus)
    assert smoothed["val_loss"] > plain["val_loss"] + 0.05
    last = [point["loss"] for point in points if point["split"] == "train"][-1]
    assert last > smoothed["train_loss"] + 0.1
