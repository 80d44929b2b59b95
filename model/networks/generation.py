"""Writing on: greedy, sampled, or by beam search, with or without a cache.

A model reads at most its `context_length` last tokens. Past that length the window slides by one
token at a time; every position then shifts, so that a cache no longer holds and is made anew.
"""

import contextlib
import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from model.cache import Cache
from model.networks.encoder_decoder import EncoderDecoder


@torch.no_grad()
def generate(
    model: nn.Module,
    tokens: Tensor,
    new_tokens: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int = 0,
    end: int | None = None,
    source: Tensor | None = None,
    source_real: Tensor | None = None,
    cached: bool = True,
) -> Tensor:
    """Continue each sequence by `new_tokens` tokens, one at a time, drawn as `model` predicts.

    tokens: [batch, time], time at least 1; of an encoder-decoder, the start of the target, with
    `source` and `source_real` as in its `forward`. A temperature of 0 is greedy: always the
    likeliest token. `top_k` keeps the k likeliest tokens and ties with the last of them, `top_p`
    the fewest whose probabilities reach p (Holtzman 2020); both act after the temperature. What
    follows a drawn `end` is `end`.
    The same seed draws the same tokens, on any device that computes the same probabilities.

    Returns [batch, time + new_tokens], the given tokens first.

    Raises:
        ValueError: an argument cannot work, or the model cannot write on as asked.
    """
    _check("temperature", temperature, 0 <= temperature < math.inf, "a number of at least 0")
    _check("top_k", top_k, top_k is None or _is_count(top_k), "None or a whole number from 1")
    _check("top_p", top_p, top_p is None or 0 < top_p <= 1, "None, or above 0 and at most 1")
    generator, given = torch.Generator().manual_seed(seed), tokens.shape[1]
    with _reading(model, tokens, new_tokens, end, source, source_real, cached) as reader:
        for _ in range(new_tokens):
            logits = reader.next_logits(tokens)
            if temperature == 0:
                drawn = logits.argmax(dim=-1, keepdim=True)
            else:
                kept = filtered(logits / temperature, top_k, top_p)
                # drawn on the processor, whose generator every machine has
                drawn = kept.softmax(dim=-1).float().cpu().multinomial(1, generator=generator)
                drawn = drawn.to(tokens.device)
            if end is not None and tokens.shape[1] > given:
                drawn = drawn.masked_fill(tokens[:, -1:] == end, end)
            tokens = torch.cat([tokens, drawn], dim=1)
    return tokens


