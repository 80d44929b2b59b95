"""Process-wide settings: float32 stays float32, operations are deterministic, memory is kept."""

import os
import platform
import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch
from helping import ROOT

from experiments.records.provenance import processor_flags
from experiments.training import torch_setup


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Put the settings of this process back: other tests need floats below the normal range."""
    precision = torch.get_float32_matmul_precision()
    deterministic = torch.are_deterministic_algorithms_enabled()
    yield
    torch.set_float32_matmul_precision(precision)
    torch.use_deterministic_algorithms(deterministic)
    torch.set_flush_denormal(False)


def test_float32_products_are_as_exact_as_float32():
    torch_setup.configure_torch()
    torch.manual_seed(1)
    a, b = torch.randn(2, 256, 256)
    exact = a.double() @ b.double()
    error = ((a @ b).double() - exact).norm() / exact.norm()
    assert error < 1e-6  # 3e-3 in bfloat16


@pytest.mark.parametrize(("allowed_error", "precision"), [(1e-3, "medium"), (0.0, "high")])
def test_products_that_are_not_in_float32_are_left_to_mkl(
    monkeypatch: pytest.MonkeyPatch, allowed_error: float, precision: str
):
    """With no error allowed, oneDNN's products count as those of another precision."""
    if precision == "medium" and not torch.backends.mkldnn.is_available():
        pytest.skip("torch was built without oneDNN")
    if precision == "medium" and "amx_bf16" in processor_flags():
        pytest.skip("oneDNN's products are not in float32 on this processor")
    monkeypatch.setattr(torch_setup, "_FLOAT32_ERROR", allowed_error)
    torch_setup.configure_torch()
    assert torch.get_float32_matmul_precision() == precision


def test_an_operation_without_a_deterministic_kernel_is_an_error(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    torch_setup.configure_torch()
    assert (
        os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"
    )  # else cuBLAS may vary the order of sums
    assert torch.are_deterministic_algorithms_enabled()
    assert not torch.is_deterministic_algorithms_warn_only_enabled()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has the setting")
def test_freed_memory_is_kept_so_that_steps_cause_no_page_faults():
    program = (
        "import resource, sys, torch\n"
        "from experiments.training.torch_setup import configure_torch\n"
        "if sys.argv[1] == 'kept': configure_torch()\n"
        "def allocate(): [torch.ones(n * 2**20) for n in (1, 2, 16)]\n"
        "for _ in range(3): allocate()\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "for _ in range(5): allocate()\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)\n"
    )
    faults = {
        how: int(subprocess.check_output([sys.executable, "-c", program, how], cwd=ROOT))
        for how in ("kept", "returned")
    }
    assert faults["kept"] < 100 < faults["returned"]
