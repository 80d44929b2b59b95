"""Generation: cached and uncached, sampling, beam search, end tokens and refusals."""

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
    # Masking after the softmax cannot be cached, and networks of other tasks generate no text.
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
    """A network with large embeddings, so that its output depends on its input."""
    model = randomise(build(request.param[1]), embedding_std=3.0)
    if request.param[1].family == "bigram":
        torch.manual_seed(2)
        model.counts.data.uniform_(0, 10)
    return model


def test_reading_in_pieces_with_a_cache_gives_the_logits_of_reading_at_once(network: nn.Module):
    text = tokens(BASE.context_length)
    cache = Cache()
    pieces = [network(piece, cache=cache) for piece in text.split([5, 1, 1, 10, 15], dim=1)]
    torch.testing.assert_close(torch.cat(pieces, dim=1), network(text), rtol=1e-9, atol=1e-9)


def test_cached_logits_do_not_depend_on_later_tokens(network: nn.Module):
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
def test_cached_and_uncached_generation_agree_beyond_the_context_length(
    network: nn.Module, temperature
):
    """30 tokens are given and the context has 32, so the window moves for most new tokens."""
    options = {"temperature": temperature, "seed": 3}
    start = tokens(30)
    cached = generate(network, start, 12, **options)
    assert torch.equal(cached, generate(network, start, 12, **options, cached=False))
    assert torch.equal(cached[:, :30], start)
    assert cached.shape == (3, 42)


def test_tokens_before_the_context_do_not_change_the_generated_tokens():
    model = randomise(build(changed(position="learned")), 9.0)
    start = tokens(CONFIG.context_length + 3)
    other = start.clone()
    other[:, :3] = 0
    generated = [generate(model, given, 5, temperature=0)[:, -5:] for given in (start, other)]
    assert torch.equal(*generated)


def test_generation_reads_at_most_context_length_tokens():
    model, lengths = build(changed(position="rope")), []
    model.register_forward_pre_hook(lambda _, inputs: lengths.append(inputs[0].shape[1]))
    generate(model, tokens(10), 20, cached=False)
    assert lengths == [min(length, CONFIG.context_length) for length in range(10, 30)]


def random_bigram(vocabulary: int = 5) -> nn.Module:
    """A bigram with random counts."""
    config = dataclasses.replace(BASE, family="bigram", vocab_size=vocabulary)
    model = build(config).double()
    torch.manual_seed(0)
    model.counts.data.uniform_(0, 20)
    return model


def test_sampled_frequencies_agree_with_the_filtered_probabilities():
    model, n = random_bigram(), 40_000
    start = torch.zeros(n, 1, dtype=torch.long)
    both = {"temperature": 0.2, "top_p": 0.6}  # the temperature acts first
    for how in ({}, {"temperature": 0.5}, {"top_k": 2}, {"top_p": 0.6}, both):
        drawn = generate(model, start, 1, **how)[:, 1]
        p = model(start[:1])[0, 0].div(how.get("temperature", 1.0)).softmax(0)
        ordered, order = p.sort(descending=True)
        kept = how.get("top_k", 5)
        if "top_p" in how:
            kept = int((ordered.cumsum(0) < 0.6).sum()) + 1
        p[order[kept:]] = 0
        p /= p.sum()
        frequency = torch.bincount(drawn, minlength=5) / n
        error = (p * (1 - p) / n).sqrt()
        assert ((frequency - p).abs() <= 4.5 * error).all(), how
        assert (frequency[p == 0] == 0).all()


def test_a_seed_repeats_its_tokens_and_another_seed_draws_others():
    model, start = random_bigram(), torch.zeros(2, 1, dtype=torch.long)
    first = generate(model, start, 30, seed=1)
    assert torch.equal(first, generate(model, start, 30, seed=1))
    assert not torch.equal(first, generate(model, start, 30, seed=2))
    assert not torch.equal(first[0], first[1])


def test_one_candidate_or_a_low_temperature_equals_greedy_decoding():
    model, start = randomise(build(CONFIG), 9.0), tokens(4)
    greedy = generate(model, start, 10, temperature=0)
    for how in ({"top_k": 1}, {"top_p": 1e-9}, {"temperature": 1e-4}):
        assert torch.equal(generate(model, start, 10, **how), greedy)
    assert torch.equal(beam_search(model, start, 10, beams=1), greedy)


def log_probability(model: nn.Module, sequence: Tensor, given: int, end: int | None) -> float:
    """Log-probability of the tokens after the given ones, up to and including the first end."""
    log_p = model(sequence[None, :-1])[0].log_softmax(-1)
    total = 0.0
    for place in range(given, len(sequence)):
        total += log_p[place - 1, sequence[place]].item()
        if sequence[place] == end:
            break
    return total


