"""Sublayers: where the norm and the residual connection act."""

import dataclasses

import pytest
import torch
from torch import nn

from model import ModelConfig, build
from model.sublayer import Sublayer


def sublayer(config: ModelConfig, **changes) -> Sublayer:
    """A sublayer around f(x) = 2x."""
    doubling = nn.Linear(config.d_model, config.d_model, bias=False)
    nn.init.eye_(doubling.weight).data.mul_(2)
    return Sublayer(dataclasses.replace(config, **changes), doubling)


def test_every_norm_placement_equals_its_formula(config: ModelConfig):
    x = torch.randn(2, 5, config.d_model)
    norm = nn.functional.layer_norm(x, (config.d_model,))
    cases = {
        ("pre", True): x + 2 * norm,
        ("pre", False): 2 * norm,
        ("post", True): nn.functional.layer_norm(3 * x, (config.d_model,)),
        ("post", False): nn.functional.layer_norm(2 * x, (config.d_model,)),
        ("none", True): 3 * x,
        ("none", False): 2 * x,
    }
    for (placement, residual), expected in cases.items():
        output = sublayer(config, norm_placement=placement, residual=residual)(x)
        torch.testing.assert_close(output, expected)


@pytest.mark.parametrize(("placement", "norms"), [("pre", 5), ("post", 4), ("none", 0)])
def test_every_norm_placement_has_the_right_number_of_norms(config: ModelConfig, placement, norms):
    network = build(dataclasses.replace(config, norm_placement=placement))
    assert sum(isinstance(module, nn.LayerNorm) for module in network.modules()) == norms
