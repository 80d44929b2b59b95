"""Process-wide torch settings, and the precision of forward passes."""

import contextlib

import torch

from experiments.spec import Precision


def configure_torch() -> None:
    """Process-wide torch settings of every process that trains or times training."""
    torch.set_num_threads(1)  # one core per run: the other cores have runs of their own
    torch.set_flush_denormal(True)  # denormals in a collapsed network are a hundred times slower
    torch.set_float32_matmul_precision("high")  # TF32 on GPUs that have it
    # Operations without a deterministic kernel are named in the run's log.
    torch.use_deterministic_algorithms(True, warn_only=True)
    # No code here reads uninitialised memory, so the time for filling it is saved.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def autocast_context(
    precision: Precision, device: torch.device
) -> contextlib.AbstractContextManager[None]:
    """Autocast to bfloat16 for "bf16"; a context that does nothing for "fp32"."""
    if precision == "bf16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return contextlib.nullcontext()
