"""Encoder, encoder-decoder and the baselines: what each may see, and what each must not."""

import dataclasses
from typing import get_args

import pytest
import torch
from torch import Tensor, nn

from experiments.spec import Recipe
from experiments.training.loss import cross_entropy
from experiments.training.optim import build_optimizer
from model import ModelConfig, build
from model.attention import Attention, SelfAttention
from model.config import Activation, Family, Norm, Position
from model.sublayer import Sublayer

KERNELS = ["reference", "fused"]


def made(config: ModelConfig, **changes) -> nn.Module:
    torch.manual_seed(0)
    return build(dataclasses.replace(config, **changes)).double().eval()


def some_tokens(time: int = 9, batch: int = 2) -> Tensor:
    torch.manual_seed(1)
    return torch.randint(11, (batch, time))


def with_another_token_at(tokens: Tensor, place: int) -> Tensor:
    other = tokens.clone()
    other[:, place] = (other[:, place] + 1) % 11
    return other


def test_an_encoder_looks_both_ways(config: ModelConfig):
    model, tokens = made(config, family="encoder"), some_tokens()
    for changed, seen in ((8, 0), (0, 8)):
        other = with_another_token_at(tokens, changed)
        assert not torch.equal(model(tokens)[:, seen], model(other)[:, seen])


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("position", get_args(Position))
def test_a_padded_sequence_is_the_sequence(config: ModelConfig, position: str, kernel: str):
    """What stands at padding changes nothing, and neither does how much of it there is."""
    model = made(config, family="encoder", position=position, attention=kernel)
    tokens, length = some_tokens(), 5
    real = (torch.arange(9) < length).expand(2, 9)
    alone, padded = model(tokens[:, :length]), model(tokens, real)
    torch.testing.assert_close(padded[:, :length], alone, rtol=1e-12, atol=1e-12)
    other = with_another_token_at(tokens, length + 1)
    assert torch.equal(model(other, real)[:, :length], padded[:, :length])
    assert not torch.equal(model(tokens)[:, :length], padded[:, :length])


@pytest.mark.parametrize(("family", "place"), [("encoder", 0), ("decoder", -1)])
def test_a_classifier_reads_a_position_that_has_seen_all(
    config: ModelConfig, family: str, place: int
):
    model = made(config, family=family, n_classes=3)
    tokens = some_tokens()
    logits = model(tokens)
    assert logits.shape == (2, 3)
    torch.testing.assert_close(logits, model.head(model.states(tokens)[:, place]))
    for place in range(9):
        assert not torch.equal(model(with_another_token_at(tokens, place)), logits)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("position", get_args(Position))
def test_an_encoder_decoder_is_causal_in_the_target_and_sees_all_of_the_source(
    config: ModelConfig, position: str, kernel: str
):
    model = made(config, family="encoder_decoder", position=position, attention=kernel)
    source, target, cut = some_tokens(9), some_tokens(7).flip(1), 4
    logits = model(source, target)
    assert logits.shape == (2, 7, 11)
    other = model(source, with_another_token_at(target, cut))
    assert torch.equal(other[:, :cut], logits[:, :cut])
    assert not torch.equal(other[:, cut], logits[:, cut])
    for place in (0, 8):
        other = model(with_another_token_at(source, place), target)
        assert (other != logits).flatten(2).any(2).all()  # at every position


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_padded_source_is_the_source(config: ModelConfig, kernel: str):
    model = made(config, family="encoder_decoder", attention=kernel)
    source, target, length = some_tokens(9), some_tokens(7), 5
    real = (torch.arange(9) < length).expand(2, 9)
    alone, padded = model(source[:, :length], target), model(source, target, real)
    torch.testing.assert_close(padded, alone, rtol=1e-12, atol=1e-12)
    other = with_another_token_at(source, length + 1)
    assert torch.equal(model(other, target, real), padded)
    assert not torch.equal(model(source, target), padded)


