"""What a network is trained and judged on: batches of inputs and targets, by the task's name.

Batch t of a seed is a pure function of the corpus, the seed and t, so that all variants see the
same, and a run can go on from any step. What is evaluated on is always the same.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from experiments.data.corpus import SPLITS, Corpus
from experiments.spec import GENRES, SYMBOLS, RunSpec
from experiments.training.loss import IGNORED
from experiments.training.windows import (
    batch_starts,
    evaluation_starts,
    load_tokens,
    precompute_batches,
    windows_at,
)

_CHUNK = 64  # examples that are evaluated at once


class Batch(NamedTuple):
    """What the network is called with, token ids [batch, time] each, and what it should answer,
    `IGNORED` where nothing: token ids [batch, time], or classes [batch]; all int64.
    """

    inputs: tuple[Tensor, ...]
    targets: Tensor


class LanguageModelling:
    """Predict each next token of a window of the corpus."""

    def __init__(self, spec: RunSpec, corpus: Corpus, device: torch.device) -> None:
        self.spec, self.context, self.device = spec, spec.model.context_length, device
        self.vocabulary, self.tokenizer = corpus.vocabulary, corpus.tokenizer
        self.tokens = {split: load_tokens(corpus, split, device) for split in SPLITS}
        highest = len(self.tokens["train"]) - self.context
        recipe = spec.recipe
        starts = batch_starts(spec.seed, recipe.steps, recipe.batch_size, highest)
        self.starts = starts.to(device)

    def training(self, step: int) -> Batch:
        """Batch `step` of the run's seed."""
        return self.batch(*windows_at(self.tokens["train"], self.starts[step], self.context))

    def evaluation(self, split: str, examples: int) -> Iterator[Batch]:
        """At most so many examples of a split; none where it is too short."""
        tokens = self.tokens[split]
        if len(tokens) <= self.context:
            return
        starts = evaluation_starts(len(tokens), self.context, examples).to(self.device)
        for some in starts.split(_CHUNK):
            yield self.batch(*windows_at(tokens, some, self.context))

    def batch(self, window: Tensor, following: Tensor) -> Batch:
        """window, following: [batch, context_length], tokens and the token after each."""
        return Batch((window,), following)


class MaskedTokens(LanguageModelling):
    """Tell which tokens of a window are hidden (Devlin 2019): 15 % of them, each replaced by a
    token of its own.
    """

    def __init__(self, spec: RunSpec, corpus: Corpus, device: torch.device) -> None:
        super().__init__(spec, corpus, device)
        recipe = spec.recipe
        hidden = precompute_batches(
            recipe.steps, lambda step: self._draw(recipe.batch_size, (spec.seed, step, 1))
        )
        self.hidden = hidden.to(device)

    def training(self, step: int) -> Batch:
        """Batch `step` of the run's seed."""
        return self._masked(super().training(step), self.hidden[step])

    def evaluation(self, split: str, examples: int) -> Iterator[Batch]:
        """At most so many examples of a split; none where it is too short."""
        for i, batch in enumerate(super().evaluation(split, examples)):
            hidden = self._draw(len(batch.targets), (SPLITS.index(split), i, 2))
            yield self._masked(batch, torch.from_numpy(hidden).to(self.device))

    def _draw(self, size: int, key: tuple[int, int, int]) -> np.ndarray:
        hidden: np.ndarray = np.random.default_rng(key).random((size, self.context)) < 0.15
        return hidden

    def _masked(self, batch: Batch, hidden: Tensor) -> Batch:
        (window,), mask = batch.inputs, self.spec.model.vocab_size - 1
        return Batch((window.masked_fill(hidden, mask),), window.masked_fill(~hidden, IGNORED))


class Continuation(LanguageModelling):
    """Predict the second half of a window from what came before, its first half given."""

    def batch(self, window: Tensor, following: Tensor) -> Batch:
        half = self.context // 2
        if self.spec.model.family == "encoder_decoder":
            return Batch((window[:, :half], window[:, half:]), following[:, half:])
        targets = following.clone()
        targets[:, :half] = IGNORED
        return Batch((window,), targets)


