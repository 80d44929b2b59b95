"""Every task asks what it says it asks, the same of every variant, and is scored right."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from experiments.data.corpus import Corpus, _store, _whole
from experiments.data.shakespeare import Work
from experiments.spec import FAMILIES, GENRES, SYMBOLS, Recipe, RunSpec, fields_for
from experiments.training.evaluate import evaluate
from experiments.training.loop import train
from experiments.training.loss import IGNORED, cross_entropy
from experiments.training.tasks import TASKS, Batch
from model import ModelConfig, build
from model.networks.generation import generate

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def plays(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """In each split a play of each genre, written in an alphabet of its own, and a poem."""
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
    return _store(
        tmp_path_factory.mktemp("plays"),
        "plays",
        {name: _whole(text) for name, text in texts.items()},
        works,
    )


def made(config: ModelConfig, recipe: Recipe, corpus: Corpus, task: str, family: str, seed=0):
    model = dataclasses.replace(config, family=family, **fields_for(task, len(corpus.vocabulary)))
    recipe = dataclasses.replace(recipe, task=task)
    spec = RunSpec(model=model, recipe=recipe, corpus=corpus.hash, seed=seed)
    return spec, TASKS[task](spec, corpus, CPU)


def same(one: Batch, other: Batch) -> bool:
    pairs = zip([*one.inputs, one.targets], [*other.inputs, other.targets], strict=True)
    return all(torch.equal(*pair) for pair in pairs)


PAIRS = [(task, family) for task, families in FAMILIES.items() for family in families]


@pytest.mark.parametrize(("task", "family"), PAIRS)
def test_runs_through_the_loop(
    config: ModelConfig, recipe: Recipe, plays: Corpus, task: str, family: str
):
    spec, asked = made(config, recipe, plays, task, family)
    summary = train(spec, plays, CPU, lambda **_: None)
    assert summary["status"] == "done"
    for split in ("train", "val", "test"):
        assert 0 <= summary[f"{split}_exact_match"] <= 1
        assert 0 <= summary[f"{split}_accuracy"] <= 1
        assert summary[f"{split}_loss"] > 0
    batch = asked.training(0)
    held = sum(tokens.numel() for tokens in batch.inputs)
    in_place = family == "encoder" and task in ("reverse", "sort")
    assert held == spec.tokens_per_step // (2 if in_place else 1)


@pytest.mark.parametrize(("task", "family"), PAIRS)
def test_a_batch_depends_on_seed_and_step_alone(
    config: ModelConfig, recipe: Recipe, plays: Corpus, task: str, family: str
):
    _, first = made(config, recipe, plays, task, family)
    _, again = made(dataclasses.replace(config, d_ff=8), recipe, plays, task, family)
    _, other = made(config, recipe, plays, task, family, seed=1)
    first.training(0)
    assert same(first.training(3), again.training(3))
    assert not same(first.training(3), first.training(4))
    assert not same(first.training(3), other.training(3))
    for mine, its in zip(first.evaluation("val", 40), other.evaluation("val", 40), strict=True):
        assert same(mine, its)
    (val,), (test,) = ([*first.evaluation(split, 9)] for split in ("val", "test"))
    assert not same(val, test)


def test_masked_hides_some_tokens_and_asks_for_them_alone(
    config: ModelConfig, recipe: Recipe, corpus: Corpus
):
    recipe = dataclasses.replace(recipe, batch_size=200)
    spec, masked = made(config, recipe, corpus, "masked", "encoder")
    _, plain = made(config, recipe, corpus, "language", "decoder")
    (shown,), targets = masked.training(2)
    (window,), _ = plain.training(2)
    hidden = shown == len(corpus.vocabulary)
    assert spec.model.vocab_size == len(corpus.vocabulary) + 1
    assert torch.equal(shown[~hidden], window[~hidden])
    assert torch.equal(targets[hidden], window[hidden])
    assert (targets[~hidden] == IGNORED).all()
    assert hidden.float().mean().item() == pytest.approx(0.15, abs=0.02)


def test_continuation_asks_every_family_for_the_same(
    config: ModelConfig, recipe: Recipe, corpus: Corpus
):
    _, decoder = made(config, recipe, corpus, "continuation", "decoder")
    _, both = made(config, recipe, corpus, "continuation", "encoder_decoder")
    (window,), targets = decoder.training(1)
    (source, target), its_targets = both.training(1)
    half = config.context_length // 2
    assert torch.equal(torch.cat([source, target], dim=1), window)
    assert torch.equal(targets[:, half:], its_targets)
    assert (targets[:, :half] == IGNORED).all()
    assert torch.equal(target[:, 1:], its_targets[:, :-1])


@pytest.mark.parametrize(("family", "place"), [("encoder", 0), ("decoder", -1)])
def test_genre_shows_a_passage_of_one_play_of_that_genre(
    config: ModelConfig, recipe: Recipe, plays: Corpus, family: str, place: int
):
    recipe = dataclasses.replace(recipe, batch_size=300)
    spec, task = made(config, recipe, plays, "genre", family)
    batches = [task.training(0), *task.evaluation("val", 90), *task.evaluation("test", 90)]
    for begin in (1, 3):  # a training batch is drawn, an evaluation has as many of each
        of_each = torch.bincount(torch.cat([batch.targets for batch in batches[begin : begin + 2]]))
        assert of_each.tolist() == [30, 30, 30]
    assert torch.bincount(batches[0].targets).min() > 70
    for (shown,), genres in batches:
        assert shown.shape[1] == config.context_length
        assert (shown[:, place] == len(plays.vocabulary)).all()
        passage = shown[:, 1:] if place == 0 else shown[:, :-1]
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
def test_sequences_by_hand_for_every_family(config, recipe, corpus, task: str, answer):
    seen = []
    for family in FAMILIES[task]:
        _, asked = made(config, recipe, corpus, task, family)
        inputs, targets = asked.training(5)
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
        seen.append(source)
    assert all(torch.equal(source, seen[0]) for source in seen)


def test_repeats_ask_for_what_is_determined_alone(config, recipe, corpus):
    spec, task = made(config, recipe, corpus, "repeat", "decoder")
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


def test_scores_by_hand(config: ModelConfig, recipe: Recipe, corpus: Corpus):
    """Of 70 sequences, one in four answered with its first target wrong, the others right."""

    class Knows(nn.Module):
        def forward(self, source: Tensor, target: Tensor) -> Tensor:
            answers = source.flip(1).clone()
            answers[::4, 0] = (answers[::4, 0] + 1) % SYMBOLS
            return 50.0 * nn.functional.one_hot(answers, SYMBOLS + 1).float()

    _, task = made(config, recipe, corpus, "reverse", "encoder_decoder")
    scores = evaluate(Knows(), task, "val", 70, "fp32")
    wrong, half = 16 + 2, config.context_length // 2  # of a chunk of 64 and one of 6
    assert scores.exact_match == pytest.approx(1 - wrong / 70)
    assert scores.accuracy == pytest.approx(1 - wrong / (70 * half))
    assert scores.loss == pytest.approx(50 * wrong / (70 * half), rel=1e-4)


@pytest.mark.parametrize(("family", "steps"), [("decoder", 60), ("encoder_decoder", 100)])
def test_exact_match_is_what_greedy_generation_writes(config, recipe, corpus, family, steps):
    recipe = dataclasses.replace(recipe, steps=steps, batch_size=16)
    config = dataclasses.replace(config, context_length=6, position="learned")
    spec, task = made(config, recipe, corpus, "reverse", family)
    torch.manual_seed(0)
    model = build(spec.model)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for step in range(recipe.steps):
        inputs, targets = task.training(step)
        cross_entropy(model(*inputs), targets).backward()
        optimizer.step()
        optimizer.zero_grad()
    scores, matched, seen = evaluate(model, task, "val", 128, "fp32"), 0, 0
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


def test_the_loss_weighs_every_token_once(config: ModelConfig, recipe: Recipe, tmp_path: Path):
    """70 windows are more than one pass: the mean is over tokens, not over passes."""
    length, letters = config.context_length, "abcdefghijk"
    text = "".join(np.random.default_rng(0).choice(list(letters), size=70 * length + 1))
    texts = {"train": _whole(text), "val": _whole(text), "test": _whole(text[:length])}
    corpus = _store(tmp_path, "random", texts)
    spec, task = made(config, recipe, corpus, "language", "decoder")
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
    assert all(math.isnan(score) for score in evaluate(model, task, "test", 70, "fp32"))
