"""Batches and scores of every task."""

import dataclasses
import math
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from recorded import run
from torch import Tensor, nn

from experiments.data.corpus import Corpus, store_corpus
from experiments.data.shakespeare import Work
from experiments.recipe import FAMILIES, GENRES, SYMBOLS, Recipe, fields_for
from experiments.spec import RunSpec
from experiments.training.evaluate import evaluate
from experiments.training.loss import IGNORED, cross_entropy
from experiments.training.tasks import Batch, build_task
from model import ModelConfig, build
from model.networks.generation import generate

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def plays(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """A play of each genre and a poem in every split; each genre has letters of its own."""
    alphabets = {"comedy": "abc", "history": "def", "tragedy": "ghi", "poem": "xyz"}
    texts, works, random = {}, [], np.random.default_rng(0)
    for split in ("train", "val", "test"):
        text = ""
        for genre, letters in alphabets.items():
            start = len(text)
            text += "".join(random.choice(list(letters), size=3000))
            if genre in GENRES:
                works.append(Work(f"{split} {genre}", genre, split, start, len(text)))
        texts[split] = text
    return store_corpus(
        tmp_path_factory.mktemp("plays"),
        "plays",
        {name: partial(iter, [text]) for name, text in texts.items()},
        works,
    )


def build_run(config: ModelConfig, recipe: Recipe, corpus: Corpus, task: str, family: str, seed=0):
    model = dataclasses.replace(config, family=family, **fields_for(task, len(corpus.vocabulary)))
    recipe = dataclasses.replace(recipe, task=task)
    spec = RunSpec(model=model, recipe=recipe, corpus=corpus.hash, seed=seed)
    return spec, build_task(spec, corpus, CPU)


def same_batch(one: Batch, other: Batch) -> bool:
    pairs = zip([*one.inputs, one.targets], [*other.inputs, other.targets], strict=True)
    return all(torch.equal(*pair) for pair in pairs)


PAIRS = [(task, family) for task, families in FAMILIES.items() for family in families]


@pytest.mark.parametrize(("task", "family"), PAIRS)
def test_every_task_trains_and_is_scored_for_every_family(
    config: ModelConfig, recipe: Recipe, plays: Corpus, task: str, family: str
):
    spec, task_batches = build_run(config, recipe, plays, task, family)
    summary, _ = run(spec, plays)
    assert summary["status"] == "done"
    for split in ("train", "val", "test"):
        assert 0 <= summary[f"{split}_exact_match"] <= 1
        assert 0 <= summary[f"{split}_accuracy"] <= 1
        assert summary[f"{split}_loss"] > 0
    batch = task_batches.training(0)
    tokens_in_batch = sum(tokens.numel() for tokens in batch.inputs)
    in_place = family == "encoder" and task in ("reverse", "sort")
    assert tokens_in_batch == spec.tokens_per_step // (2 if in_place else 1)


@pytest.mark.parametrize(("task", "family"), PAIRS)
def test_training_batch_depends_on_seed_and_step_alone(
    config: ModelConfig, recipe: Recipe, plays: Corpus, task: str, family: str
):
    _, first = build_run(config, recipe, plays, task, family)
    _, again = build_run(dataclasses.replace(config, d_ff=8), recipe, plays, task, family)
    _, other = build_run(config, recipe, plays, task, family, seed=1)
    first.training(0)
    assert same_batch(first.training(3), again.training(3))
    assert not same_batch(first.training(3), first.training(4))
    assert not same_batch(first.training(3), other.training(3))
    for one, two in zip(first.evaluation("val", 40), other.evaluation("val", 40), strict=True):
        assert same_batch(one, two)
    (val,), (test,) = ([*first.evaluation(split, 9)] for split in ("val", "test"))
    assert not same_batch(val, test)


def test_masked_task_hides_15_percent_of_tokens_and_targets_them_alone(
    config: ModelConfig, recipe: Recipe, corpus: Corpus
):
    recipe = dataclasses.replace(recipe, batch_size=200)
    spec, masked = build_run(config, recipe, corpus, "masked", "encoder")
    _, plain = build_run(config, recipe, corpus, "language", "decoder")
    (tokens,), targets = masked.training(2)
    (window,), _ = plain.training(2)
    hidden = tokens == len(corpus.vocabulary)
    assert spec.model.vocab_size == len(corpus.vocabulary) + 1
    assert torch.equal(tokens[~hidden], window[~hidden])
    assert torch.equal(targets[hidden], window[hidden])
    assert (targets[~hidden] == IGNORED).all()
    assert hidden.float().mean().item() == pytest.approx(0.15, abs=0.02)


def test_continuation_has_the_same_targets_for_every_family_batch(
    config: ModelConfig, recipe: Recipe, corpus: Corpus
):
    _, decoder = build_run(config, recipe, corpus, "continuation", "decoder")
    _, both = build_run(config, recipe, corpus, "continuation", "encoder_decoder")
    (window,), targets = decoder.training(1)
    (source, target), other_targets = both.training(1)
    half = config.context_length // 2
    assert torch.equal(torch.cat([source, target], dim=1), window)
    assert torch.equal(targets[:, half:], other_targets)
    assert (targets[:, :half] == IGNORED).all()
    assert torch.equal(target[:, 1:], other_targets[:, :-1])


@pytest.mark.parametrize(("family", "place"), [("encoder", 0), ("decoder", -1)])
def test_genre_passage_is_from_one_play_of_the_target_genre(
    config: ModelConfig, recipe: Recipe, plays: Corpus, family: str, place: int
):
    recipe = dataclasses.replace(recipe, batch_size=300)
    spec, task = build_run(config, recipe, plays, "genre", family)
    batches = [task.training(0)]
    for split in ("val", "test"):
        evaluated = [*task.evaluation(split, 90)]
        per_genre = torch.bincount(torch.cat([batch.targets for batch in evaluated]))
        assert per_genre.tolist() == [30, 30, 30]
        batches += evaluated
    assert torch.bincount(batches[0].targets).min() > 70
    for (tokens,), genres in batches:
        assert tokens.shape[1] == config.context_length
        assert (tokens[:, place] == len(plays.vocabulary)).all()
        passage = tokens[:, 1:] if place == 0 else tokens[:, :-1]
        for row, genre in zip(passage.tolist(), genres.tolist(), strict=True):
            letters = {plays.vocabulary[token] for token in row}
            assert letters <= set("abcdefghi"[3 * genre : 3 * genre + 3])
    assert spec.model.n_classes == 3


@pytest.mark.parametrize(
    ("task", "answer"),
    [
        ("reverse", lambda row: row[::-1]),
        ("sort", sorted),
    ],
)
def test_reversed_and_sorted_targets_are_right_for_every_family(
    config, recipe, corpus, task: str, answer
):
    sources = []
    for family in FAMILIES[task]:
        _, batches = build_run(config, recipe, corpus, task, family)
        inputs, targets = batches.training(5)
        half = config.context_length // 2
        if family == "encoder_decoder":
            source, given = inputs
        elif family == "encoder":
            (source,), given = inputs, None
        else:
            source, given = inputs[0][:, :half], inputs[0][:, half:]
            assert (targets[:, :half] == IGNORED).all()
            targets = targets[:, half:]
        for row, target in zip(source.tolist(), targets.tolist(), strict=True):
            assert target == answer(row)
        if given is not None:
            assert (given[:, 0] == SYMBOLS).all()
            assert torch.equal(given[:, 1:], targets[:, :-1])
        sources.append(source)
    assert all(torch.equal(source, sources[0]) for source in sources)


def test_repeat_targets_only_symbols_that_the_first_pattern_determines(config, recipe, corpus):
    spec, task = build_run(config, recipe, corpus, "repeat", "decoder")
    periods = set()
    for step in range(5):
        (window,), targets = task.training(step)
        assert window.shape == targets.shape == (spec.recipe.batch_size, config.context_length)
        for row, wanted in zip(window.tolist(), targets.tolist(), strict=True):
            period = wanted.index(next(t for t in wanted if t != IGNORED))
            periods.add(period)
            assert period <= config.context_length // 2
            assert len(set(row[:period])) == period  # no symbol twice
            assert wanted[:period] == [IGNORED] * period
            for place in range(period, config.context_length):
                assert row[place] == row[place - period]
                assert wanted[place] == row[place - period + 1]
    assert len(periods) > 2


def test_scores_equal_a_count_by_hand(config: ModelConfig, recipe: Recipe, corpus: Corpus):
    """Of 70 sequences, every fourth is answered with its first target wrong."""

    class Knows(nn.Module):
        def forward(self, source: Tensor, target: Tensor) -> Tensor:
            answers = source.flip(1).clone()
            answers[::4, 0] = (answers[::4, 0] + 1) % SYMBOLS
            return 50.0 * nn.functional.one_hot(answers, SYMBOLS + 1).float()

    _, task = build_run(config, recipe, corpus, "reverse", "encoder_decoder")
    scores = evaluate(Knows(), task, "val", 70, "fp32")
    wrong, half = 16 + 2, config.context_length // 2  # of a chunk of 64 and one of 6
    assert scores.exact_match == pytest.approx(1 - wrong / 70)
    assert scores.accuracy == pytest.approx(1 - wrong / (70 * half))
    assert scores.loss == pytest.approx(50 * wrong / (70 * half), rel=1e-4)


@pytest.mark.parametrize(("family", "steps"), [("decoder", 60), ("encoder_decoder", 100)])
def test_exact_match_equals_greedy_generation(config, recipe, corpus, family, steps):
    recipe = dataclasses.replace(recipe, steps=steps, batch_size=16)
    config = dataclasses.replace(config, context_length=6, position="learned")
    spec, task = build_run(config, recipe, corpus, "reverse", family)
    torch.manual_seed(0)
    model = build(spec.model)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for step in range(recipe.steps):
        inputs, targets = task.training(step)
        cross_entropy(model(*inputs), targets).backward()
        optimizer.step()
        optimizer.zero_grad()
    scores = evaluate(model, task, "val", 128, "fp32")
    matched = seen = 0
    for inputs, targets in task.evaluation("val", 128):
        how = {"temperature": 0}
        if family == "decoder":
            written = generate(model, inputs[0][:, :4], 3, **how)[:, 4:]
        else:
            written = generate(model, inputs[1][:, :1], 3, source=inputs[0], **how)[:, 1:]
        matched += (written == targets[:, -3:]).all(dim=1).sum().item()
        seen += len(targets)
    assert scores.exact_match == matched / seen
    assert 0.02 < scores.exact_match < 0.98  # neither hopeless nor certain: the test can fail


def test_loss_is_a_mean_over_tokens_and_not_over_chunks(
    config: ModelConfig, recipe: Recipe, tmp_path: Path
):
    """70 windows are evaluated in two chunks of unequal size."""
    length, letters = config.context_length, "abcdefghijk"
    text = "".join(np.random.default_rng(0).choice(list(letters), size=70 * length + 1))
    texts = {
        "train": partial(iter, [text]),
        "val": partial(iter, [text]),
        "test": partial(iter, [text[:length]]),
    }
    corpus = store_corpus(tmp_path, "random", texts)
    spec, task = build_run(config, recipe, corpus, "language", "decoder")
    torch.manual_seed(0)
    model = build(spec.model)
    tokens = torch.from_numpy(corpus.tokens("val")).long()
    inputs, targets = tokens[:-1].view(70, length), tokens[1:].view(70, length)
    with torch.no_grad():
        expected = cross_entropy(model(inputs).double(), targets).item()
        hits = (model(inputs).argmax(-1) == targets).double().mean().item()
    scores = evaluate(model, task, "val", 70, "fp32")
    assert scores.loss == pytest.approx(expected, rel=1e-5)
    assert scores.accuracy == pytest.approx(hits)
    assert all(
        math.isnan(score) for score in vars(evaluate(model, task, "test", 70, "fp32")).values()
    )
