"""Probes of one's own: functions of an ablation's file that measure a trained network."""

import copy
import importlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from experiments.probes.trained_model import ProbeTables
from experiments.records.losses import own_measures
from experiments.spec import RunSpec, own_probe
from experiments.training.tasks import Task
from model.mechanism import mechanism


class OwnProbeError(Exception):
    """A probe of one's own does not return what its figure and its claims need."""


def measure(name: str, model: nn.Module, spec: RunSpec, task: Task) -> ProbeTables:
    """Rows of a probe of one's own, for the table "own_probes".

    The function is given a copy of the network in evaluation mode, and torch's random state is the
    same afterwards, so that it can change none of the run's numbers. It is called as
    `function(model, spec, task)`.

    Args:
        name: the probe as a run's `probes` holds it.
        model: the network.
        spec: the run.
        task: the run's task, whose batches the function may read.

    Raises:
        OwnProbeError: the function returns something else than numbers, lists of numbers and
            dictionaries from numbers to numbers, by name.
    """
    reference = own_probe(name)
    function = reference.partition(":")[2]
    device = next(model.parameters()).device
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        found = mechanism(reference, {})(copy.deepcopy(model).eval(), spec, task)
    if not isinstance(found, Mapping):
        raise OwnProbeError(f"the probe '{function}' returned {found!r:.40} and not a dictionary")
    rows: list[dict[str, Any]] = []
    for key, value in found.items():
        if _is_number(value):
            rows.append({"probe": name, "line": str(key), "x": None, "y": float(value)})
            continue
        line = dict(enumerate(value)) if isinstance(value, list | tuple) else value
        if not isinstance(line, Mapping) or not all(map(_is_number, (*line, *line.values()))):
            raise OwnProbeError(
                f"the probe '{function}' returned '{key}' as {value!r:.40}: it must be a number, a"
                " list of numbers, or a dictionary from numbers to numbers"
            )
        rows += [
            {"probe": name, "line": str(key), "x": float(x), "y": float(y)} for x, y in line.items()
        ]
    return {"own_probes": rows}


def check_own_probes(spec: RunSpec, task: Task, model: nn.Module) -> None:
    """Refuse a probe of one's own that fails on the untrained network, or that does not return the
    numbers which its `OwnProbe` names.

    Raises:
        OwnProbeError: naming the probe and what is wrong.
    """
    for name in filter(own_probe, spec.probes):
        reference = own_probe(name)
        rows = measure(name, model, spec, task)["own_probes"]
        returned = {row["measure"] for row in own_measures(rows)}
        module = importlib.import_module(reference.partition(":")[0])
        for probe in module.ABLATION.own_probes:
            if probe.reference == reference and {*probe.measured} != returned:
                named, found = (", ".join(sorted(each)) for each in (probe.measured, returned))
                raise OwnProbeError(
                    f"a probe names the metrics '{named}', and its function returned '{found}'"
                )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
