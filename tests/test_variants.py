"""Every variant of every ablation builds, changes what it names, and is causal."""

import dataclasses

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from experiments.catalogue import load_ablations
from experiments.profiles import PROFILES
from experiments.recipe import Recipe
from experiments.training.loss import cross_entropy
from experiments.training.optim import build_optimizer, learning_rate_at
from experiments.training.torch_setup import autocast_context
from model import ModelConfig, build, parameter_count
from model.accounting import flops_per_token
from model.attention import Attention
from model.counting import counted
from model.position import POSITIONS

VOCABULARY = 11
BASE = PROFILES["smoke"].base_model(VOCABULARY)
RECIPE = PROFILES["smoke"].recipe
VARIANTS = {
    f"{name}/{variant.name}": variant
    for name, ablation in load_ablations().items()
    for variant in ablation.variants
}


def built(model: ModelConfig) -> nn.Module:
    torch.manual_seed(1)
    network = build(model).eval()
    if model.family == "bigram":
        network.count(*torch.randint(VOCABULARY, (2, 3, 100)))
    return network


def tokens() -> torch.Tensor:
    torch.manual_seed(2)
    return torch.randint(VOCABULARY, (3, BASE.context_length))


@pytest.fixture(params=VARIANTS, ids=str)
def variant(request):
    return VARIANTS[request.param]


def is_causal(variant) -> bool:
    """Whether the network predicts the next token of one sequence."""
    model, _ = variant.applied_to(BASE, RECIPE)
    return model.family not in ("encoder", "encoder_decoder") and model.n_classes is None


@pytest.fixture(params=[n for n in VARIANTS if is_causal(VARIANTS[n])], ids=str)
def causal_variant(request):
    return VARIANTS[request.param]


def test_a_changed_token_changes_no_earlier_logit(causal_variant):
    """Earlier logits stay equal bit for bit, and later logits change.

    The variant with masking after the softmax is the exception: it is there to leak.
    """
    model, _ = causal_variant.applied_to(BASE, RECIPE)
    # float64, because deep stacks without residual connections shrink differences below float32.
    network, time = built(model).double(), min(32, model.context_length)
    before, cut = tokens()[:, :time], time * 5 // 8
    after = before.clone()
    after[:, cut] = (after[:, cut] + 1) % VOCABULARY
    first, second = network(before), network(after)
    leaks = model.masking == "after_softmax"
    assert torch.equal(first[:, :cut], second[:, :cut]) != leaks
    assert not torch.equal(first[:, cut], second[:, cut])


def test_a_changed_token_changes_later_logits(causal_variant):
    """A bigram is the exception: it sees only the last token."""
    model, _ = causal_variant.applied_to(BASE, RECIPE)
    network, before = built(model).double(), tokens()[:, : min(32, model.context_length)]
    after = before.clone()
    after[:, 3] = (after[:, 3] + 1) % VOCABULARY
    is_bigram = model.family == "bigram"
    assert torch.equal(network(before)[:, 7], network(after)[:, 7]) == is_bigram


def test_parameter_count_is_the_number_of_parameters_in_every_profile(variant):
    for profile in PROFILES.values():
        model, _ = variant.applied_to(profile.base_model(84), profile.recipe)
        with torch.device("meta"):
            network = build(model)
        assert sum(p.numel() for p in network.parameters()) == parameter_count(model)


def test_formulas_and_the_counter_of_pytorch_agree(variant):
    """A bigram has no product."""
    model, _ = variant.applied_to(PROFILES["cpu"].base_model(84), PROFILES["cpu"].recipe)
    if model.family != "bigram":
        parameters, multiply_adds = counted(model, model.context_length)
        assert parameters == parameter_count(model)
        assert 2 * multiply_adds == pytest.approx(flops_per_token(model), rel=1e-12)


class Watched(TorchDispatchMode):
    """Records the device of every tensor that operations read or make, and the dtypes of the
    inputs of each operation.
    """

    def __init__(self) -> None:
        super().__init__()
        self.devices: dict[str, set[str]] = {}  # names of the operations, by device
        self.dtypes: dict[str, set[torch.dtype]] = {}  # by operation

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        result = operator(*args, **(kwargs or {}))
        name = operator.overloadpacket.__name__
        inputs = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        outputs = [leaf for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor)]
        for tensor in inputs + outputs:
            self.devices.setdefault(tensor.device.type, set()).add(name)
        self.dtypes.setdefault(name, set()).update(tensor.dtype for tensor in inputs)
        return result


def training_step(model: ModelConfig, recipe: Recipe, device: str) -> Watched:
    """Take a whole training step of a network on random tokens, and watch it."""
    network = build(model).to(device)
    optimizer = build_optimizer(network, recipe) if model.family != "bigram" else None
    inputs = torch.zeros(3, model.context_length, dtype=torch.long, device=device)
    targets = inputs if model.n_classes is None else inputs[:, 0]
    with Watched() as watched:
        with autocast_context(recipe.precision, inputs.device):
            logits = network(*[inputs] * (2 if model.family == "encoder_decoder" else 1))
            loss = cross_entropy(logits, targets, recipe.label_smoothing)
        if optimizer is None:
            network.count(inputs, inputs)
            return watched
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), recipe.gradient_clip)
        # The fused optimizer has no kernel on meta, and Muon multiplies in bfloat16 by definition.
        if device != "meta" and recipe.optimizer != "muon":
            optimizer.step()
    assert all(parameter.grad is not None for parameter in network.parameters())
    return watched


