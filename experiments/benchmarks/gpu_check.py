"""Checks of a graphics card: `make gpu-check`.

Short trainings through the study's own runner, each of which has to repeat bit for bit, and
torch's attention kernels beside attention by definition. Checks that need a card are skipped on a
processor.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from experiments.benchmarks.timing import fastest_matrix_product
from experiments.data.corpus import Corpus
from experiments.profiles import PROFILES
from experiments.recipe import Task, fields_for
from experiments.records.run_folder import RunFolder
from experiments.running.devices import default_precision
from experiments.running.executor import Progress
from experiments.running.job import Job
from experiments.running.local import Local
from experiments.spec import RunSpec
from experiments.training.torch_setup import configure_torch
from model.attention import Scoring, attend_fused, attend_reference

_STEPS = 20
_KILLED_AT = 10
_TIMED_STEPS = 200
_LENGTHS = (256, 1024)
_TOLERANCE = 0.03  # of outputs and gradients in bfloat16, whose numbers have eight bits


class Outcome(StrEnum):
    """The outcome of a check."""

    PASSED = "passed"
    FAILED = "FAILED"
    SKIPPED = "skipped"


class Result(NamedTuple):
    """The outcome of a check, and a few words on what was seen."""

    outcome: Outcome
    detail: str


@dataclass(frozen=True)
class Place:
    """The device, the corpus and the folder that the checks train with.

    device: "cuda" or "cpu".
    slot: torch device of the runs, "cuda:0" or "cpu".
    folder: an empty folder for the runs.
    """

    device: str
    slot: str
    corpus: Corpus
    folder: Path


class Check(NamedTuple):
    """A check, and what to do if it fails."""

    name: str
    run: Callable[[Place], Result]
    needs_card: bool
    advice: str


def networks(place: Place, **recipe: Any) -> dict[str, RunSpec]:
    """A short training of every family, and of networks that take other attention kernels."""
    profile = PROFILES["gpu" if place.device == "cuda" else "smoke"]
    base = profile.base_model(len(place.corpus.vocabulary))
    short = replace(
        profile.recipe,
        precision=default_precision(place.device),
        **{"steps": _STEPS, "warmup_steps": 2, "log_every": 5, "eval_every": 5}
        | {"eval_windows": 8}
        | recipe,
    )

    def spec(task: Task = "language", **model: Any) -> RunSpec:
        size = fields_for(task, len(place.corpus.vocabulary))
        return RunSpec(
            model=replace(base, **size, **model),
            recipe=replace(short, task=task),
            corpus=place.corpus.hash,
            seed=0,
        )

    return {
        "decoder": spec(dropout=0.2),
        "ALiBi": spec(position="alibi"),
        "one head": spec(n_heads=1),
        "grouped queries": spec(n_kv_heads=base.n_heads // 2),
        "encoder": spec("masked", family="encoder"),
        "encoder-decoder": spec("sort", family="encoder_decoder"),
        "LSTM": spec(family="lstm", n_layers=2, dropout=0.2),
        "MLP": spec(family="mlp"),
        "bigram": spec(family="bigram"),
    }


def repetition(place: Place) -> Result:
    """Every network is trained twice, to the same numbers."""
    specs = networks(place)
    first, second = (_train(place, name, specs) for name in ("first", "second"))
    names: dict[str, list[str]] = {}
    for name, spec in specs.items():
        if backend := _summary(place, "first", spec)["attention_backend"]:
            names.setdefault(backend, []).append(name)
    seen = "; ".join(f"{backend}: {', '.join(users)}" for backend, users in names.items())
    return _compared(first, second, f"attention by {seen}")


def resumption(place: Place) -> Result:
    """A decoder and an LSTM with dropout are killed, and go on to the undisturbed run's numbers."""
    specs = {name: networks(place)[name] for name in ("decoder", "LSTM")}
    undisturbed = _train(place, "undisturbed", specs)
    job = Job(place.corpus, place.folder / "killed", {}, checkpoint_seconds=0.0)
    for name, spec in specs.items():
        events = Local().run([spec], job, [place.slot])
        for event in events:
            if isinstance(event, Progress) and event.step >= _KILLED_AT:
                break
        events.close()
        if not RunFolder(job.results, spec.run_id).checkpoint():
            return Result(Outcome.FAILED, f"{name}: no checkpoint was left")
    return _compared(undisturbed, _train(place, "killed", specs))


def company(place: Place) -> Result:
    """Two runs at the same time on one device end with the numbers that each has alone."""
    decoder = networks(place)["decoder"]
    specs = {"seed 0": decoder, "seed 1": replace(decoder, seed=1)}
    alone = _train(place, "alone", specs)
    return _compared(alone, _train(place, "together", specs, slots=2))


def compilation(place: Place) -> Result:
    """A compiled decoder is trained twice, to the same numbers."""
    specs = {"compiled decoder": networks(place, compiled=True)["decoder"]}
    first, second = (_train(place, name, specs) for name in ("compiled-1", "compiled-2"))
    (spec,) = specs.values()
    seconds = [
        _summary(place, name, spec)["compile_seconds"] for name in ("compiled-1", "compiled-2")
    ]
    return _compared(first, second, "compiling took " + " and ".join(f"{s:.0f} s" for s in seconds))