class Genre:
    """Tell comedy, history and tragedy from a passage of a play; each is drawn as often."""

    def __init__(self, spec: RunSpec, corpus: Corpus, device: torch.device) -> None:
        self.spec, self.device = spec, device
        self.length = spec.model.context_length - 1  # one place is the class token's
        self.tokens = {split: load_tokens(corpus, split, device) for split in SPLITS}
        self.passages = {
            split: [self._starts(corpus, split, genre) for genre in GENRES] for split in SPLITS
        }
        # [steps, 2, batch]: where a passage starts, and its genre
        self.drawn = precompute_batches(spec.recipe.steps, self._draw).to(device)

    def _starts(self, corpus: Corpus, split: str, genre: str) -> np.ndarray:
        """Every place where a passage of a genre may begin, without running into another play."""
        places = [
            np.arange(work.start, work.end - self.length)
            for work in corpus.works
            if work.split == split and work.genre == genre
        ]
        return np.concatenate(places) if places else np.array([], dtype=int)

    def training(self, step: int) -> Batch:
        """Batch `step` of the run's seed."""
        return self._batch("train", *self.drawn[step])

    def _draw(self, step: int) -> np.ndarray:
        random = np.random.default_rng([self.spec.seed, step, 3])
        genres = random.integers(len(GENRES), size=self.spec.recipe.batch_size)
        starts = [random.choice(self.passages["train"][genre]) for genre in genres]
        return np.stack([np.array(starts), genres])

    def evaluation(self, split: str, examples: int) -> Iterator[Batch]:
        """Evenly spaced passages, as many of each genre."""
        each = examples // len(GENRES)
        if not all(len(starts) for starts in self.passages[split]):
            return
        starts = [
            some[np.linspace(0, len(some) - 1, each).round().astype(int)]
            for some in self.passages[split]
        ]
        genres = np.repeat(np.arange(len(GENRES)), each)
        for chunk in np.array_split(np.arange(len(genres)), -(-len(genres) // _CHUNK)):
            two = np.stack([np.concatenate(starts)[chunk], genres[chunk]])
            yield self._batch(split, *torch.from_numpy(two).to(self.device))

    def _batch(self, split: str, starts: Tensor, genres: Tensor) -> Batch:
        """starts, genres: [batch]."""
        offsets = torch.arange(self.length, device=self.device)
        passage = self.tokens[split][starts[:, None] + offsets].long()
        token = torch.full_like(passage[:, :1], self.spec.model.vocab_size - 1)
        # Where each can be read by the network: an encoder's first place, a decoder's last.
        parts = [token, passage] if self.spec.model.family == "encoder" else [passage, token]
        return Batch((torch.cat(parts, dim=1),), genres)


class Sequences:
    """Turn a random sequence of symbols, half a context long, into another one.

    An encoder-decoder is given the source and writes the target after a start token; a decoder
    reads both in one, the start token between them; an encoder answers in place.
    """

    def __init__(self, spec: RunSpec, corpus: Corpus, device: torch.device) -> None:
        self.spec, self.device = spec, device
        self.length = spec.model.context_length // 2
        self.answer = {
            "reverse": lambda source: source.flip(1),
            "sort": lambda source: source.sort(dim=1).values,
        }[spec.recipe.task]
        size = spec.recipe.batch_size
        self.drawn = precompute_batches(
            spec.recipe.steps, lambda step: self._draw(size, (spec.seed, step, 7))
        ).to(device)

    def training(self, step: int) -> Batch:
        """Batch `step` of the run's seed."""
        return self._batch(self.drawn[step])

    def evaluation(self, split: str, examples: int) -> Iterator[Batch]:
        """Sequences of which hardly any can have been trained on: there are SYMBOLS^length."""
        for i, begin in enumerate(range(0, examples, _CHUNK)):
            found = self._draw(min(_CHUNK, examples - begin), (SPLITS.index(split), i, 11))
            yield self._batch(torch.from_numpy(found).to(self.device))

    def _draw(self, size: int, key: tuple[int, int, int]) -> np.ndarray:
        return np.random.default_rng(key).integers(SYMBOLS, size=(size, self.length))

    def _batch(self, source: Tensor) -> Batch:
        """source: [batch, length]."""
        target, start = self.answer(source), torch.full_like(source[:, :1], SYMBOLS)
        family = self.spec.model.family
        if family == "encoder":
            return Batch((source,), target)
        if family == "encoder_decoder":
            return Batch((source, torch.cat([start, target[:, :-1]], dim=1)), target)
        whole = torch.cat([source, start, target[:, :-1]], dim=1)  # [batch, 2 · length]
        return Batch((whole,), torch.cat([torch.full_like(source, IGNORED), target], dim=1))


class Repeats:
    """Go on with a random pattern that repeats, its length another one each time: a network must
    find the last time that a symbol stood there, and copy what came after it (Olsson 2022).

    A pattern is a quarter to half a context long and holds no symbol twice. Only what is
    determined is asked for: what comes after the first symbol that comes again.
    """

    def __init__(self, spec: RunSpec, corpus: Corpus, device: torch.device) -> None:
        self.spec, self.device = spec, device
        self.longest = min(SYMBOLS, spec.model.context_length // 2)
        size = spec.recipe.batch_size
        self.drawn = precompute_batches(
            spec.recipe.steps, lambda step: self._draw(size, (spec.seed, step, 13))
        ).to(device)

    def training(self, step: int) -> Batch:
        """Batch `step` of the run's seed."""
        return self._batch(self.drawn[step])

    def evaluation(self, split: str, examples: int) -> Iterator[Batch]:
        """Patterns of which hardly any can have been trained on."""
        for i, begin in enumerate(range(0, examples, _CHUNK)):
            found = self._draw(min(_CHUNK, examples - begin), (SPLITS.index(split), i, 17))
            yield self._batch(torch.from_numpy(found).to(self.device))

    def _draw(self, size: int, key: tuple[int, int, int]) -> np.ndarray:
        """[batch, 1 + time + 1]: a pattern's length, and the window that repeats it."""
        random, context = np.random.default_rng(key), self.spec.model.context_length
        periods = random.integers(self.longest // 2, self.longest, size=size, endpoint=True)
        symbols = random.permuted(np.tile(np.arange(SYMBOLS), (size, 1)), axis=1)
        place = np.arange(context + 1) % periods[:, None]  # [batch, time + 1]
        return np.column_stack([periods, np.take_along_axis(symbols, place, axis=1)])

    def _batch(self, found: Tensor) -> Batch:
        periods, window = found[:, :1], found[:, 1:]
        unknown = torch.arange(window.shape[1] - 1, device=self.device) < periods
        return Batch((window[:, :-1],), window[:, 1:].masked_fill(unknown, IGNORED))


Task = LanguageModelling | Genre | Sequences | Repeats
TASKS: dict[str, Callable[[RunSpec, Corpus, torch.device], Task]] = {
    "language": LanguageModelling,
    "masked": MaskedTokens,
    "continuation": Continuation,
    "genre": Genre,
    "reverse": Sequences,
    "sort": Sequences,
    "repeat": Repeats,
}