def test_every_tensor_of_a_training_step_is_on_the_device_asked_for(variant):
    """The device "meta" stands in for a GPU."""
    model, recipe = variant.applied_to(BASE, RECIPE)
    watched = training_step(model, dataclasses.replace(recipe, precision="fp32"), "meta")
    assert list(watched.devices) == ["meta"], watched.devices


PRODUCTS = {"mm", "bmm", "addmm", "baddbmm", "addbmm", "mkldnn_rnn_layer"}
SENSITIVE = {"_log_softmax", "nll_loss_forward", "linalg_vector_norm"}


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_products_are_in_the_precision_asked_for_and_losses_in_float32(variant, precision: str):
    model, recipe = variant.applied_to(BASE, RECIPE)
    if model.family == "bigram":
        return
    watched = training_step(model, dataclasses.replace(recipe, precision=precision), "cpu")
    dtype = torch.float32 if precision == "fp32" else torch.bfloat16
    products = [watched.dtypes[name] for name in PRODUCTS & watched.dtypes.keys()]
    assert products
    assert set().union(*products) == {dtype}
    for name in SENSITIVE & watched.dtypes.keys():
        assert watched.dtypes[name] <= {torch.float32, torch.int64}, name


def test_the_watch_of_a_training_step_sees_a_tensor_on_another_device(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(POSITIONS["alibi"], "bias", lambda *_: torch.zeros(4, 32, 32))
    model = dataclasses.replace(BASE, position="alibi")
    with pytest.raises((AssertionError, RuntimeError), match="cpu"):
        assert list(training_step(model, RECIPE, "meta").devices) == ["meta"]


def fields_of(model: ModelConfig, recipe: Recipe) -> dict[str, object]:
    values = {f"model.{name}": value for name, value in dataclasses.asdict(model).items()}
    return values | {f"recipe.{k}": v for k, v in dataclasses.asdict(recipe).items()}


def test_a_variant_changes_the_fields_that_it_names_and_no_others(variant):
    changed, base = fields_of(*variant.applied_to(BASE, RECIPE)), fields_of(BASE, RECIPE)
    named = set(variant.changes)
    if variant.match_parameters:
        named.add(f"model.{variant.match_parameters}")
    if "recipe.task" in named:
        named |= {"model.vocab_size", "model.n_classes"}
    if variant.match_flops:
        named |= {"recipe.steps", "recipe.warmup_steps"}
    assert {key for key in changed if changed[key] != base[key]} <= named


def same_weights(**changes) -> tuple[nn.Module, nn.Module]:
    """The base and a changed network, with equal weights where shapes are equal."""
    base, other = built(BASE), built(dataclasses.replace(BASE, **changes))
    shapes = {name: value.shape for name, value in other.state_dict().items()}
    fitting = {k: v for k, v in base.state_dict().items() if v.shape == shapes.get(k)}
    other.load_state_dict(fitting, strict=False)
    return base, other


@pytest.mark.parametrize(
    "changes",
    [
        {"position": "none"},
        {"position": "sinusoidal"},
        {"position": "learned"},
        {"norm_placement": "post"},
        {"norm_placement": "none"},
        {"residual": False},
        {"n_heads": 1},
        {"n_heads": 16},
        {"n_layers": 4},
        {"activation": "relu"},
        {"activation": "swiglu"},
        {"norm": "rmsnorm"},
        {"position": "alibi"},
        {"attention_scale": False},
        {"embedding_scale": False},
        {"attention": "reference", "masking": "after_softmax"},
    ],
    ids=str,
)
def test_each_change_of_a_mechanism_changes_the_output_at_equal_weights(changes):
    base, other = same_weights(**changes)
    assert not torch.allclose(base(tokens()), other(tokens()), rtol=0, atol=1e-6)


def test_the_attention_kernel_does_not_change_the_output_at_equal_weights():
    base, other = same_weights(attention="reference")
    torch.testing.assert_close(base(tokens()), other(tokens()), rtol=0, atol=1e-5)


def test_the_number_of_heads_does_not_change_the_parameter_count():
    counts = {parameter_count(dataclasses.replace(BASE, n_heads=n)) for n in (1, 2, 4, 8, 16)}
    assert len(counts) == 1


def test_attention_has_the_number_of_heads_of_the_config():
    for n in (1, 4, 16):
        network = built(dataclasses.replace(BASE, n_heads=n))
        attention = next(m for m in network.modules() if isinstance(m, Attention))
        assert attention.n_heads == n


@pytest.mark.parametrize("profile", PROFILES.values(), ids=lambda profile: profile.name)
def test_the_lstm_has_as_many_parameters_as_the_base_and_no_attention(profile):
    variant, base = VARIANTS["lstm-baseline/lstm"], profile.base_model(84)
    model, _ = variant.applied_to(base, profile.recipe)
    assert parameter_count(model) == pytest.approx(parameter_count(base), rel=0.02)
    network = built(dataclasses.replace(model, vocab_size=VOCABULARY))
    assert any(isinstance(module, nn.LSTM) for module in network.modules())
    assert not any(isinstance(module, Attention) for module in network.modules())


def test_the_variant_without_warmup_starts_at_the_peak_learning_rate():
    _, without = VARIANTS["norm-placement/pre-no-warmup"].applied_to(BASE, RECIPE)
    assert learning_rate_at(0, without) == without.learning_rate
    assert learning_rate_at(0, RECIPE) == RECIPE.learning_rate / RECIPE.warmup_steps


def test_the_deep_variant_has_twice_the_layers():
    model, _ = VARIANTS["depth/deep-both"].applied_to(BASE, RECIPE)
    assert len(built(model).layers) == 2 * BASE.n_layers
