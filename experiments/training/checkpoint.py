"""Where an unfinished training stands, on disk: what it takes to go on bit for bit.

A run's folder holds `checkpoint-<step>.safetensors`, weights, the optimiser's and the random
generator's state, and `checkpoint.json`, which names it with its checksum. The second is written
last, so that a kill at any moment leaves the one or the other checkpoint whole.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from experiments.files import sha256, write_atomically, write_sealed


class Checkpoint:
    """The checkpoint of a run: `found` is what its folder says of the one that is there, if any.
    There are at least `every` seconds between two. What else is to be kept, `notes` gives.
    """

    def __init__(
        self,
        folder: Path,
        found: dict[str, Any] | None,
        every: float,
        notes: Callable[[], dict[str, Any]] = dict,
    ) -> None:
        self.folder, self.found, self.every, self.notes = folder, found, every, notes
        self.saved = time.monotonic()

    def save(
        self, step: int, seconds: float, model: nn.Module, optimizer: torch.optim.Optimizer
    ) -> None:
        """Write where training stands after `step` steps and so many seconds, in place of what was
        there before; or nothing, where that is too young.
        """
        if time.monotonic() - self.saved < self.every:
            return
        tensors = {f"model.{name}": tensor for name, tensor in _tensors(model).items()}
        for index, state in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": tensor for name, tensor in state.items()}
        tensors["random.cpu"] = torch.get_rng_state()
        if torch.cuda.is_initialized():
            tensors["random.cuda"] = torch.cuda.get_rng_state()
        if torch.backends.mps.is_available():
            tensors["random.mps"] = torch.mps.get_rng_state()
        content = safetensors.torch.save({name: t.contiguous() for name, t in tensors.items()})
        file = self.folder / f"checkpoint-{step}.safetensors"
        write_atomically(file, content)
        place = {"step": step, "seconds": seconds, "file": file.name, "sha256": sha256(content)}
        write_sealed(self.folder / "checkpoint.json", place | {"notes": self.notes()})
        self._drop(all_but=file)
        self.saved = time.monotonic()

    def restore(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[int, float]:
        """Put everything back as it was saved. Returns the steps and seconds taken: 0 and 0 where
        there is nothing.
        """
        if self.found is None:
            return 0, 0.0
        tensors = safetensors.torch.load_file(self.folder / self.found["file"])
        with torch.no_grad():
            _put_back(model, {n.removeprefix("model."): t for n, t in tensors.items()})
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            kind, _, rest = name.partition(".")
            if kind == "optimizer":
                index, _, key = rest.partition(".")
                state.setdefault(int(index), {})[key] = tensor
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": state, "param_groups": groups})
        torch.set_rng_state(tensors["random.cpu"])
        if "random.cuda" in tensors:
            torch.cuda.set_rng_state(tensors["random.cuda"])
        if "random.mps" in tensors:
            torch.mps.set_rng_state(tensors["random.mps"])
        return int(self.found["step"]), float(self.found["seconds"])

    def remove(self) -> None:
        """A finished run needs none."""
        (self.folder / "checkpoint.json").unlink(missing_ok=True)
        self._drop()

    def _drop(self, all_but: Path | None = None) -> None:
        for file in self.folder.glob("checkpoint-*.safetensors"):
            if file != all_but:
                file.unlink()


def save_weights(model: nn.Module, file: Path) -> None:
    """Write a network's weights."""
    tensors = {name: tensor.contiguous() for name, tensor in _tensors(model).items()}
    write_atomically(file, safetensors.torch.save(tensors))


def load_weights(model: nn.Module, file: Path) -> None:
    """Put back what `save_weights` wrote of a network built alike."""
    with torch.no_grad():
        _put_back(model, safetensors.torch.load_file(file))


def _put_back(model: nn.Module, tensors: dict[str, Tensor]) -> None:
    for name, tensor in _tensors(model).items():
        tensor.copy_(tensors[name])


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    """All that a network keeps, a tied matrix once."""
    found: dict[int, tuple[str, Tensor]] = {}
    for name, tensor in model.state_dict().items():
        found.setdefault(tensor.data_ptr(), (name, tensor))
    return dict(found.values())
