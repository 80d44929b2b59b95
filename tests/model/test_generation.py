"""Writing on: with a cache as without, by the probabilities that the model gives, to the end."""

import dataclasses
import itertools

import pytest
import torch
from compare import CONFIG, changed, randomise, tokens
from torch import Tensor, nn

from experiments.catalogue import load_ablations
from experiments.profiles import PROFILES
from model import ModelConfig, build
from model.cache import Cache
from model.networks.generation import beam_search, generate

BASE, RECIPE = PROFILES["smoke"].base_model(13), PROFILES["smoke"].recipe
VARIANTS = {
    f"{name}/{variant.name}": variant.applied_to(BASE, RECIPE)[0]
    for name, ablation in load_ablations().items()
    for variant in ablation.variants
    # masking after the softmax is refused, see below; another task's network writes no text
    if dict(variant.changes).get("model.masking") != "after_softmax"
    and "recipe.task" not in variant.changes
}
MECHANISMS = {
    str(changes): dataclasses.replace(BASE, **changes)
    for changes in (
        {"position": "alibi"},
        {"n_kv_heads": 1},
        {"n_kv_heads": 2, "attention": "reference"},
        {"norm": "rmsnorm", "activation": "swiglu"},
        {"attention_scale": False},
        {"embedding_scale": True, "position": "sinusoidal"},
        {"family": "mlp", "mlp_window": 5},
        {"family": "mlp", "mlp_window": 1},
        {"family": "bigram"},
        {"family": "lstm", "n_layers": 3},
    )
}


@pytest.fixture(params={**VARIANTS, **MECHANISMS}.items(), ids=lambda item: item[0])
def network(request) -> nn.Module:
    """Large embeddings, so that what is written depends on what was read."""
    model = randomise(build(request.param[1]), embedding_std=3.0)
    if request.param[1].family == "bigram":
        torch.manual_seed(2)
        model.counts.data.uniform_(0, 10)
    return model


def test_reading_in_pieces_gives_the_logits_of_reading_at_once(network: nn.Module):
    text = tokens(BASE.context_length)
    cache = Cache()
    pieces = [network(piece, cache=cache) for piece in text.split([5, 1, 1, 10, 15], dim=1)]
    torch.testing.assert_close(torch.cat(pieces, dim=1), network(text), rtol=1e-9, atol=1e-9)


def test_what_was_read_with_a_cache_stays_whatever_follows(network: nn.Module):
    text, cut = tokens(BASE.context_length), 20
    other = text.clone()
    other[:, cut:] = (other[:, cut:] + 1) % 13
    cache = Cache()
    network(text[:, :10], cache=cache)
    before = network(text[:, 10:cut], cache=cache)
    after = network(other[:, cut:], cache=cache)
    torch.testing.assert_close(before, network(other)[:, 10:cut], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(after, network(other)[:, cut:], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("temperature", [0, 1.5])
def test_cached_and_uncached_write_the_same_past_the_window(network: nn.Module, temperature):
    """30 tokens of a window of 32 are given: the window slides for most of what is written."""
    how = {"temperature": temperature, "seed": 3}
    start = tokens(30)
    cached = generate(network, start, 12, **how)
    assert torch.equal(cached, generate(network, start, 12, **how, cached=False))
    assert torch.equal(cached[:, :30], start)
    assert cached.shape == (3, 42)


def test_past_the_window_the_oldest_token_is_forgotten():
    model = randomise(build(changed(position="learned")), 9.0)
    start = tokens(CONFIG.context_length + 3)
    forgotten = start.clone()
    forgotten[:, :3] = 0
    written = [generate(model, s, 5, temperature=0)[:, -5:] for s in (start, forgotten)]
    assert torch.equal(*written)


def test_the_window_is_as_long_as_the_context():
    model, read = build(changed(position="rope")), []
    model.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0].shape[1]))
    generate(model, tokens(10), 20, cached=False)
    assert read == [min(length, CONFIG.context_length) for length in range(10, 30)]


def small_language(vocabulary: int = 5) -> nn.Module:
    """A bigram with chosen probabilities."""
    config = dataclasses.replace(BASE, family="bigram", vocab_size=vocabulary)
    model = build(config).double()
    torch.manual_seed(0)
    model.counts.data.uniform_(0, 20)
    return model


