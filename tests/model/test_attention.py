"""Attention against its definition."""

import pytest
import torch

from model.attention import attend_fused, attend_reference, attention_weights


def random_qkv() -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [torch.randn(2, 3, 7, 8, dtype=torch.float64, requires_grad=True) for _ in range(3)]


def test_rows_sum_to_one_and_are_zero_above_the_diagonal():
    q, k, _ = random_qkv()
    weights = attention_weights(q, k)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 3, 7, dtype=torch.float64))
    assert (weights.triu(diagonal=1) == 0).all()
    assert (weights.tril() > 0).sum() == 2 * 3 * 7 * 8 // 2


def test_weights_by_hand():
    # one head of width 4, so scores are halved: q·k = 2 ln 3 for both keys, then softmax
    q = torch.tensor([[[[1.0, 0, 0, 0], [1.0, 0, 0, 0]]]])
    k = torch.tensor([[[[0.0, 0, 0, 0], [2 * torch.log(torch.tensor(3.0)), 0, 0, 0]]]])
    expected = torch.tensor([[[[1.0, 0.0], [0.25, 0.75]]]])
    torch.testing.assert_close(attention_weights(q, k), expected)


def test_fused_equals_reference_in_outputs_and_gradients():
    inputs = random_qkv()
    outputs, gradients = [], []
    for attend in (attend_reference, attend_fused):
        y = attend(*inputs, 0.0)
        outputs.append(y)
        gradients.append(torch.autograd.grad(y.square().sum(), inputs))
    torch.testing.assert_close(*outputs, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(*gradients, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("attend", [attend_reference, attend_fused])
def test_dropout_drops(attend):
    inputs = random_qkv()
    assert not torch.equal(attend(*inputs, 0.5), attend(*inputs, 0.0))
