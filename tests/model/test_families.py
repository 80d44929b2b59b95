"""Encoder, encoder-decoder and baselines: what each output depends on; dropout; devices."""

import dataclasses
from typing import get_args

import pytest
import torch
from torch import Tensor, nn

from experiments.recipe import Recipe
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


def random_tokens(time: int = 9, batch: int = 2) -> Tensor:
    torch.manual_seed(1)
    return torch.randint(11, (batch, time))


def with_another_token_at(tokens: Tensor, place: int) -> Tensor:
    other = tokens.clone()
    other[:, place] = (other[:, place] + 1) % 11
    return other


def test_an_encoder_output_depends_on_earlier_and_later_tokens(config: ModelConfig):
    model, tokens = made(config, family="encoder"), random_tokens()
    for changed, output in ((8, 0), (0, 8)):
        other = with_another_token_at(tokens, changed)
        assert not torch.equal(model(tokens)[:, output], model(other)[:, output])


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("position", get_args(Position))
def test_padding_does_not_change_the_output_of_an_encoder(
    config: ModelConfig, position: str, kernel: str
):
    """Neither the number of padding positions nor the tokens there matter."""
    model = made(config, family="encoder", position=position, attention=kernel)
    tokens, length = random_tokens(), 5
    padding_mask = (torch.arange(9) < length).expand(2, 9)
    alone, padded = model(tokens[:, :length]), model(tokens, padding_mask)
    torch.testing.assert_close(padded[:, :length], alone, rtol=1e-12, atol=1e-12)
    other = with_another_token_at(tokens, length + 1)
    assert torch.equal(model(other, padding_mask)[:, :length], padded[:, :length])
    assert not torch.equal(model(tokens)[:, :length], padded[:, :length])


@pytest.mark.parametrize(("family", "place"), [("encoder", 0), ("decoder", -1)])
def test_a_classifier_output_depends_on_every_token(config: ModelConfig, family: str, place: int):
    model = made(config, family=family, n_classes=3)
    tokens = random_tokens()
    logits = model(tokens)
    assert logits.shape == (2, 3)
    torch.testing.assert_close(logits, model.head(model.states(tokens)[:, place]))
    for place in range(9):
        assert not torch.equal(model(with_another_token_at(tokens, place)), logits)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("position", get_args(Position))
def test_an_encoder_decoder_is_causal_in_the_target_and_depends_on_the_whole_source(
    config: ModelConfig, position: str, kernel: str
):
    model = made(config, family="encoder_decoder", position=position, attention=kernel)
    source, target, cut = random_tokens(9), random_tokens(7).flip(1), 4
    logits = model(source, target)
    assert logits.shape == (2, 7, 11)
    other = model(source, with_another_token_at(target, cut))
    assert torch.equal(other[:, :cut], logits[:, :cut])
    assert not torch.equal(other[:, cut], logits[:, cut])
    for place in (0, 8):
        other = model(with_another_token_at(source, place), target)
        assert (other != logits).flatten(2).any(2).all()  # at every position


@pytest.mark.parametrize("kernel", KERNELS)
def test_padding_of_the_source_does_not_change_the_output(config: ModelConfig, kernel: str):
    model = made(config, family="encoder_decoder", attention=kernel)
    source, target, length = random_tokens(9), random_tokens(7), 5
    padding_mask = (torch.arange(9) < length).expand(2, 9)
    alone, padded = model(source[:, :length], target), model(source, target, padding_mask)
    torch.testing.assert_close(padded, alone, rtol=1e-12, atol=1e-12)
    other = with_another_token_at(source, length + 1)
    assert torch.equal(model(other, target, padding_mask), padded)
    assert not torch.equal(model(source, target), padded)


def test_source_target_and_head_have_one_matrix_if_tied_and_three_otherwise(config: ModelConfig):
    tied = made(config, family="encoder_decoder")
    assert tied.encoder.embedding.weight is tied.decoder.embedding.weight is tied.head.weight
    untied = made(config, family="encoder_decoder", tie_embeddings=False)
    matrices = [untied.encoder.embedding.weight, untied.decoder.embedding.weight]
    assert len({id(matrix) for matrix in [*matrices, untied.head.weight]}) == 3


def test_residual_projections_shrink_with_the_number_of_sublayers_of_their_stack():
    wide = ModelConfig(
        family="encoder_decoder",
        vocab_size=11,
        context_length=16,
        d_model=128,
        n_layers=2,
        n_heads=4,
        d_ff=512,
    )
    model = made(wide)
    for stack, sublayers in ((model.encoder, 4), (model.decoder, 6)):
        for layer in stack.layers:
            for sublayer in filter(
                None, (layer.attention, layer.cross_attention, layer.feed_forward)
            ):
                std = sublayer.inner.output.weight.std().item()
                assert std == pytest.approx(0.02 / sublayers**0.5, rel=0.05)


def test_bigram_probabilities_equal_a_count_by_hand():
    sizes = {"context_length": 8, "d_model": 8, "n_layers": 1, "n_heads": 1, "d_ff": 8}
    config = ModelConfig(family="bigram", vocab_size=3, bigram_smoothing=0.5, **sizes)
    model = build(config)
    tokens = torch.tensor([[0, 1, 0, 1], [2, 0, 1, 1]])
    torch.testing.assert_close(model(tokens).exp(), torch.full((2, 4, 3), 1 / 3))
    model.count(tokens[:, :-1], tokens[:, 1:])  # 0→1 three times, 1→0 and 1→1 and 2→0 once
    expected = torch.tensor([[0.5, 3.5, 0.5], [1.5, 1.5, 0.5], [1.5, 0.5, 0.5]])
    expected /= torch.tensor([[4.5], [3.5], [2.5]])
    torch.testing.assert_close(model(torch.tensor([[0, 1, 2]])).exp()[0], expected)


