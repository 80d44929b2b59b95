"""Process-wide torch settings, and the precision of forward passes."""

import contextlib
import ctypes
import os
import platform

import torch

from experiments.recipe import Precision

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of `mallopt`, from malloc.h


def configure_torch() -> None:
    """Process-wide torch settings of every process that trains or times training."""
    torch.set_num_threads(1)  # one core per run: the other cores have runs of their own
    torch.set_flush_denormal(True)  # denormals in a collapsed network are a hundred times slower
    # cuBLAS adds up in the same order each time only with a fixed workspace. Of the sizes that
    # torch accepts, this is the one that nn.LSTM's documentation names too.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    # An operation without a deterministic kernel fails the run. On a graphics card this setting
    # also chooses the deterministic backward passes of attention.
    torch.use_deterministic_algorithms(True)
    # No code here reads uninitialised memory, so the time for filling it is saved.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    _choose_matrix_products()
    _keep_freed_memory()


def _choose_matrix_products() -> None:
    """Let oneDNN multiply float32 matrices on a processor, where its products are in float32.

    On processors with AVX-512 oneDNN is about twice as fast as MKL. On those with AMX it would
    multiply in bfloat16, which is another precision: there MKL does it. Graphics cards use TF32 in
    both cases.
    """
    torch.set_float32_matmul_precision("medium")
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, 128, 128, generator=generator)
    error = (a @ b - (a.double() @ b.double()).float()).abs().max().item()
    if error > _FLOAT32_ERROR:
        torch.set_float32_matmul_precision("high")


_COMPILERS_PER_CARD = 4

# The largest error of a product that counts as float32. The error of the product above is 2e-5 in
# float32 and 1e-1 in bfloat16.
_FLOAT32_ERROR = 1e-3


def _keep_freed_memory() -> None:
    """Keep freed memory in the process, where the C library is glibc.

    By default glibc returns large blocks to the system at every step and gets them back, page by
    page, at the next: with 16 heads this took a third of the time of a step.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, -1)  # never


def configure_compiler(device: torch.device) -> None:
    """Settings of torch.compile: deterministic code, and no more processes than a run has cores."""
    from torch._inductor import config  # takes a second, which only compiled runs spend

    torch.compiler.reset()  # what an earlier network of this process left behind
    config.deterministic = True  # code that does not depend on what was faster this time
    config.compile_threads = _COMPILERS_PER_CARD if device.type == "cuda" else 1


def autocast_context(
    precision: Precision, device: torch.device
) -> contextlib.AbstractContextManager[None]:
    """Autocast to bfloat16 for "bf16"; a context that does nothing for "fp32"."""
    if precision == "bf16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return contextlib.nullcontext()
