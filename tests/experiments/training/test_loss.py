"""The loss against its definition."""

import math

import pytest
import torch

from experiments.training.loss import IGNORED, cross_entropy


def test_cross_entropy_equals_a_computation_by_hand():
    logits = torch.tensor([[[math.log(3.0), 0.0], [0.0, 0.0]]])
    targets = torch.tensor([[0, 1]])
    expected = (math.log(4 / 3) + math.log(2)) / 2
    assert cross_entropy(logits, targets).item() == pytest.approx(expected)
    assert cross_entropy(logits, targets, reduction="sum").item() == pytest.approx(2 * expected)


def test_ignored_targets_have_no_loss_and_no_gradient():
    torch.manual_seed(0)
    logits = torch.randn(2, 5, 7, requires_grad=True)
    targets = torch.randint(7, (2, 5))
    targets[0, 3:] = IGNORED
    loss = cross_entropy(logits, targets, label_smoothing=0.1)
    kept = targets != IGNORED
    torch.testing.assert_close(loss, cross_entropy(logits[kept], targets[kept], 0.1))
    loss.backward()
    assert (logits.grad[~kept] == 0).all()
    assert (logits.grad[kept] != 0).all()


def test_label_smoothing_spreads_its_mass_over_all_classes():
    torch.manual_seed(0)
    logits, targets, e = torch.randn(5, 7).double(), torch.randint(7, (5,)), 0.1
    wanted = torch.full((5, 7), e / 7).double()
    wanted[torch.arange(5), targets] += 1 - e
    expected = -(wanted * logits.log_softmax(-1)).sum(-1).mean()
    torch.testing.assert_close(cross_entropy(logits, targets, e), expected)