def test_one_matrix_or_three_for_source_target_and_head(config: ModelConfig):
    tied = made(config, family="encoder_decoder")
    assert tied.encoder.embedding.weight is tied.decoder.embedding.weight is tied.head.weight
    untied = made(config, family="encoder_decoder", tie_embeddings=False)
    matrices = [untied.encoder.embedding.weight, untied.decoder.embedding.weight]
    assert len({id(each) for each in [*matrices, untied.head.weight]}) == 3


def test_residual_projections_shrink_by_the_depth_of_their_own_stack():
    wide = ModelConfig(
        family="encoder_decoder", vocab_size=11, context_length=16, d_model=128, n_layers=2,
        n_heads=4, d_ff=512,
    )  # fmt: skip
    model = made(wide)
    for stack, sublayers in ((model.networks.encoder, 4), (model.networks.decoder, 6)):
        for layer in stack.layers:
            for sublayer in filter(
                None, (layer.attention, layer.cross_attention, layer.feed_forward)
            ):
                std = sublayer.inner.output.weight.std().item()
                assert std == pytest.approx(0.02 / sublayers**0.5, rel=0.05)


def test_the_bigram_counts():
    config = ModelConfig(
        family="bigram", vocab_size=3, context_length=8, d_model=8, n_layers=1, n_heads=1, d_ff=8,
        bigram_smoothing=0.5,
    )  # fmt: skip
    model = build(config)
    tokens = torch.tensor([[0, 1, 0, 1], [2, 0, 1, 1]])
    torch.testing.assert_close(model(tokens).exp(), torch.full((2, 4, 3), 1 / 3))
    model.count(tokens[:, :-1], tokens[:, 1:])  # 0→1 three times, 1→0 and 1→1 and 2→0 once
    expected = torch.tensor([[0.5, 3.5, 0.5], [1.5, 1.5, 0.5], [1.5, 0.5, 0.5]])
    expected /= torch.tensor([[4.5], [3.5], [2.5]])
    torch.testing.assert_close(model(torch.tensor([[0, 1, 2]])).exp()[0], expected)


def test_the_mlp_sees_its_window_and_no_more(config: ModelConfig):
    model, tokens = made(config, family="mlp", mlp_window=3), some_tokens()
    logits = model(tokens)
    for place in range(9):
        other = model(with_another_token_at(tokens, place))
        moved = [i for i in range(9) if not torch.equal(other[:, i], logits[:, i])]
        assert moved == [i for i in range(9) if place <= i < place + 3]