@torch.no_grad()
def beam_search(
    model: nn.Module,
    tokens: Tensor,
    new_tokens: int,
    *,
    beams: int = 4,
    end: int | None = None,
    source: Tensor | None = None,
    source_real: Tensor | None = None,
    cached: bool = True,
) -> Tensor:
    """Continue each sequence by the `new_tokens` tokens of the highest total log-probability found
    when the `beams` best beginnings are kept at each step.

    Arguments and result are those of `generate`. A sequence that has come to its `end` keeps its
    total, and is not corrected for its length.

    Raises:
        ValueError: an argument cannot work, or the model cannot write on as asked.
    """
    _check("beams", beams, _is_count(beams), "a whole number from 1")
    batch, given = tokens.shape
    tokens = tokens.repeat_interleave(beams, dim=0)
    source, source_real = (
        None if each is None else each.repeat_interleave(beams, dim=0)
        for each in (source, source_real)
    )
    first_row = torch.arange(batch, device=tokens.device)[:, None] * beams  # of each sequence
    totals = torch.full((batch, beams), -torch.inf, device=tokens.device)
    totals[:, 0] = 0.0  # the beams begin alike: only one of them counts
    with _reading(model, tokens, new_tokens, end, source, source_real, cached) as reader:
        for _ in range(new_tokens):
            log_p = reader.next_logits(tokens).float().log_softmax(dim=-1)
            vocabulary = log_p.shape[-1]
            if end is not None and tokens.shape[1] > given:
                only_end = torch.full_like(log_p, -torch.inf)
                only_end[:, end] = 0.0
                log_p = torch.where(tokens[:, -1:] == end, only_end, log_p)
            continued = totals[:, :, None] + log_p.view(batch, beams, vocabulary)
            totals, best = continued.flatten(1).topk(beams)
            rows = (first_row + best // vocabulary).flatten()
            tokens = torch.cat([tokens[rows], (best % vocabulary).view(-1, 1)], dim=1)
            reader.cache.select(rows)
    return tokens[first_row[:, 0]]


def filtered(logits: Tensor, top_k: int | None = None, top_p: float | None = None) -> Tensor:
    """Logits, [batch, vocab], with -inf for every token that `top_k`, then `top_p`, leaves out."""
    if top_k is not None:
        least = logits.topk(min(top_k, logits.shape[-1])).values[:, -1:]
        logits = logits.masked_fill(logits < least, -torch.inf)
    if top_p is not None and top_p < 1:
        ordered, order = logits.sort(dim=-1, descending=True)
        probabilities = ordered.softmax(dim=-1)
        before = probabilities.cumsum(dim=-1) - probabilities  # of all the likelier tokens
        ordered = ordered.masked_fill(before >= top_p, -torch.inf)
        logits = torch.empty_like(logits).scatter(-1, order, ordered)
    return logits


class _Reader:
    """Asks a model for its next logits, handing it each token once where the cache allows."""

    def __init__(self, read: Callable[..., Tensor], window: int, cached: bool) -> None:
        self.read, self.window, self.cached = read, window, cached
        self.cache = Cache()

    def next_logits(self, tokens: Tensor) -> Tensor:
        """tokens: [batch, time], all so far. Returns [batch, vocab]."""
        if not self.cached:
            return self.read(tokens[:, -self.window :])[:, -1]
        if tokens.shape[1] > self.window:
            self.cache = Cache()
        recent = tokens[:, -self.window :]
        return self.read(recent[:, self.cache.length :], cache=self.cache)[:, -1]


@contextlib.contextmanager
def _reading(
    model: nn.Module,
    tokens: Tensor,
    new_tokens: int,
    end: int | None,
    source: Tensor | None,
    source_real: Tensor | None,
    cached: bool,
) -> Iterator[_Reader]:
    """A reader of `model`, which within the block does not drop out."""
    writer: Any = model
    if not hasattr(model, "cacheable") or getattr(model, "classifies", False):
        raise ValueError(f"{type(model).__name__} predicts no next token: it cannot write on")
    if cached and not writer.cacheable:
        raise ValueError(
            "masking='after_softmax' cannot be cached: what a token becomes depends on later ones"
        )
    if isinstance(model, EncoderDecoder) != (source is not None):
        raise ValueError("source must be given to an encoder-decoder, and to no other model")
    if source_real is not None and source is None:
        raise ValueError("source_real cannot work without a source")
    _check("tokens", tuple(tokens.shape), tokens.shape[1] > 0, "[batch, time], time at least 1")
    _check("new_tokens", new_tokens, new_tokens == 0 or _is_count(new_tokens), "a whole number")
    vocabulary = writer.vocab_size
    known = end is None or (type(end) is int and 0 <= end < vocabulary)
    _check("end", end, known, f"None or a token below {vocabulary}")
    was_training = model.training
    model.eval()
    try:
        read: Callable[..., Tensor] = model
        if isinstance(model, EncoderDecoder) and source is not None:
            memory = model.encode(source, source_real)

            def read(tokens: Tensor, cache: Cache | None = None) -> Tensor:
                return model.decode(tokens, memory, source_real, cache)

        yield _Reader(read, writer.context_length, cached)
    finally:
        model.train(was_training)


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 1


def _check(name: str, value: object, fits: bool, allowed: str) -> None:
    if not fits:
        raise ValueError(f"{name}={value!r} cannot work: it must be {allowed}")
