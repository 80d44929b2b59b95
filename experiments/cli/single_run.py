"""One run by hand: train it, and poke at it. `train`, `sample` and `evaluate`.

What is trained here lies in `results/<profile>/by-hand/`, with its weights, and is in no table. A
run of the study keeps no weights once it is over: it is trained again when it is first asked for,
and whether that came out the same is said.
"""

import dataclasses
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from experiments.ablation import Variant
from experiments.cli.options import byte_pairs, field_and_value, one_of, profile_named, takes
from experiments.data.corpus import Corpus, find_corpus, prepare_corpus
from experiments.errors import UserError
from experiments.records import provenance as hardware
from experiments.records.run_folder import RunFolder
from experiments.records.study import Study
from experiments.running.job import Job
from experiments.running.lock import results_lock
from experiments.running.runner import train_apart
from experiments.spec import RunSpec
from model.config import nearest

if TYPE_CHECKING:
    from torch import nn

_WHERE = ("profile", "device", "results", "data")


@click.command()
@click.option(
    "--set", "changes", multiple=True, metavar="FIELD=VALUE", help="as model.position=rope"
)
@click.option("--seed", type=click.IntRange(min=0), default=0, help="0 if not given")
@takes("profile", "corpus", "tokenizer", "vocab_size", "device", "precision", "results", "data")
def train(
    changes: tuple[str, ...],
    seed: int,
    profile: str,
    corpus: str,
    tokenizer: str,
    vocab_size: int | None,
    device: str,
    precision: str,
    results: Path,
    data: Path,
) -> None:
    """Train the profile's base, or what differs from it as --set says, and keep the weights."""
    one_of("precision", [precision], list(hardware.PRECISIONS))
    chosen = profile_named(profile, device)
    device = hardware.resolve_device(device)
    chosen = chosen.with_precision(hardware.resolve_precision(precision, device))
    text = prepare_corpus(corpus, data, byte_pairs(tokenizer, vocab_size))
    variant = Variant("by hand", dict(field_and_value(change) for change in changes))
    try:
        model, recipe = variant.applied_to(chosen.base_model(len(text.vocabulary)), chosen.recipe)
        spec = RunSpec(model=model, recipe=recipe, corpus=text.hash, seed=seed)
    except (ValueError, TypeError) as error:
        raise UserError(str(error)) from None
    summary = _trained(spec, text, results / chosen.name, device)
    click.echo(json.dumps(summary, indent=2))
    if summary["status"] == "done":
        click.echo(
            f"look at it: python -m experiments sample {spec.run_id} --profile {chosen.name}"
        )


@click.command()
@click.argument("run")
@click.option("--prompt", default="\n", help="what it goes on from; a line break if not given")
@click.option("--length", type=click.IntRange(1), default=500, help="tokens to write")
@click.option("--temperature", type=click.FloatRange(0), default=1.0, help="0 is greedy")
@click.option("--top-k", type=click.IntRange(1), help="only the k likeliest tokens")
@click.option("--top-p", type=click.FloatRange(0, 1, min_open=True), help="only the likeliest p")
@click.option("--seed", type=int, default=0, help="of what is drawn")
@takes(*_WHERE)
def sample(
    run: str,
    prompt: str,
    length: int,
    temperature: float,
    top_k: int | None,
    top_p: float | None,
    seed: int,
    profile: str,
    device: str,
    results: Path,
    data: Path,
) -> None:
    """Let RUN write: a run's id or its beginning, or ABLATION/VARIANT with /SEED after it."""
    spec, text, model = _opened(run, profile, device, results, data)
    if spec.recipe.task != "language":
        raise UserError(f"run {run} writes nothing: its task is '{spec.recipe.task}'")
    import torch

    from model.networks.generation import generate

    try:
        ids = [int(i) for piece in text.tokenizer.encode(lambda: iter([prompt])) for i in piece]
    except KeyError as unknown:
        raise UserError(f"--prompt: {unknown} is no character of corpus '{text.name}'") from None
    if not ids:
        raise UserError("--prompt is empty: give a character at least")
    place = next(model.parameters()).device
    tokens = generate(
        model,
        torch.tensor([ids], device=place),
        length,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        seed=seed,
        cached=spec.model.masking == "before_softmax",
    )
    click.echo(text.tokenizer.decode(tokens[0].tolist()))


