"""What a worker says of itself."""

import pytest
import torch

from experiments.running.worker import peak_memory, reason


def test_a_reason_is_one_line_and_out_of_memory_says_what_helps():
    assert reason(ValueError("two\nlines")) == "ValueError: two lines"
    told = reason(torch.OutOfMemoryError("tried to allocate 2 GiB"))
    assert told.startswith("out of memory: fewer runs at once (SLOTS_PER_GPU)")
    assert told.endswith("tried to allocate 2 GiB")
    with pytest.raises(RuntimeError) as error:
        torch.empty(2**60)
    assert reason(error.value).startswith("out of memory: fewer runs at once (JOBS)")


def test_peak_memory_grows_with_what_is_held():
    before = peak_memory(torch.device("cpu"))
    held = torch.ones(before // 4)  # as many bytes again, and so beyond any peak so far
    assert peak_memory(torch.device("cpu")) - before > 0.4 * held.nbytes
