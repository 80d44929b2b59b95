"""Generation: greedy decoding, sampling and beam search, with or without a cache.

A model reads at most the last `context_length` tokens. In longer sequences this window moves by one
token at a time; every position then changes, so the cache is computed anew for every token.
"""

import contextlib
import math
from collections.abc import Iterator
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
    source_padding_mask: Tensor | None = None,
    cached: bool = True,
) -> Tensor:
    """Continue each sequence by `new_tokens` tokens, drawn one at a time from the predictions.

    tokens: [batch, time], time at least 1; for an encoder-decoder, the start of the target.
    temperature: divides the logits; 0 is greedy decoding, which takes the likeliest token.
    top_k: keeps the k likeliest tokens, and ties with the last of them.
    top_p: keeps the fewest tokens whose probabilities reach p (Holtzman 2020), after `top_k` and
        the temperature.
    seed: the same seed draws the same tokens on any device that computes the same probabilities.
    end: a token after which only `end` follows; it counts only if it was drawn.
    source, source_padding_mask: as in `EncoderDecoder.forward`.
    cached: whether to use a cache, which changes the speed only.

    Returns [batch, time + new_tokens], beginning with the given tokens.

    Raises:
        ValueError: an argument cannot work, or the model cannot generate in this way.
    """
    _check("temperature", temperature, 0 <= temperature < math.inf, "a number of at least 0")
    _check("top_k", top_k, top_k is None or _is_count(top_k), "None or a whole number from 1")
    _check("top_p", top_p, top_p is None or 0 < top_p <= 1, "None, or above 0 and at most 1")
    generator, given = torch.Generator().manual_seed(seed), tokens.shape[1]
    _check_arguments(model, tokens, new_tokens, end, source, source_padding_mask, cached)
    with _evaluation_mode(model):
        reader = _Reader(model, source, source_padding_mask, cached)
        for _ in range(new_tokens):
            logits = reader.next_logits(tokens)
            if temperature == 0:
                drawn = logits.argmax(dim=-1, keepdim=True)
            else:
                # Filtered and drawn on the CPU, whose generator is the same on every machine, and
                # whose cumulative sum is deterministic.
                kept = filtered((logits / temperature).cpu(), top_k, top_p)
                drawn = kept.softmax(dim=-1).float().multinomial(1, generator=generator)
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
    source_padding_mask: Tensor | None = None,
    cached: bool = True,
) -> Tensor:
    """Continue each sequence by the `new_tokens` tokens with the highest total log-probability that
    a beam search finds, keeping the `beams` best continuations at every step.

    The other arguments and the result are those of `generate`. The total of a sequence does not
    change after its `end`; totals are not corrected for length.

    Raises:
        ValueError: an argument cannot work, or the model cannot generate in this way.
    """
    _check("beams", beams, _is_count(beams), "a whole number from 1")
    _check_arguments(model, tokens, new_tokens, end, source, source_padding_mask, cached)
    batch, given = tokens.shape
    tokens = tokens.repeat_interleave(beams, dim=0)
    if source is not None:
        source = source.repeat_interleave(beams, dim=0)
    if source_padding_mask is not None:
        source_padding_mask = source_padding_mask.repeat_interleave(beams, dim=0)
    first_row = torch.arange(batch, device=tokens.device)[:, None] * beams  # of each sequence
    totals = torch.full((batch, beams), -torch.inf, device=tokens.device)
    totals[:, 0] = 0.0  # all beams of a sequence begin equal, so only one counts
    with _evaluation_mode(model):
        reader = _Reader(model, source, source_padding_mask, cached)
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
    """The logits, [batch, vocab], with -inf for tokens removed by `top_k` and then by `top_p`."""
    if top_k is not None:
        least = logits.topk(min(top_k, logits.shape[-1])).values[:, -1:]
        logits = logits.masked_fill(logits < least, -torch.inf)
    if top_p is not None and top_p < 1:
        ordered, order = logits.sort(dim=-1, descending=True)
        probabilities = ordered.softmax(dim=-1)
        before = probabilities.cumsum(dim=-1) - probabilities  # total of all likelier tokens
        ordered = ordered.masked_fill(before >= top_p, -torch.inf)
        logits = torch.empty_like(logits).scatter(-1, order, ordered)
    return logits


class _Reader:
    """Computes the logits of the next token, reading every token once while the cache is valid."""

    def __init__(
        self, model: Any, source: Tensor | None, source_padding_mask: Tensor | None, cached: bool
    ) -> None:
        self.model, self.cached = model, cached
        self.cache = Cache()
        self.source_padding_mask = source_padding_mask
        self.memory = None if source is None else model.encode(source, source_padding_mask)

    def next_logits(self, tokens: Tensor) -> Tensor:
        """tokens: [batch, time], all tokens so far. Returns [batch, vocab]."""
        window = self.model.context_length
        if tokens.shape[1] > window:
            self.cache = Cache()  # the window has moved, and with it every position
        unread = tokens[:, -window:][:, self.cache.length :]
        cache = self.cache if self.cached else None
        if self.memory is None:
            logits = self.model(unread, cache=cache) if cache else self.model(unread)
            return logits[:, -1]
        return self.model.decode(unread, self.memory, self.source_padding_mask, cache)[:, -1]


@contextlib.contextmanager
def _evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Without dropout inside the block."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


def _check_arguments(
    model: Any,
    tokens: Tensor,
    new_tokens: int,
    end: int | None,
    source: Tensor | None,
    source_padding_mask: Tensor | None,
    cached: bool,
) -> None:
    if not hasattr(model, "cacheable") or getattr(model, "classifies", False):
        raise ValueError(f"{type(model).__name__} predicts no next token: it cannot write on")
    if cached and not model.cacheable:
        raise ValueError(
            "masking='after_softmax' cannot be cached: what a token becomes depends on later ones"
        )
    if isinstance(model, EncoderDecoder) != (source is not None):
        raise ValueError("source must be given to an encoder-decoder, and to no other model")
    if source_padding_mask is not None and source is None:
        raise ValueError("source_padding_mask cannot work without a source")
    _check("tokens", tuple(tokens.shape), tokens.shape[1] > 0, "[batch, time], time at least 1")
    _check("new_tokens", new_tokens, new_tokens == 0 or _is_count(new_tokens), "a whole number")
    in_vocabulary = end is None or (type(end) is int and 0 <= end < model.vocab_size)
    _check("end", end, in_vocabulary, f"None or a token below {model.vocab_size}")


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 1


def _check(name: str, value: object, fits: bool, allowed: str) -> None:
    if not fits:
        raise ValueError(f"{name}={value!r} cannot work: it must be {allowed}")