@pytest.mark.parametrize("end", [None, 1])
def test_a_beam_search_over_all_continuations_finds_the_most_probable_one(end: int | None):
    config = dataclasses.replace(CONFIG, vocab_size=4, tie_embeddings=False)
    model = randomise(build(config), 3.0)
    model.head.weight.data *= 0.3  # closer probabilities, so that greedy decoding may be suboptimal
    start, steps = torch.tensor([[2, 3], [0, 2], [1, 1], [3, 0]]), 4
    searched = beam_search(model, start, steps, beams=4**steps, end=end)
    greedy = generate(model, start, steps, temperature=0, end=end)
    better = 0
    for row in range(len(start)):
        best, best_total = None, -float("inf")
        for continuation in itertools.product(range(4), repeat=steps):
            first = continuation.index(end) if end in continuation else steps
            if any(token != end for token in continuation[first:]):
                continue  # only `end` follows an end
            candidate = torch.cat([start[row], torch.tensor(continuation)])
            total = log_probability(model, candidate, 2, end)
            if total > best_total:
                best, best_total = candidate, total
        assert torch.equal(searched[row], best)
        better += best_total > log_probability(model, greedy[row], 2, end) + 1e-9
    assert better  # than greedy decoding, or the search would show nothing


@pytest.mark.parametrize("write", [generate, beam_search])
def test_only_the_end_token_follows_an_end_token(write):
    model, start = random_bigram(), torch.zeros(20, 1, dtype=torch.long)
    for row in write(model, start, 30, end=3)[:, 1:].tolist():
        assert 3 not in row or set(row[row.index(3) :]) == {3}


@pytest.mark.parametrize("write", [generate, beam_search])
def test_an_end_token_among_the_given_tokens_does_not_end_the_text(write):
    """One token may both start and end a text."""
    model, start = random_bigram(), torch.full((20, 1), 3)
    model.counts.data[3, 3] = 0
    generated = write(model, start, 5, end=3)
    assert not (generated[:, 1:] == 3).all()


def test_cross_attention_projects_the_source_once():
    model = build(changed(family="encoder_decoder"))
    calls = []
    for layer in model.decoder.layers:
        layer.cross_attention.inner.key_value.register_forward_hook(lambda *_: calls.append(1))
    generate(model, torch.zeros(3, 1, dtype=torch.long), 10, source=tokens(9))
    assert len(calls) == CONFIG.n_layers


@pytest.mark.parametrize("position", ["sinusoidal", "learned", "rope", "alibi"])
@pytest.mark.parametrize("write", [generate, beam_search])
def test_encoder_decoder_generation_depends_on_the_source_and_not_on_padding(position: str, write):
    config = changed(family="encoder_decoder", position=position, tie_embeddings=False)
    model = randomise(build(config), 1.0)
    source, start = tokens(9), torch.zeros(3, 1, dtype=torch.long)
    how = {"temperature": 0} if write is generate else {"beams": 3}
    generated = write(model, start, 20, source=source, **how)
    assert torch.equal(generated, write(model, start, 20, source=source, cached=False, **how))
    if write is generate:  # every token is the likeliest after the tokens before
        logits = model(source, generated[:, :15])
        assert torch.equal(generated[:, 1:16], logits.argmax(-1))
    assert not torch.equal(generated, write(model, start, 20, source=(source + 1) % 13, **how))
    padding_mask = (torch.arange(9) < 6).expand(3, 9)
    short = write(model, start, 20, source=source[:, :6], **how)
    padded = write(model, start, 20, source=source, source_padding_mask=padding_mask, **how)
    assert torch.equal(short, padded)


def test_generation_uses_no_dropout_and_restores_the_training_mode():
    model = randomise(build(changed(dropout=0.5)), 9.0)
    model.train()
    generated = generate(model, tokens(4), 8, temperature=0)
    assert model.training
    model.eval()
    assert torch.equal(generated, generate(model, tokens(4), 8, temperature=0))
    assert not model.training


def leaking_config() -> ModelConfig:
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
        (
            CONFIG,
            {"source_padding_mask": torch.ones(3, 4, dtype=torch.bool)},
            "source_padding_mask",
        ),
        (CONFIG, {"top_k": 0}, "top_k=0"),
        (CONFIG, {"top_p": 0.0}, "top_p=0.0"),
        (CONFIG, {"top_p": 1.5}, "top_p=1.5"),
        (CONFIG, {"source": torch.zeros(3, 4, dtype=torch.long)}, "source"),
        (changed(family="encoder_decoder"), {}, "source"),
        (changed(family="encoder"), {}, "Encoder predicts no next token"),
        (changed(n_classes=3), {}, "Decoder predicts no next token"),
        (leaking_config(), {}, "masking='after_softmax' cannot be cached"),
    ],
)
def test_generate_refuses_impossible_arguments_by_name(config: ModelConfig, how: dict, word: str):
    with pytest.raises(ValueError, match=word):
        generate(build(config), **{"tokens": tokens(4), "new_tokens": 3} | how)


def test_beam_search_refuses_impossible_arguments():
    for how in ({"beams": 0}, {"beams": 2.0}, {"end": 13}, {"new_tokens": -1}):
        with pytest.raises(ValueError, match="cannot work"):
            beam_search(build(CONFIG), **{"tokens": tokens(4), "new_tokens": 3} | how)


def test_masking_after_the_softmax_generates_without_a_cache():
    model = randomise(build(leaking_config()), 9.0)
    assert generate(model, tokens(4), 20, cached=False).shape == (3, 24)
