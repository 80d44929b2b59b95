"""Which of torch's implementations compute a network: recorded with every run."""

from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from experiments.recipe import Precision
from experiments.training.tasks import Batch
from experiments.training.torch_setup import autocast_context
from model.attention import Attention

_FUSED = "_scaled_dot_product_"  # how the names of fused attention operators begin


def attention_backend(model: nn.Module, batch: Batch, precision: Precision) -> str | None:
    """The implementation of attention in a training step: the fused operators of torch that it
    calls, for example "flash_attention", or "written out" if it calls none. None for a network
    without attention.

    Runs one forward pass, without changing the random state.
    """
    if not any(isinstance(module, Attention) for module in model.modules()):
        return None
    device = batch.targets.device
    was_training = model.training
    model.train()
    with (
        torch.random.fork_rng([device] if device.type == "cuda" else []),
        CalledOperators() as called,
        autocast_context(precision, device),
    ):
        model(*batch.inputs)
    model.train(was_training)
    fused = {name.removeprefix(_FUSED) for name in called.names if name.startswith(_FUSED)}
    return ", ".join(sorted(fused)) or "written out"


class CalledOperators(TorchDispatchMode):
    """Collects the names of the operators that run within the block."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(
        self, operator: Any, types: Any, arguments: Any = (), keywords: Any = None
    ) -> Any:
        self.names.add(operator.overloadpacket.__name__)
        return operator(*arguments, **(keywords or {}))