@click.command()
@click.argument("run")
@click.option("--whole", is_flag=True, help="on all of a split, not on the study's windows")
@takes(*_WHERE)
def evaluate(run: str, whole: bool, profile: str, device: str, results: Path, data: Path) -> None:
    """Evaluate RUN on every split: on the windows that the study's tables are of, or on all."""
    spec, text, model = _opened(run, profile, device, results, data)
    import torch

    from experiments.training.evaluate import evaluate
    from experiments.training.tasks import TASKS
    from experiments.training.torch_setup import configure_torch

    configure_torch()

    place = next(model.parameters()).device
    if whole and spec.recipe.task not in ("language", "masked", "continuation"):
        raise UserError(
            f"--whole is for tasks on the corpus: that of {run} is '{spec.recipe.task}'"
        )
    task, recipe = TASKS[spec.recipe.task](spec, text, torch.device(place)), spec.recipe
    for split in text.lengths:
        examples = text.lengths[split] if whole else recipe.final_windows(split)
        scores = evaluate(model, task, split, examples, recipe.precision)
        if math.isnan(scores.loss):  # a split that is too short
            continue
        told = f"{split:5} loss {scores.loss:.4f}  accuracy {scores.accuracy:.4f}"
        if recipe.task == "language":
            bits = scores.loss / math.log(2) * text.lengths[split] / text.bytes[split]
            told += f"  perplexity {math.exp(min(scores.loss, 700)):.3f}  bits per byte {bits:.4f}"
        click.echo(told)


def _trained(spec: RunSpec, text: Corpus, folder: Path, device: str) -> dict[str, Any]:
    """The summary of a run that is trained, unless it has been, and whose weights are kept."""
    place = folder / "by-hand"
    with results_lock(place):
        run = RunFolder(place, spec.run_id)
        if not run.finished():
            job = Job(text, place, hardware.environment(), keep_weights=True)
            labels = {spec.run_id: f"run {spec.run_id}"}
            train_apart([spec], labels, job, hardware.slots(device, 1, 1))
        summary = run.summary()
    if summary is None or summary["status"] == "failed":
        reason = (summary or {}).get("reason", "it left no result")
        raise UserError(f"run {spec.run_id} failed: {reason}")
    return summary


def _opened(
    name: str, profile: str, device: str, results: Path, data: Path
) -> tuple[RunSpec, Corpus, "nn.Module"]:
    """A run that is over, its corpus and its trained network, on the device."""
    folder = results / profile_named(profile, device).name
    device = hardware.resolve_device(device)
    spec = _found(name, folder)
    text = find_corpus(spec.corpus, data)
    before = RunFolder(folder, spec.run_id).summary()
    if before and before["status"] != "done":
        raise UserError(f"run {name} is {before['status']}: {before['reason']}")
    if not RunFolder(folder / "by-hand", spec.run_id).weights.exists():
        click.echo("its weights were not kept: training it again", err=True)
    summary = _trained(spec, text, folder, device)
    if summary["status"] != "done":
        raise UserError(f"run {name} is {summary['status']}: {summary['reason']}")
    if before and before["val_loss"] != summary["val_loss"]:
        click.echo(
            f"its validation loss is {summary['val_loss']:.6f} here,"
            f" and was {before['val_loss']:.6f} in the study",
            err=True,
        )
    from experiments.training.checkpoint import load_weights
    from model import build

    model = build(spec.model)
    load_weights(model, RunFolder(folder / "by-hand", spec.run_id).weights)
    return spec, text, model.to(hardware.slots(device, 1, 1)[0]).eval()


def _found(name: str, folder: Path) -> RunSpec:
    """The run that is meant: by its id, its id's beginning, or its place in the study."""
    if "/" in name:
        ablation, variant, *seed = name.split("/")
        members = Study.load(folder).plan(folder).members
        wanted = f"{ablation}/{variant}/{(seed or ['0'])[0].removeprefix('seed-')}"
        places = {f"{m.ablation}/{m.variant}/{m.spec.seed}": m.spec for m in members}
        if wanted not in places:
            raise UserError(f"no run '{wanted}' in {folder}{nearest(wanted, list(places))}")
        return dataclasses.replace(places[wanted], probes=())
    runs = [
        RunFolder(place, file.parent.name)
        for place in (folder, folder / "by-hand")
        for file in sorted(place.glob("runs/*/spec.json"))
        if file.parent.name.startswith(name)
    ]
    if len({run.path.name for run in runs}) != 1:
        what = "is the beginning of several runs" if runs else "is no run"
        raise UserError(f"'{name}' {what} in {folder}: give more of its id, or ABLATION/VARIANT")
    try:
        spec = runs[0].spec()
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{runs[0].path / 'spec.json'} is no run of this version: {error}"
        ) from None
    return dataclasses.replace(spec, probes=())
