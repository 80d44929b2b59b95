"""What this machine is: devices, and the facts that are recorded with every run."""

import functools
import importlib.metadata
import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any, cast, get_args

from experiments.errors import UserError
from experiments.files import ROOT, sha256
from experiments.fingerprint import code_fingerprint
from experiments.spec import Precision

DEVICES = ("auto", "cuda", "mps", "cpu")
PRECISIONS = ("auto", *get_args(Precision))


def resolve_device(wanted: str) -> str:
    """ "cuda", "mps" or "cpu": what `wanted` names, or the best there is for "auto".

    Raises:
        UserError: the machine has no such device.
    """
    present = devices_present()
    if wanted == "auto":
        return present[0]
    if wanted not in present:
        raise UserError(f"device '{wanted}' is not on this machine: it has {', '.join(present)}")
    return wanted


def slots(device: str, slots_per_gpu: int, jobs: int | None) -> list[str]:
    """The torch device of each run that may go on at the same time."""
    if device == "cuda":
        import torch

        cards = torch.cuda.device_count()
        return [f"cuda:{i % cards}" for i in range(jobs or cards * slots_per_gpu)]
    if device == "mps":
        return ["mps"] * (jobs or 1)
    return ["cpu"] * (jobs or usable_cores())


def usable_cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def isolate_gpu(slot: str) -> str:
    """Hide from this process all graphics cards but its slot's. Returns the torch device that the
    slot then is. To be called before CUDA starts.
    """
    kind, _, index = slot.partition(":")
    if kind != "cuda":
        return slot
    visible = [card for card in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if card]
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # its sums in a fixed order
    os.environ["CUDA_VISIBLE_DEVICES"] = visible[int(index)] if visible else index
    return "cuda:0"


def default_precision(device: str) -> Precision:
    """bfloat16 autocast on CUDA, float32 elsewhere."""
    return "bf16" if device == "cuda" else "fp32"


def resolve_precision(wanted: str, device: str) -> Precision:
    """What `wanted`, one of PRECISIONS, comes to on a device."""
    return default_precision(device) if wanted == "auto" else cast(Precision, wanted)


@functools.cache
def packages() -> list[str]:
    """Every package that is installed here, with its version."""
    return sorted(
        {f"{found.name}=={found.version}" for found in importlib.metadata.distributions()}
    )


@functools.cache
def environment() -> dict[str, Any]:
    """Versions, code and hardware, for a run's summary."""
    return {
        "code": code_fingerprint(),
        "environment": sha256("\n".join(packages()).encode())[:12],
        "python_version": platform.python_version(),
        "torch_version": importlib.metadata.version("torch"),
        "numpy_version": importlib.metadata.version("numpy"),
        "git_revision": _git_revision(),
        "hardware": machine(),
    }


def machine() -> str:
    """This machine's processor and cores."""
    return f"{_processor()}, {usable_cores()} cores"


def device_name(device: str) -> str:
    """The processor's or the graphics card's own name."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.get_device_name(device)
    return _processor()


def devices_present() -> list[str]:
    """Of this machine, the best first."""
    # Importing torch takes seconds; where nothing hints at an accelerator there is no need to.
    driver = shutil.which("nvidia-smi") or Path("/dev/nvidiactl").exists()
    if not driver and not Path("/dev/kfd").exists() and platform.system() != "Darwin":
        return ["cpu"]
    import torch

    present = ["cuda"] if torch.cuda.is_available() else []
    return [*present, *(["mps"] if torch.backends.mps.is_available() else []), "cpu"]


def _processor() -> str:
    facts = Path("/proc/cpuinfo")
    if facts.exists():
        for line in facts.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _git_revision() -> str:
    """The commit, with "+changes" where the tree differs from it; empty outside a checkout."""

    def git(*words: str) -> str:
        done = subprocess.run(
            ["git", "-C", ROOT, *words], capture_output=True, text=True, check=False
        )
        return done.stdout.strip() if done.returncode == 0 else ""

    if shutil.which("git") is None or not (revision := git("rev-parse", "--short=12", "HEAD")):
        return ""
    return revision + ("+changes" if git("status", "--porcelain", "--untracked-files=no") else "")
