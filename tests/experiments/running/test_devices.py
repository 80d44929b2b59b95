"""Which device a run gets."""

import os

import pytest

from experiments.cli.options import SlotOptions
from experiments.errors import UserError
from experiments.profiles import PROFILES
from experiments.running import devices


@pytest.mark.parametrize(
    ("asked", "jobs", "cards"),
    [(None, None, [0, 1] * 4), (1, None, [0, 1]), (2, 3, [0, 1, 0]), (None, 1, [0])],
)
def test_slots_are_assigned_to_gpus_in_turn(
    monkeypatch: pytest.MonkeyPatch, asked: int | None, jobs: int | None, cards: list[int]
):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    slots_per_gpu = SlotOptions(slots_per_gpu=asked).per_gpu(PROFILES["gpu"], "cuda")
    slots = devices.slots("cuda", slots_per_gpu, jobs)
    assert slots == [f"cuda:{card}" for card in cards]


def test_slots_per_gpu_is_refused_on_a_cpu():
    assert devices.slots("cpu", 1, jobs=2) == ["cpu", "cpu"]
    with pytest.raises(UserError, match="SLOTS_PER_GPU is for the device cuda, and this is cpu"):
        SlotOptions(slots_per_gpu=2).per_gpu(PROFILES["gpu"], "cpu")


@pytest.mark.parametrize(
    ("visible", "slot", "seen", "device"),
    [
        ("", "cuda:1", "1", "cuda:0"),
        ("4,6", "cuda:1", "6", "cuda:0"),
        ("GPU-a,GPU-b", "cuda:0", "GPU-a", "cuda:0"),
        ("", "cpu", "", "cpu"),
        ("4,6", "mps", "4,6", "mps"),
    ],
)
def test_isolate_gpu_leaves_one_gpu_visible(
    monkeypatch: pytest.MonkeyPatch, visible: str, slot: str, seen: str, device: str
):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")  # so that it is put back
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    assert devices.isolate_gpu(slot) == device
    assert os.environ["CUDA_VISIBLE_DEVICES"] == seen
    # Without this, cuBLAS may add up in another order each time.
    assert ("CUBLAS_WORKSPACE_CONFIG" in os.environ) == device.startswith("cuda")


def test_auto_precision_is_bf16_on_cuda_and_fp32_on_a_cpu():
    assert devices.resolve_precision("auto", "cuda") == "bf16"
    assert devices.resolve_precision("auto", "cpu") == "fp32"
    assert devices.resolve_precision("bf16", "cpu") == "bf16"
    assert devices.resolve_precision("fp32", "cuda") == "fp32"
