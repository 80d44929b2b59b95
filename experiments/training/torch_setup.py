"""Process-wide torch settings, and the precision that a forward pass computes in."""

import contextlib

import torch

from experiments.spec import Precision


def configure_torch() -> None:
    """What holds for all of a process that trains, or measures what training does."""
    torch.set_num_threads(1)  # one core a run: the runner fills the others with other runs
    torch.set_flush_denormal(True)  # a network that collapses would else slow down a hundredfold
    torch.set_float32_matmul_precision("high")  # TF32 where a GPU has it
    torch.use_deterministic_algorithms(True, warn_only=True)  # what cannot be, the log then names
    # We read no memory that nobody wrote: no time for filling it.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def autocast_context(
    precision: Precision, device: torch.device
) -> contextlib.AbstractContextManager[None]:
    """Autocast to bfloat16, or nothing for float32."""
    if precision == "bf16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return contextlib.nullcontext()