def test_the_mlp_by_its_formula(config: ModelConfig):
    """Bengio 2003: y = b + U tanh(d + H x), x the window's embeddings, the latest last."""
    model, tokens = made(config, family="mlp", mlp_window=3), some_tokens()
    for parameter in model.parameters():
        nn.init.normal_(parameter)
    x = torch.cat([model.embedding(tokens[:, i]) for i in (4, 5, 6)], dim=-1)
    hidden = (x @ model.hidden.weight.T + model.hidden.bias).tanh()
    expected = hidden @ model.head.weight.T + model.head.bias
    torch.testing.assert_close(model(tokens)[:, 6], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("activation", get_args(Activation))
@pytest.mark.parametrize("norm", get_args(Norm))
@pytest.mark.parametrize("family", get_args(Family))
def test_gradients_reach_every_parameter(
    config: ModelConfig, family: str, norm: str, activation: str
):
    model = made(config, family=family, norm=norm, activation=activation, position="learned")
    tokens = some_tokens(config.context_length)
    logits = model(tokens, tokens) if family == "encoder_decoder" else model(tokens)
    if family == "bigram":
        assert not any(parameter.requires_grad for parameter in model.parameters())
        return
    nn.functional.cross_entropy(logits.flatten(0, 1), tokens.flatten()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert (parameter.grad != 0).any(), name


def training_step(config: ModelConfig, recipe: Recipe, device: str) -> nn.Module:
    """One step of any family, padding included, everything made on the device."""
    model = build(config).to(device)
    optimizer = build_optimizer(model, recipe)
    tokens = torch.zeros(2, config.context_length, dtype=torch.long, device=device)
    real = torch.ones_like(tokens, dtype=torch.bool)
    if config.family == "bigram":
        model.count(tokens, tokens)
        return model
    more = {"encoder": (real,), "encoder_decoder": (tokens, real)}.get(config.family, ())
    targets = tokens if config.n_classes is None else tokens[:, 0]
    cross_entropy(model(tokens, *more), targets).backward()
    if device == "meta":  # the fused step is for real devices
        for group in optimizer.param_groups:
            group["fused"] = False
    optimizer.step()
    return model


TRANSFORMERS = [
    {"family": family, "position": position, "attention": kernel, "n_classes": n_classes}
    for family in ("decoder", "encoder", "encoder_decoder")
    for position in get_args(Position)
    for kernel in KERNELS
    for n_classes in ((None,) if family == "encoder_decoder" else (None, 3))
]
BASELINES = [{"family": family} for family in ("lstm", "mlp", "bigram")]


@pytest.mark.parametrize(
    "changes", [*TRANSFORMERS, *BASELINES], ids=lambda c: "-".join(map(str, c.values()))
)
def test_a_training_step_runs_wholly_on_another_device(
    config: ModelConfig, recipe: Recipe, changes: dict
):
    """On "meta" a tensor that was left on the processor fails: the stand-in for a GPU."""
    model = training_step(dataclasses.replace(config, dropout=0.1, **changes), recipe, "meta")
    for parameter in model.parameters():
        assert parameter.device.type == "meta"
        assert not parameter.requires_grad or parameter.grad.device.type == "meta"


@pytest.mark.cuda
@pytest.mark.parametrize("family", get_args(Family))
def test_a_gpu_computes_what_the_processor_does(config: ModelConfig, recipe: Recipe, family: str):
    """Gradients, or the bigram's counts; a whole step is at the mercy of signs near zero."""
    config = dataclasses.replace(config, family=family)
    found = []
    for device in ("cpu", "cuda"):
        torch.manual_seed(0)
        model = training_step(config, recipe, device)
        found.append([(p.grad if p.requires_grad else p).cpu() for p in model.parameters()])
    torch.testing.assert_close(*found, rtol=1e-3, atol=1e-5)


def test_dropout_acts_on_embeddings_sublayers_and_attention_weights(config: ModelConfig):
    """Each of the three alone makes the training pass differ from the evaluation's."""
    spots = {
        "embedding": lambda m: [m.dropout],
        "residual": lambda m: [s.dropout for s in m.modules() if isinstance(s, Sublayer)],
        "attention": lambda m: [a for a in m.modules() if isinstance(a, Attention)],
    }
    tokens = some_tokens()

    def switch(model: nn.Module, rates: dict[str, float]) -> None:
        for spot, find in spots.items():
            for module in find(model):
                attribute = "dropout" if isinstance(module, Attention) else "p"
                assert hasattr(module, attribute)
                setattr(module, attribute, rates.get(spot, 0.0))

    for spot in (None, *spots):
        model = made(config, dropout=0.5)
        for module in (m for find in spots.values() for m in find(model)):
            assert (module.dropout if isinstance(module, Attention) else module.p) == 0.5
        switch(model, {} if spot is None else {spot: 0.5})
        quiet, noisy = model(tokens), model.train()(tokens)
        assert torch.allclose(quiet, noisy) == (spot is None), spot


def test_dropout_acts_on_cross_attention(config: ModelConfig):
    model, tokens = made(config, family="encoder_decoder", dropout=0.5), some_tokens()
    model.train()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if isinstance(module, SelfAttention):
            module.dropout = 0.0
    assert not torch.equal(model(tokens, tokens), model.eval()(tokens, tokens))


def test_dropout_acts_in_the_baselines(config: ModelConfig):
    tokens, outside = some_tokens(), {"dropout.p": 0.0}
    between_layers = {"lstm.dropout": 0.0}
    for family, off, acts in (
        ("mlp", {}, True),
        ("mlp", outside, False),
        ("lstm", outside, True),
        ("lstm", between_layers, True),
        ("lstm", outside | between_layers, False),
    ):
        model = made(config, family=family, dropout=0.5)
        for name, value in off.items():
            module, attribute = name.split(".")
            setattr(getattr(model, module), attribute, value)
        assert torch.equal(model(tokens), model.train()(tokens)) != acts, (family, off)