def test_sampling_draws_by_the_probabilities():
    model, n = small_language(), 40_000
    start = torch.zeros(n, 1, dtype=torch.long)
    both = {"temperature": 0.2, "top_p": 0.6}  # the temperature comes first
    for how in ({}, {"temperature": 0.5}, {"top_k": 2}, {"top_p": 0.6}, both):
        drawn = generate(model, start, 1, **how)[:, 1]
        p = model(start[:1])[0, 0].div(how.get("temperature", 1.0)).softmax(0)
        ordered, order = p.sort(descending=True)
        kept = how.get("top_k", 5)
        if "top_p" in how:
            kept = int((ordered.cumsum(0) < 0.6).sum()) + 1
        p[order[kept:]] = 0
        p /= p.sum()
        found = torch.bincount(drawn, minlength=5) / n
        error = (p * (1 - p) / n).sqrt()
        assert ((found - p).abs() <= 4.5 * error).all(), how
        assert (found[p == 0] == 0).all()


def test_a_seed_repeats_and_another_does_not():
    model, start = small_language(), torch.zeros(2, 1, dtype=torch.long)
    first = generate(model, start, 30, seed=1)
    assert torch.equal(first, generate(model, start, 30, seed=1))
    assert not torch.equal(first, generate(model, start, 30, seed=2))
    assert not torch.equal(first[0], first[1])


def test_one_candidate_is_greedy():
    model, start = randomise(build(CONFIG), 9.0), tokens(4)
    greedy = generate(model, start, 10, temperature=0)
    for how in ({"top_k": 1}, {"top_p": 1e-9}, {"temperature": 1e-4}):
        assert torch.equal(generate(model, start, 10, **how), greedy)
    assert torch.equal(beam_search(model, start, 10, beams=1), greedy)


def log_probability(model: nn.Module, sequence: Tensor, given: int, end: int | None) -> float:
    """Of what follows the given tokens, up to and with the first end."""
    log_p = model(sequence[None, :-1])[0].log_softmax(-1)
    total = 0.0
    for place in range(given, len(sequence)):
        total += log_p[place - 1, sequence[place]].item()
        if sequence[place] == end:
            break
    return total


@pytest.mark.parametrize("end", [None, 1])
def test_a_beam_wide_enough_finds_the_best_of_all(end: int | None):
    config = dataclasses.replace(CONFIG, vocab_size=4, tie_embeddings=False)
    model = randomise(build(config), 3.0)
    model.head.weight.data *= 0.3  # less sure of itself: the likeliest step may be a wrong turn
    start, steps = torch.tensor([[2, 3], [0, 2], [1, 1], [3, 0]]), 4
    found = beam_search(model, start, steps, beams=4**steps, end=end)
    greedy = generate(model, start, steps, temperature=0, end=end)
    better = 0
    for row in range(len(start)):
        best, its_total = None, -float("inf")
        for written in itertools.product(range(4), repeat=steps):
            first = written.index(end) if end in written else steps
            if any(token != end for token in written[first:]):
                continue  # after the end there is nothing but the end
            candidate = torch.cat([start[row], torch.tensor(written)])
            total = log_probability(model, candidate, 2, end)
            if total > its_total:
                best, its_total = candidate, total
        assert torch.equal(found[row], best)
        better += its_total > log_probability(model, greedy[row], 2, end) + 1e-9
    assert better  # else the search would not have been needed


@pytest.mark.parametrize("write", [generate, beam_search])
def test_after_the_end_comes_the_end(write):
    model, start = small_language(), torch.zeros(20, 1, dtype=torch.long)
    for row in write(model, start, 30, end=3)[:, 1:].tolist():
        assert 3 not in row or set(row[row.index(3) :]) == {3}


@pytest.mark.parametrize("write", [generate, beam_search])
def test_an_end_that_was_given_is_none(write):
    """As where one token both starts a text and ends it."""
    model, start = small_language(), torch.full((20, 1), 3)
    model.counts.data[3, 3] = 0
    written = write(model, start, 5, end=3)
    assert not (written[:, 1:] == 3).all()


