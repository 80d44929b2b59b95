"""Tasks: batches of inputs and targets for training and evaluation, by the task's name.

Training batch t is a pure function of corpus, seed and t: all variants of a seed see the same
batches, and a training can go on from any step. The evaluation batches are always the same.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from experiments.data.corpus import Corpus
from experiments.recipe import GENRES, SPLITS, SYMBOLS
from experiments.spec import RunSpec
from experiments.training.loss import IGNORED
from experiments.training.windows import (
    batch_starts,
    evaluation_starts,
    load_tokens,
    precompute_batches,
    windows_at,
)
from model.mechanism import mechanism

_CHUNK = 16  # examples evaluated at once: larger activations fall out of the cache


class Batch(NamedTuple):
    """Inputs of a network and their targets.

    inputs: token ids, each [batch, time], int64. targets: token ids [batch, time] or classes
    [batch], int64; `IGNORED` where no answer is asked for.
    """

    inputs: tuple[Tensor, ...]
    targets: Tensor


class LanguageModelling:
    """Predict the next token at every position of a window of the corpus."""

    def __init__(self, spec: RunSpec, corpus: Corpus, device: torch.device) -> None:
        self.spec, self.context, self.device = spec, spec.model.context_length, device
        self.vocabulary, self.tokenizer = corpus.vocabulary, corpus.tokenizer
        self.tokens = {split: load_tokens(corpus, split, device) for split in SPLITS}
        highest = len(self.tokens["train"]) - self.context
        recipe = spec.recipe
        starts = batch_starts(spec.seed, recipe.steps, recipe.batch_size, highest)
        self.starts = starts.to(device)

    def training(self, step: int) -> Batch:
        """Training batch of a step."""
        return self.batch(*windows_at(self.tokens["train"], self.starts[step], self.context))

    def evaluation(self, split: str, examples: int) -> Iterator[Batch]:
        """At most `examples` windows of a split; none where the split is too short."""
        tokens = self.tokens[split]
        if len(tokens) <= self.context:
            return
        starts = evaluation_starts(len(tokens), self.context, examples).to(self.device)
        for chunk in starts.split(_CHUNK):
            yield self.batch(*windows_at(tokens, chunk, self.context))

    def batch(self, window: Tensor, following: Tensor) -> Batch:
        """Batch of windows and the tokens that follow, both [batch, context_length]."""
        return Batch((window,), following)


class MaskedTokens(LanguageModelling):
    """Predict the hidden tokens of a window (Devlin 2019).

    15 % of the tokens are hidden: each is replaced by the mask token, the last id of the
    vocabulary.
    """

    def __init__(self, spec: RunSpec, corpus: Corpus, device: torch.device) -> None:
        super().__init__(spec, corpus, device)
        recipe = spec.recipe
        hidden = precompute_batches(
            recipe.steps, lambda step: self._draw(recipe.batch_size, (spec.seed, step, 1))
        )
        self.hidden = hidden.to(device)

    def training(self, step: int) -> Batch:
        return self._masked(super().training(step), self.hidden[step])

    def evaluation(self, split: str, examples: int) -> Iterator[Batch]:
        for i, batch in enumerate(super().evaluation(split, examples)):
            hidden = self._draw(len(batch.targets), (SPLITS.index(split), i, 2))
            yield self._masked(batch, torch.from_numpy(hidden).to(self.device))

    def _draw(self, size: int, key: tuple[int, int, int]) -> np.ndarray:
        return np.random.default_rng(key).random((size, self.context)) < 0.15

    def _masked(self, batch: Batch, hidden: Tensor) -> Batch:
        (window,), mask = batch.inputs, self.spec.model.vocab_size - 1
        return Batch((window.masked_fill(hidden, mask),), window.masked_fill(~hidden, IGNORED))


class Continuation(LanguageModelling):
    """Predict the second half of a window, given the first half."""

    def batch(self, window: Tensor, following: Tensor) -> Batch:
        half = self.context // 2
        if self.spec.model.family == "encoder_decoder":
            return Batch((window[:, :half], window[:, half:]), following[:, half:])
        targets = following.clone()
        targets[:, :half] = IGNORED
        return Batch((window,), targets)


class Genre:
    """Classify a passage of a play as comedy, history or tragedy.

    A batch draws the genre first, so each genre is as frequent as the others.
    """

    def __init__(self, spec: RunSpec, corpus: Corpus, device: torch.device) -> None:
        self.spec, self.device = spec, device
        self.length = spec.model.context_length - 1  # one position holds the class token
        self.tokens = {split: load_tokens(corpus, split, device) for split in SPLITS}
        self.passages = {
            split: [self._starts(corpus, split, genre) for genre in GENRES] for split in SPLITS
        }
        # [steps, 2, batch]: start and genre of each passage
        self.batches = precompute_batches(spec.recipe.steps, self._draw).to(device)

    def training(self, step: int) -> Batch:
        """Training batch of a step."""
        return self._batch("train", *self.batches[step])

    def evaluation(self, split: str, examples: int) -> Iterator[Batch]:
        """Evenly spaced passages of a split, equally many of each genre."""
        per_genre = examples // len(GENRES)
        if not all(len(starts) for starts in self.passages[split]):
            return
        starts = np.concatenate(
            [
                passages[np.linspace(0, len(passages) - 1, per_genre).round().astype(int)]
                for passages in self.passages[split]
            ]
        )
        genres = np.repeat(np.arange(len(GENRES)), per_genre)
        for chunk in np.array_split(np.arange(len(genres)), -(-len(genres) // _CHUNK)):
            batch = torch.from_numpy(np.stack([starts[chunk], genres[chunk]]))
            yield self._batch(split, *batch.to(self.device))

    def _starts(self, corpus: Corpus, split: str, genre: str) -> np.ndarray:
        """Every start from which a passage of a genre stays within its play."""
        starts = [
            np.arange(work.start, work.end - self.length)
            for work in corpus.works
            if work.split == split and work.genre == genre
        ]
        return np.concatenate(starts) if starts else np.array([], dtype=int)

    def _draw(self, step: int) -> np.ndarray:
        random = np.random.default_rng([self.spec.seed, step, 3])
        genres = random.integers(len(GENRES), size=self.spec.recipe.batch_size)
        starts = [random.choice(self.passages["train"][genre]) for genre in genres]
        return np.stack([np.array(starts), genres])

    def _batch(self, split: str, starts: Tensor, genres: Tensor) -> Batch:
        """starts, genres: [batch]."""
        offsets = torch.arange(self.length, device=self.device)
        passage = self.tokens[split][starts[:, None] + offsets].long()
        token = torch.full_like(passage[:, :1], self.spec.model.vocab_size - 1)
        # The head reads the first position of an encoder and the last position of a decoder.
        parts = [token, passage] if self.spec.model.family == "encoder" else [passage, token]
        return Batch((torch.cat(parts, dim=1),), genres)


class RandomSequences:
    """Base of the tasks on random symbols.

    Evaluation sequences are drawn with keys of their own, so hardly any of them is trained on.
    """

    training_key: int
    evaluation_key: int

    def __init__(self, spec: RunSpec, corpus: Corpus, device: torch.device) -> None:
        self.spec, self.device = spec, device
        recipe = spec.recipe
        self.batches = precompute_batches(
            recipe.steps,
            lambda step: self._draw(recipe.batch_size, (spec.seed, step, self.training_key)),
        ).to(device)

    def training(self, step: int) -> Batch:
        """Training batch of a step."""
        return self._batch(self.batches[step])

    def evaluation(self, split: str, examples: int) -> Iterator[Batch]:
        """`examples` sequences of a split."""
        for i, begin in enumerate(range(0, examples, _CHUNK)):
            key = (SPLITS.index(split), i, self.evaluation_key)
            sequences = self._draw(min(_CHUNK, examples - begin), key)
            yield self._batch(torch.from_numpy(sequences).to(self.device))

    def _draw(self, size: int, key: tuple[int, int, int]) -> np.ndarray:
        raise NotImplementedError

    def _batch(self, sequences: Tensor) -> Batch:
        raise NotImplementedError


class Transduction(RandomSequences):
    """Reverse or sort a random sequence of symbols that is half a context long.

    An encoder-decoder reads the source and writes the target after a start token. A decoder reads
    source, start token and target as one sequence. An encoder answers at the source's positions.
    """

    training_key, evaluation_key = 7, 11

    def _draw(self, size: int, key: tuple[int, int, int]) -> np.ndarray:
        length = self.spec.model.context_length // 2
        return np.random.default_rng(key).integers(SYMBOLS, size=(size, length))

    def _batch(self, sequences: Tensor) -> Batch:
        """sequences: [batch, length], the sources."""
        source, family = sequences, self.spec.model.family
        reverse = self.spec.recipe.task == "reverse"
        target = source.flip(1) if reverse else source.sort(dim=1).values
        start = torch.full_like(source[:, :1], SYMBOLS)
        if family == "encoder":
            return Batch((source,), target)
        if family == "encoder_decoder":
            return Batch((source, torch.cat([start, target[:, :-1]], dim=1)), target)
        whole = torch.cat([source, start, target[:, :-1]], dim=1)  # [batch, 2 · length]
        return Batch((whole,), torch.cat([torch.full_like(source, IGNORED), target], dim=1))


class Repeat(RandomSequences):
    """Continue a random pattern that repeats, with another period for each example.

    A network has to find the previous occurrence of a symbol and copy the symbol after it (Olsson
    2022). A pattern is a quarter to half a context long and holds no symbol twice. The targets are
    the symbols of the repetitions, which the first pattern determines.
    """

    training_key, evaluation_key = 13, 17

    def _draw(self, size: int, key: tuple[int, int, int]) -> np.ndarray:
        """[batch, 1 + time + 1]: the period, and the window that repeats the pattern."""
        random, context = np.random.default_rng(key), self.spec.model.context_length
        longest = min(SYMBOLS, context // 2)
        periods = random.integers(longest // 2, longest, size=size, endpoint=True)
        symbols = random.permuted(np.tile(np.arange(SYMBOLS), (size, 1)), axis=1)
        position = np.arange(context + 1) % periods[:, None]  # [batch, time + 1]
        return np.column_stack([periods, np.take_along_axis(symbols, position, axis=1)])

    def _batch(self, sequences: Tensor) -> Batch:
        periods, window = sequences[:, :1], sequences[:, 1:]
        first_pattern = torch.arange(window.shape[1] - 1, device=self.device) < periods
        return Batch((window[:, :-1],), window[:, 1:].masked_fill(first_pattern, IGNORED))


Task = LanguageModelling | Genre | RandomSequences
TASKS: dict[str, type[LanguageModelling] | type[Genre] | type[RandomSequences]] = {
    "language": LanguageModelling,
    "masked": MaskedTokens,
    "continuation": Continuation,
    "genre": Genre,
    "reverse": Transduction,
    "sort": Transduction,
    "repeat": Repeat,
}


def build_task(spec: RunSpec, corpus: Corpus, device: torch.device) -> Task:
    """The task of a run, with its batches on the device."""
    task: Task = mechanism(spec.recipe.task, TASKS)(spec, corpus, device)
    return task
