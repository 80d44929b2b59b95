"""How attention was computed, as recorded with every run."""

import dataclasses

import pytest
import torch

from experiments.training.backends import attention_backend
from experiments.training.tasks import Batch
from model import ModelConfig, build


@pytest.mark.parametrize(
    ("change", "backend"),
    [
        ({"attention": "fused"}, "flash_attention_for_cpu"),
        ({"attention": "reference"}, "written out"),
        ({"attention": "auto"}, "written out"),  # the sequence is short
        ({"attention": "auto", "context_length": 600}, "flash_attention_for_cpu"),
        ({"family": "lstm"}, None),
    ],
)
def test_backend_is_the_kernel_that_torch_calls(config: ModelConfig, change: dict, backend):
    config = dataclasses.replace(config, **change)
    tokens = torch.zeros(2, config.context_length, dtype=torch.long)
    assert attention_backend(build(config), Batch((tokens,), tokens), "fp32") == backend


def test_looking_changes_neither_the_random_state_nor_the_mode(config: ModelConfig):
    model = build(dataclasses.replace(config, dropout=0.5)).eval()
    tokens = torch.zeros(2, 8, dtype=torch.long)
    before = torch.get_rng_state()
    attention_backend(model, Batch((tokens,), tokens), "bf16")
    assert torch.equal(torch.get_rng_state(), before)
    assert not model.training