def test_a_source_is_projected_once():
    model = build(changed(family="encoder_decoder"))
    calls = []
    for layer in model.networks.decoder.layers:
        layer.cross_attention.inner.key_value.register_forward_hook(lambda *_: calls.append(1))
    generate(model, torch.zeros(3, 1, dtype=torch.long), 10, source=tokens(9))
    assert len(calls) == CONFIG.n_layers


@pytest.mark.parametrize("position", ["sinusoidal", "learned", "rope", "alibi"])
@pytest.mark.parametrize("write", [generate, beam_search])
def test_an_encoder_decoder_writes_what_its_source_says(position: str, write):
    config = changed(family="encoder_decoder", position=position, tie_embeddings=False)
    model = randomise(build(config), 1.0)
    source, start = tokens(9), torch.zeros(3, 1, dtype=torch.long)
    how = {"temperature": 0} if write is generate else {"beams": 3}
    written = write(model, start, 20, source=source, **how)
    assert torch.equal(written, write(model, start, 20, source=source, cached=False, **how))
    if write is generate:  # each token is the likeliest after those before it
        logits = model(source, written[:, :15])
        assert torch.equal(written[:, 1:16], logits.argmax(-1))
    assert not torch.equal(written, write(model, start, 20, source=(source + 1) % 13, **how))
    real = torch.arange(9) < 6
    short = write(model, start, 20, source=source[:, :6], **how)
    padded = write(model, start, 20, source=source, source_real=real.expand(3, 9), **how)
    assert torch.equal(short, padded)


def test_nothing_drops_out_and_the_mode_is_left_as_it_was():
    model = randomise(build(changed(dropout=0.5)), 9.0)
    model.train()
    noisy = generate(model, tokens(4), 8, temperature=0)
    assert model.training
    model.eval()
    assert torch.equal(noisy, generate(model, tokens(4), 8, temperature=0))
    assert not model.training


def config_that_leaks() -> ModelConfig:
    return changed(attention="reference", masking="after_softmax")


@pytest.mark.parametrize(
    ("config", "how", "word"),
    [
        (CONFIG, {"temperature": -1.0}, "temperature=-1.0"),
        (CONFIG, {"temperature": float("nan")}, "temperature=nan"),
        (CONFIG, {"top_k": 1.5}, "top_k=1.5"),
        (CONFIG, {"new_tokens": -3}, "new_tokens=-3"),
        (CONFIG, {"tokens": torch.zeros(3, 0, dtype=torch.long)}, r"tokens=\(3, 0\)"),
        (CONFIG, {"end": 13}, "end=13"),
        (CONFIG, {"end": -1}, "end=-1"),
        (CONFIG, {"source_real": torch.ones(3, 4, dtype=torch.bool)}, "source_real"),
        (CONFIG, {"top_k": 0}, "top_k=0"),
        (CONFIG, {"top_p": 0.0}, "top_p=0.0"),
        (CONFIG, {"top_p": 1.5}, "top_p=1.5"),
        (CONFIG, {"source": torch.zeros(3, 4, dtype=torch.long)}, "source"),
        (changed(family="encoder_decoder"), {}, "source"),
        (changed(family="encoder"), {}, "Encoder predicts no next token"),
        (changed(n_classes=3), {}, "Decoder predicts no next token"),
        (config_that_leaks(), {}, "masking='after_softmax' cannot be cached"),
    ],
)
def test_what_cannot_work_is_refused(config: ModelConfig, how: dict, word: str):
    with pytest.raises(ValueError, match=word):
        generate(build(config), **{"tokens": tokens(4), "new_tokens": 3} | how)


def test_a_beam_search_refuses_too():
    for how in ({"beams": 0}, {"beams": 2.0}, {"end": 13}, {"new_tokens": -1}):
        with pytest.raises(ValueError, match="cannot work"):
            beam_search(build(CONFIG), **{"tokens": tokens(4), "new_tokens": 3} | how)


def test_masking_after_the_softmax_writes_without_a_cache():
    model = randomise(build(config_that_leaks()), 9.0)
    assert generate(model, tokens(4), 20, cached=False).shape == (3, 24)
