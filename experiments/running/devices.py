"""Devices, precisions and slots: where runs train, and how many train at the same time."""

import os
import platform
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from experiments.errors import UserError
from experiments.recipe import Precision
from experiments.records.provenance import processor_flags, usable_cores


def resolve_device(wanted: str) -> str:
    """The device called `wanted`: "cuda", "mps" or "cpu". "auto" is "cuda" where it is present,
    else "cpu". A Mac's graphics are taken only when asked for: it trains one network at a time
    there, and as many as it has cores on its processor.

    Raises:
        UserError: this machine has no such device.
    """
    present = devices_present()
    if wanted == "auto":
        return "cuda" if "cuda" in present else "cpu"
    if wanted not in present:
        raise UserError(f"device '{wanted}' is not on this machine: it has {', '.join(present)}")
    return wanted


def devices_present() -> list[str]:
    """Kinds of devices on this machine, the best first."""
    # Importing torch takes seconds and is needed only where something hints at an accelerator.
    driver = shutil.which("nvidia-smi") or Path("/dev/nvidiactl").exists()
    if not driver and not Path("/dev/kfd").exists() and platform.system() != "Darwin":
        return ["cpu"]
    import torch

    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    return [*(device for device, available in present.items() if available), "cpu"]


def slots(device: str, slots_per_gpu: int, jobs: int | None) -> list[str]:
    """The torch device of each slot; as many runs train at the same time as there are slots.

    Args:
        device: "cuda", "mps" or "cpu".
        slots_per_gpu: slots on each graphics card, unless `jobs` is given.
        jobs: number of slots in all. By default one per processor core, or one on "mps".
    """
    if device == "cuda":
        import torch

        cards = torch.cuda.device_count()
        return [f"cuda:{i % cards}" for i in range(jobs or cards * slots_per_gpu)]
    if device == "mps":
        return ["mps"] * (jobs or 1)
    return ["cpu"] * (jobs or usable_cores())


def speed_shares(slots: Sequence[str]) -> int:
    """The number of runs at once that do not slow each other down. Each slot of a processor has a
    core of its own; the slots of one graphics card share the card.
    """
    return len(slots) if set(slots) == {"cpu"} else len(set(slots))


def runs_per_slot(slots: Sequence[str]) -> int:
    """The number of runs at once on the device that has the most slots."""
    return max(map(slots.count, slots), default=1)


def isolate_gpu(slot: str) -> str:
    """Hide every graphics card but the slot's own from this process, and return the torch device
    that the slot is from then on. Must be called before CUDA starts.
    """
    kind, _, index = slot.partition(":")
    if kind != "cuda":
        return slot
    visible = [card for card in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if card]
    os.environ["CUDA_VISIBLE_DEVICES"] = visible[int(index)] if visible else index
    return "cuda:0"


def default_precision(device: str) -> Precision:
    """The default precision of a device: bfloat16 autocast on CUDA and on processors that have
    instructions for it, float32 elsewhere.
    """
    native = device == "cpu" and processor_flags() & _BFLOAT16_FLAGS
    return "bf16" if device == "cuda" or native else "fp32"


# Instruction sets for bfloat16, as Linux names them. Only x86 processors have been measured.
_BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16"}


def resolve_precision(wanted: str, device: str) -> Precision:
    """The precision called `wanted`. "auto" is the default precision of the device."""
    return default_precision(device) if wanted == "auto" else cast(Precision, wanted)
