"""What a worker reports: failure reasons and memory."""

import pytest
import torch

from experiments.running.worker import failure_reason, peak_memory


def test_failure_reason_is_one_line_and_hints_at_fewer_runs_when_memory_ran_out():
    assert failure_reason(ValueError("two\nlines")) == "ValueError: two lines"
    reason = failure_reason(torch.OutOfMemoryError("tried to allocate 2 GiB"))
    assert reason.startswith("out of memory: fewer runs at once (SLOTS_PER_GPU)")
    assert reason.endswith("tried to allocate 2 GiB")
    with pytest.raises(RuntimeError) as error:
        torch.empty(2**60)
    assert failure_reason(error.value).startswith("out of memory: fewer runs at once (JOBS)")


def test_peak_memory_grows_with_allocated_memory():
    before = peak_memory(torch.device("cpu"))
    tensor = torch.ones(before // 4)  # as many bytes again, beyond any earlier peak
    assert peak_memory(torch.device("cpu")) - before > 0.4 * tensor.nbytes