def test_the_mlp_depends_on_the_tokens_of_its_window_only(config: ModelConfig):
    model, tokens = made(config, family="mlp", mlp_window=3), random_tokens()
    logits = model(tokens)
    for place in range(9):
        other = model(with_another_token_at(tokens, place))
        changed = [i for i in range(9) if not torch.equal(other[:, i], logits[:, i])]
        assert changed == [i for i in range(9) if place <= i < place + 3]


def test_mlp_logits_equal_the_formula_of_the_paper(config: ModelConfig):
    """Bengio 2003: y = b + U tanh(d + H x), x the embeddings of the window in order."""
    model, tokens = made(config, family="mlp", mlp_window=3), random_tokens()
    for parameter in model.parameters():
        nn.init.normal_(parameter)
    x = torch.cat([model.embedding(tokens[:, i]) for i in (4, 5, 6)], dim=-1)
    hidden = (x @ model.hidden.weight.T + model.hidden.bias).tanh()
    expected = hidden @ model.head.weight.T + model.head.bias
    torch.testing.assert_close(model(tokens)[:, 6], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("activation", get_args(Activation))
@pytest.mark.parametrize("norm", get_args(Norm))
@pytest.mark.parametrize("family", get_args(Family))
def test_every_parameter_gets_a_gradient(
    config: ModelConfig, family: str, norm: str, activation: str
):
    model = made(config, family=family, norm=norm, activation=activation, position="learned")
    tokens = random_tokens(config.context_length)
    logits = model(tokens, tokens) if family == "encoder_decoder" else model(tokens)
    if family == "bigram":
        assert not any(parameter.requires_grad for parameter in model.parameters())
        return
    nn.functional.cross_entropy(logits.flatten(0, 1), tokens.flatten()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert (parameter.grad != 0).any(), name


def training_step(config: ModelConfig, recipe: Recipe, device: str) -> nn.Module:
    """Take one training step with padding; all tensors are created on the device."""
    model = build(config).to(device)
    optimizer = build_optimizer(model, recipe)
    tokens = torch.zeros(2, config.context_length, dtype=torch.long, device=device)
    padding_mask = torch.ones_like(tokens, dtype=torch.bool)
    if config.family == "bigram":
        model.count(tokens, tokens)
        return model
    more = {"encoder": (padding_mask,), "encoder_decoder": (tokens, padding_mask)}
    targets = tokens if config.n_classes is None else tokens[:, 0]
    cross_entropy(model(tokens, *more.get(config.family, ())), targets).backward()
    if device == "meta":  # the fused step does not work on "meta"
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
def test_a_training_step_uses_no_device_but_that_of_the_model(
    config: ModelConfig, recipe: Recipe, changes: dict
):
    """The device "meta" stands in for a GPU: a tensor left on the CPU makes the step fail."""
    model = training_step(dataclasses.replace(config, dropout=0.1, **changes), recipe, "meta")
    for parameter in model.parameters():
        assert parameter.device.type == "meta"
        assert not parameter.requires_grad or parameter.grad.device.type == "meta"


@pytest.mark.cuda
@pytest.mark.parametrize("family", get_args(Family))
def test_gradients_on_a_gpu_equal_those_on_the_cpu(
    config: ModelConfig, recipe: Recipe, family: str
):
    """For the bigram, counts. Not updated weights, as Adam amplifies gradients near zero."""
    config = dataclasses.replace(config, family=family)
    gradients = []
    for device in ("cpu", "cuda"):
        torch.manual_seed(0)
        model = training_step(config, recipe, device)
        gradients.append([(p.grad if p.requires_grad else p).cpu() for p in model.parameters()])
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-5)


def test_dropout_acts_on_embeddings_sublayers_and_attention_weights(config: ModelConfig):
    """Each of the three alone makes the output in training differ from that in evaluation."""
    places = {
        "embedding": lambda m: [m.dropout],
        "residual": lambda m: [s.dropout for s in m.modules() if isinstance(s, Sublayer)],
        "attention": lambda m: [a for a in m.modules() if isinstance(a, Attention)],
    }
    tokens = random_tokens()

    def switch(model: nn.Module, rates: dict[str, float]) -> None:
        for place, find in places.items():
            for module in find(model):
                attribute = "dropout" if isinstance(module, Attention) else "p"
                assert hasattr(module, attribute)
                setattr(module, attribute, rates.get(place, 0.0))

    for place in (None, *places):
        model = made(config, dropout=0.5)
        for module in (m for find in places.values() for m in find(model)):
            assert (module.dropout if isinstance(module, Attention) else module.p) == 0.5
        switch(model, {} if place is None else {place: 0.5})
        evaluated, trained = model(tokens), model.train()(tokens)
        assert torch.allclose(evaluated, trained) == (place is None), place


def test_dropout_acts_on_cross_attention(config: ModelConfig):
    model, tokens = made(config, family="encoder_decoder", dropout=0.5), random_tokens()
    model.train()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if isinstance(module, SelfAttention):
            module.dropout = 0.0
    assert not torch.equal(model(tokens, tokens), model.eval()(tokens, tokens))


def test_dropout_acts_in_the_mlp_and_the_lstm(config: ModelConfig):
    tokens = random_tokens()
    for family, calls in (("mlp", 1), ("lstm", config.n_layers + 1)):  # before each layer and head
        model = made(config, family=family, dropout=0.5)
        dropped = []
        model.dropout.register_forward_hook(lambda *_, dropped=dropped: dropped.append(1))
        assert not torch.equal(model(tokens), model.train()(tokens))
        assert len(dropped) == 2 * calls
        model.dropout.p = 0.0
        assert torch.equal(model.eval()(tokens), model.train()(tokens))  # there is no other dropout
