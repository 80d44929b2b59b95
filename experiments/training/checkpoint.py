"""Checkpoints of an unfinished training, from which it goes on bit for bit.

A run folder holds `checkpoint-<step>.safetensors`, with the weights and the states of the optimizer
and of the random generators, and `checkpoint.json`, which names that file and its checksum. The
JSON file is written last, so a kill at any moment leaves the old or the new checkpoint whole.
"""

import math
import time
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from experiments.files import sha256, write_atomically, write_sealed
from experiments.training.events import TrainingState

_SECONDS = ("seconds", "compile_seconds", "evaluation_seconds")  # of a `TrainingState`


class Checkpoint:
    """The checkpoint in a run folder, written at most once every `every` seconds."""

    def __init__(self, folder: Path, every: float) -> None:
        self.folder, self.every = folder, every
        self.saved = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether the last checkpoint is at least `every` seconds old."""
        return time.monotonic() - self.saved >= self.every

    def save(self, state: TrainingState, notes: dict[str, Any]) -> None:
        """Replace the checkpoint with `state`. `notes` is stored with it, as JSON."""
        tensors = {f"model.{name}": tensor for name, tensor in _tensors(state.model).items()}
        optimizer = state.optimizer.state_dict()
        moments = {
            str(index): {
                name: _packed(value, f"optimizer.{index}.{name}", tensors)
                for name, value in values.items()
            }
            for index, values in optimizer["state"].items()
        }
        groups = [
            {
                name: _packed(value, f"group.{index}.{name}", tensors)
                for name, value in group.items()
                if name != "params"
            }
            for index, group in enumerate(optimizer["param_groups"])
        ]
        tensors["random.cpu"] = torch.get_rng_state()
        if torch.cuda.is_initialized():
            tensors["random.cuda"] = torch.cuda.get_rng_state()
        if torch.backends.mps.is_available():
            tensors["random.mps"] = torch.mps.get_rng_state()
        content = safetensors.torch.save({name: t.contiguous() for name, t in tensors.items()})
        file = self.folder / f"checkpoint-{state.step}.safetensors"
        write_atomically(file, content)
        facts = {"step": state.step, "notes": notes, "moments": moments, "groups": groups}
        facts |= {name: getattr(state, name) for name in _SECONDS}
        facts |= {"file": file.name, "sha256": sha256(content)}
        write_sealed(self.folder / "checkpoint.json", facts)
        self._delete_all_but(file)
        self.saved = time.monotonic()

    def restore(self, facts: dict[str, Any], state: TrainingState) -> None:
        """Set `state` to the checkpoint that `facts`, the content of `checkpoint.json`, names."""
        tensors = safetensors.torch.load_file(self.folder / facts["file"])
        _copy_into(state.model, {n.removeprefix("model."): t for n, t in tensors.items()})
        moments = {
            int(index): {name: _unpacked(value, tensors) for name, value in values.items()}
            for index, values in facts["moments"].items()
        }
        device = next(state.model.parameters()).device  # torch moves the moments, not the groups
        on_device = {name: t.to(device) for name, t in tensors.items() if name.startswith("group.")}
        groups = [
            group | {name: _unpacked(value, on_device) for name, value in saved.items()}
            for group, saved in zip(
                state.optimizer.state_dict()["param_groups"], facts["groups"], strict=True
            )
        ]
        state.optimizer.load_state_dict({"state": moments, "param_groups": groups})
        torch.set_rng_state(tensors["random.cpu"])
        if "random.cuda" in tensors:
            torch.cuda.set_rng_state(tensors["random.cuda"])
        if "random.mps" in tensors:
            torch.mps.set_rng_state(tensors["random.mps"])
        state.step = int(facts["step"])
        for name in _SECONDS:
            setattr(state, name, float(facts[name]))

    def remove(self) -> None:
        """Delete the checkpoint: a finished run needs none."""
        (self.folder / "checkpoint.json").unlink(missing_ok=True)
        self._delete_all_but(None)

    def _delete_all_but(self, kept: Path | None) -> None:
        for file in self.folder.glob("checkpoint-*.safetensors"):
            if file != kept:
                file.unlink()


def _packed(value: Any, place: str, tensors: dict[str, Tensor]) -> Any:
    """A value of an optimizer's state, for JSON: each of its tensors is put into `tensors` under
    the name of its place.

    Raises:
        TypeError: the value holds something else than tensors, numbers, texts, None and lists.
    """
    if isinstance(value, Tensor):
        known = next((name for name, tensor in tensors.items() if tensor is value), place)
        tensors[known] = value  # groups may share a tensor
        return {"tensor": known}
    if isinstance(value, list | tuple):
        parts = [_packed(part, f"{place}.{i}", tensors) for i, part in enumerate(value)]
        return {"tuple" if isinstance(value, tuple) else "list": parts}
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}  # which JSON has no number for
    if isinstance(value, int | float | str | None):
        return value
    raise TypeError(
        f"the optimizer's '{place}' is a {type(value).__name__}: a checkpoint holds tensors and"
        " numbers, and lists of them"
    )


def _unpacked(value: Any, tensors: dict[str, Tensor]) -> Any:
    """The value that `_packed` packed."""
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "float":
        return float(content)
    parts = (_unpacked(part, tensors) for part in content)
    return tuple(parts) if kind == "tuple" else list(parts)


def save_weights(model: nn.Module, file: Path) -> None:
    """Write the weights of a network."""
    tensors = {name: tensor.contiguous() for name, tensor in _tensors(model).items()}
    write_atomically(file, safetensors.torch.save(tensors))


def load_weights(model: nn.Module, file: Path) -> None:
    """Copy the weights that `save_weights` wrote into a network of the same configuration."""
    _copy_into(model, safetensors.torch.load_file(file))


@torch.no_grad()
def _copy_into(model: nn.Module, tensors: dict[str, Tensor]) -> None:
    for name, tensor in _tensors(model).items():
        tensor.copy_(tensors[name])


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    """The tensors of a network's state by name, a tied matrix once."""
    by_address: dict[int, tuple[str, Tensor]] = {}
    for name, tensor in model.state_dict().items():
        by_address.setdefault(tensor.data_ptr(), (name, tensor))
    return dict(by_address.values())