def kernels(place: Place) -> Result:
    """Each of torch's attention kernels agrees with the definition, and repeats bit for bit."""
    configure_torch()
    problems, seen = [], []
    for backend in (SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH):
        for length in _LENGTHS:
            name = f"{backend.name.lower()} at {length}"
            torch.manual_seed(0)
            q, k, v, gradient = torch.randn(4, 2, 6, length, 64, device=place.slot)
            exact = _attended(attend_reference, [q, k, v], gradient)
            halves = [part.bfloat16() for part in (q, k, v)]
            try:
                with sdpa_kernel(backend):
                    once, again = (
                        _attended(attend_fused, halves, gradient.bfloat16()) for _ in range(2)
                    )
            except RuntimeError as error:
                problems.append(f"{name}: {error}")
                continue
            apart = max(
                ((a - b.float()).norm() / a.norm()).item() for a, b in zip(exact, once, strict=True)
            )
            if apart > _TOLERANCE:
                problems.append(f"{name} is {apart:.0%} away from the definition")
            if not all(map(torch.equal, once, again)):
                problems.append(f"{name} does not repeat")
            seen.append(f"{name} {apart:.1%}")
    if problems:
        return Result(Outcome.FAILED, "; ".join(problems))
    return Result(Outcome.PASSED, "relative distance from the definition: " + ", ".join(seen))


def throughput(place: Place) -> Result:
    """Training speed of the base network, beside the fastest matrix product. It passes if it runs:
    the numbers are for the reader.
    """
    spec = networks(place, steps=_TIMED_STEPS, eval_every=_TIMED_STEPS)["decoder"]
    _train(place, "timed", {"base": spec})
    speed = _summary(place, "timed", spec)["tokens_per_second"]
    flops = speed * spec.flops / spec.tokens
    precision, device = spec.recipe.precision, torch.device(place.slot)
    _, _, peak = fastest_matrix_product((4096, 8192), precision, 1.0, device)
    return Result(
        Outcome.PASSED,
        f"{speed:,.0f} tokens/s, {flops:.2g} FLOP/s: {flops / peak:.0%} of the fastest matrix"
        f" product's {peak:.2g}; {1000 * spec.tokens_per_step / speed:.1f} ms a step",
    )


CHECKS = (
    Check(
        "every network trains twice to the same bits",
        repetition,
        needs_card=False,
        advice="report the network and the card; until then the numbers of a study do not repeat",
    ),
    Check(
        "a killed run goes on to the same bits",
        resumption,
        needs_card=False,
        advice="train without interruption, and report the network and the card",
    ),
    Check(
        "two runs at once end with the bits of one alone",
        company,
        needs_card=False,
        advice="use SLOTS_PER_GPU=1",
    ),
    Check(
        "attention kernels agree with the definition",
        kernels,
        needs_card=True,
        advice="report the kernel; `model.attention=reference` avoids it",
    ),
    Check(
        "a compiled network trains twice to the same bits",
        compilation,
        needs_card=True,
        advice="train without COMPILE=1",
    ),
    Check(
        "speed of the base network",
        throughput,
        needs_card=True,
        advice="see the log of the run in its folder",
    ),
)


def run_checks(place: Place) -> Iterator[tuple[Check, Result, float]]:
    """Yield each check with its result and its seconds. An error in a check is a failure."""
    for check in CHECKS:
        began = time.perf_counter()
        if check.needs_card and place.device != "cuda":
            result = Result(Outcome.SKIPPED, "it needs a graphics card")
        else:
            try:
                result = check.run(place)
            except Exception as error:
                result = Result(Outcome.FAILED, f"{type(error).__name__}: {error}")
        yield check, result, time.perf_counter() - began


Numbers = dict[str, list[Any]]  # by the name of a run


def _train(place: Place, folder: str, specs: Mapping[str, RunSpec], slots: int = 1) -> Numbers:
    """Train runs, and return all their losses and gradient norms.

    Raises:
        RuntimeError: a run failed.
    """
    job = Job(place.corpus, place.folder / folder, {}, slots_per_gpu=slots)
    for _ in Local().run(list(specs.values()), job, [place.slot] * slots):
        pass
    numbers = {}
    for name, spec in specs.items():
        summary = _summary(place, folder, spec)
        if summary["status"] != "done":
            raise RuntimeError(f"{name} {summary['status']}: {summary.get('reason', '')}")
        points = [
            (p["step"], p["loss"], p.get("gradient_norm"))
            for p in RunFolder(job.results, spec.run_id).points()
        ]
        numbers[name] = [summary["val_loss"], *points]
    return numbers


def _summary(place: Place, folder: str, spec: RunSpec) -> dict[str, Any]:
    run = RunFolder(place.folder / folder, spec.run_id)
    return run.summary() or {"status": "unfinished"}


def _compared(one: Numbers, other: Numbers, detail: str = "") -> Result:
    different = [name for name in one if one[name] != other[name]]
    if different:
        return Result(Outcome.FAILED, f"other numbers: {', '.join(different)}")
    return Result(Outcome.PASSED, detail or ", ".join(one))


def _attended(
    attend: Callable[..., Tensor], inputs: list[Tensor], gradient: Tensor
) -> list[Tensor]:
    """The output of causal attention, and the gradients of queries, keys and values."""
    leaves = [part.detach().requires_grad_() for part in inputs]
    y = attend(*leaves, Scoring(leaves[0].shape[-1] ** -0.5))
    return [y, *torch.autograd.grad(y, leaves, gradient)]
