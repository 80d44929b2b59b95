"""Which device a run gets."""

import os

import pytest

from experiments.cli.options import SlotOptions, TrainingOptions
from experiments.errors import UserError
from experiments.running import devices


@pytest.mark.parametrize(
    ("asked", "jobs", "cards"),
    [(None, None, [0, 1]), (4, None, [0, 1] * 4), (2, 3, [0, 1, 0]), (None, 1, [0])],
)
def test_slots_are_assigned_to_gpus_in_turn(
    monkeypatch: pytest.MonkeyPatch, asked: int | None, jobs: int | None, cards: list[int]
):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    slots_per_gpu = SlotOptions(slots_per_gpu=asked).per_gpu("cuda")
    slots = devices.slots("cuda", slots_per_gpu, jobs)
    assert slots == [f"cuda:{card}" for card in cards]


def test_slots_per_gpu_is_refused_on_a_cpu():
    assert devices.slots("cpu", 1, jobs=2) == ["cpu", "cpu"]
    with pytest.raises(UserError, match="SLOTS_PER_GPU is for the device cuda, and this is cpu"):
        SlotOptions(slots_per_gpu=2).per_gpu("cpu")


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
    assert devices.isolate_gpu(slot) == device
    assert os.environ["CUDA_VISIBLE_DEVICES"] == seen


@pytest.mark.parametrize(
    ("flags", "on_cpu"),
    [({"avx2", "avx512f"}, "fp32"), ({"avx512_bf16"}, "bf16"), ({"amx_bf16"}, "bf16")],
)
def test_auto_precision_is_bf16_where_the_device_has_instructions_for_it(
    monkeypatch: pytest.MonkeyPatch, flags: set[str], on_cpu: str
):
    monkeypatch.setattr(devices, "processor_flags", lambda: flags)
    assert devices.resolve_precision("auto", "cuda") == "bf16"
    assert devices.resolve_precision("auto", "mps") == "fp32"
    assert devices.resolve_precision("auto", "cpu") == on_cpu
    assert devices.resolve_precision("bf16", "cpu") == "bf16"
    assert devices.resolve_precision("fp32", "cuda") == "fp32"


@pytest.mark.parametrize(
    ("present", "auto"), [(["cuda", "cpu"], "cuda"), (["mps", "cpu"], "cpu"), (["cpu"], "cpu")]
)
def test_auto_takes_the_graphics_of_a_mac_only_when_asked(
    monkeypatch: pytest.MonkeyPatch, present: list[str], auto: str
):
    monkeypatch.setattr(devices, "devices_present", lambda: present)
    assert devices.resolve_device("auto") == auto
    assert devices.resolve_device(present[0]) == present[0]


def test_runs_that_share_a_card_are_counted_whether_by_slots_per_gpu_or_by_jobs(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert devices.runs_per_slot(devices.slots("cuda", 1, None)) == 1
    assert devices.runs_per_slot(devices.slots("cuda", 3, None)) == 3
    assert devices.runs_per_slot(devices.slots("cuda", 1, jobs=5)) == 3


def test_slots_of_one_card_share_its_speed_and_slots_of_a_processor_do_not():
    assert devices.speed_shares(["cpu"] * 3) == 3
    assert devices.speed_shares(["cuda:0", "cuda:1", "cuda:0", "cuda:1"]) == 2
    assert devices.speed_shares(["mps"] * 2) == 1


@pytest.mark.parametrize(
    ("given", "device", "seconds"), [(None, "cuda", 60.0), (None, "cpu", 10.0), (0.5, "cuda", 0.5)]
)
def test_checkpoints_on_a_card_are_rarer_by_default(given, device: str, seconds: float):
    assert TrainingOptions(checkpoint_seconds=given).checkpoint_interval(device) == seconds
