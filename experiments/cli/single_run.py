"""`train`, `sample` and `evaluate`: train a single run, and use a trained network.

Runs trained here lie in `results/<profile>/by-hand/` with their weights, and are in no table. A run
of the study keeps no weights: it is trained again when a command first asks for its network, and
the command says where the result differs from the study's.
"""

import dataclasses
import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from cyclopts import Parameter
from cyclopts.types import NonNegativeFloat, NonNegativeInt, PositiveInt
from cyclopts.validators import Number

from experiments.ablation import Variant
from experiments.catalogue import check_known
from experiments.cli.network import parse_changes
from experiments.cli.options import CorpusOptions, Data, PrecisionName, StudyOptions
from experiments.data.corpus import Corpus, find_corpus
from experiments.errors import UserError
from experiments.records.provenance import environment
from experiments.records.run_folder import RunFolder
from experiments.records.study import Study
from experiments.running import devices
from experiments.running.job import Job
from experiments.running.lock import results_lock
from experiments.running.runner import train_apart
from experiments.spec import RunSpec

if TYPE_CHECKING:
    from torch import nn


class Trained(NamedTuple):
    """A finished run, its corpus, and its trained network on the device."""

    spec: RunSpec
    corpus: Corpus
    model: "nn.Module"
    device: str


def train(
    *,
    set: Annotated[
        tuple[str, ...], Parameter(help="FIELD=VALUE, as model.position=rope.", negative="")
    ] = (),
    seed: NonNegativeInt = 0,
    precision: PrecisionName = "auto",
    study: StudyOptions = StudyOptions(),
    corpus: CorpusOptions = CorpusOptions(),
) -> None:
    """Train the profile's base network, changed as --set says, and keep the weights."""
    device = study.local_device
    profile = study.local_profile.with_precision(devices.resolve_precision(precision, device))
    text = corpus.prepare()
    changes = parse_changes(set)
    try:
        variant = Variant("by hand", changes)
        model, recipe = variant.applied_to(profile.base_model(len(text.vocabulary)), profile.recipe)
        spec = RunSpec(model=model, recipe=recipe, corpus=text.hash, seed=seed)
    except (ValueError, TypeError) as error:
        raise UserError(str(error)) from None
    summary = train_run(spec, text, study.folder, device)
    print(json.dumps(summary, indent=2))
    if summary["status"] == "done":
        command = f"python -m experiments sample {spec.run_id} --profile {profile.name}"
        print(f"let the network write: {command}")


def sample(
    run: str,
    /,
    *,
    prompt: Annotated[
        str, Parameter(help="Text that the network continues.", allow_leading_hyphen=True)
    ] = "\n",
    length: Annotated[PositiveInt, Parameter(help="Number of tokens to write.")] = 500,
    temperature: Annotated[NonNegativeFloat, Parameter(help="0 is greedy.")] = 1.0,
    top_k: Annotated[
        PositiveInt | None, Parameter(help="Sample from the k likeliest tokens only.")
    ] = None,
    top_p: Annotated[
        float | None,
        Parameter(
            validator=Number(gt=0, lte=1),
            help="Sample from the likeliest tokens of this total probability only.",
        ),
    ] = None,
    seed: Annotated[int, Parameter(help="Seed of the sampling.")] = 0,
    study: StudyOptions = StudyOptions(),
    data: Data = Path("data"),
) -> None:
    """Let the network of RUN write. RUN is a run id or its beginning, or ABLATION/VARIANT with
    /SEED after it unless the seed is the first of the study.
    """
    trained = open_run(run, study, data)
    if trained.spec.recipe.task != "language":
        raise UserError(f"run {run} writes nothing: its task is '{trained.spec.recipe.task}'")
    import torch

    from model.networks.generation import generate

    tokenizer = trained.corpus.tokenizer
    try:
        ids = [int(i) for piece in tokenizer.encode([prompt]) for i in piece]
    except KeyError as unknown:
        name = trained.corpus.name
        raise UserError(f"--prompt: {unknown} is no character of corpus '{name}'") from None
    if not ids:
        raise UserError("--prompt is empty: give at least one character")
    tokens = generate(
        trained.model,
        torch.tensor([ids], device=trained.device),
        length,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        seed=seed,
        cached=bool(trained.model.cacheable),
    )
    print(tokenizer.decode(tokens[0].tolist()))


def evaluate(
    run: str,
    /,
    *,
    whole: Annotated[
        bool, Parameter(help="Evaluate on all of each split, not on windows.", negative="")
    ] = False,
    study: StudyOptions = StudyOptions(),
    data: Data = Path("data"),
) -> None:
    """Evaluate the network of RUN on every split, on the windows that the study's tables use."""
    spec, corpus, model, device = open_run(run, study, data)
    recipe = spec.recipe
    if whole and recipe.task not in ("language", "masked", "continuation"):
        raise UserError(f"--whole is for tasks on the corpus: the task of {run} is '{recipe.task}'")
    import torch

    from experiments.training.evaluate import evaluate
    from experiments.training.tasks import build_task
    from experiments.training.torch_setup import configure_torch

    configure_torch()
    task = build_task(spec, corpus, torch.device(device))
    for split in corpus.lengths:
        examples = corpus.lengths[split] if whole else recipe.eval_windows
        scores = evaluate(model, task, split, examples, recipe.precision)
        if math.isnan(scores.loss):  # the split is too short
            continue
        line = f"{split:5} loss {scores.loss:.4f}  accuracy {scores.accuracy:.4f}"
        if recipe.task == "language":
            bits = scores.loss / math.log(2) * corpus.lengths[split] / corpus.bytes[split]
            perplexity = math.exp(min(scores.loss, 700))
            line += f"  perplexity {perplexity:.3f}  bits per byte {bits:.4f}"
        print(line)


def train_run(spec: RunSpec, corpus: Corpus, folder: Path, device: str) -> dict[str, Any]:
    """Train a run and keep its weights, unless that was done before. Return its summary.

    Raises:
        UserError: the run failed.
    """
    results = folder / "by-hand"
    run = RunFolder(results, spec.run_id)
    with results_lock(results):
        if not run.finished():
            job = Job(corpus, results, environment(), keep_weights=True)
            labels = {spec.run_id: f"run {spec.run_id}"}
            train_apart([spec], labels, job, devices.slots(device, 1, 1))
        summary = run.summary() or {"status": "failed", "reason": "it left no result"}
    if summary["status"] == "failed":
        raise UserError(f"run {spec.run_id} failed: {summary.get('reason', '')}")
    return summary


def open_run(name: str, study: StudyOptions, data: Path) -> Trained:
    """Load a finished run with its trained network; train the network again if no weights are kept.

    Raises:
        UserError: there is no such run, or the run has no trained network.
    """
    device, folder = study.local_device, study.folder
    spec = find_run(name, folder)
    corpus = find_corpus(spec.corpus, data)
    first = RunFolder(folder, spec.run_id).summary()
    if first and first["status"] != "done":
        raise UserError(f"run {name} is {first['status']}: {first['reason']}")
    kept = RunFolder(folder / "by-hand", spec.run_id)
    if not kept.weights.exists():
        print("the weights of the run were not kept: training it again", file=sys.stderr)
    summary = train_run(spec, corpus, folder, device)
    if summary["status"] != "done":
        raise UserError(f"run {name} is {summary['status']}: {summary['reason']}")
    if first and first["val_loss"] != summary["val_loss"]:
        print(
            f"the validation loss is {summary['val_loss']:.6f} here,"
            f" and was {first['val_loss']:.6f} in the study",
            file=sys.stderr,
        )
    from experiments.training.checkpoint import load_weights
    from model import build

    model = build(spec.model)
    load_weights(model, kept.weights)
    (slot,) = devices.slots(device, 1, 1)
    return Trained(spec, corpus, model.to(slot).eval(), slot)


def find_run(name: str, folder: Path) -> RunSpec:
    """The run of a name: a run id or its beginning, or ABLATION/VARIANT or ABLATION/VARIANT/SEED.

    Raises:
        UserError: there is no such run, or several.
    """
    if "/" in name:
        ablation, variant, *seed = name.split("/")
        study = Study.load(folder)
        wanted_seed = (seed or [str(study.first_seed)])[0].removeprefix("seed-")
        wanted = f"{ablation}/{variant}/{wanted_seed}"
        members = study.plan(folder).comparison_runs
        specs = {f"{m.ablation}/{m.variant}/{m.spec.seed}": m.spec for m in members}
        check_known("run", [wanted], specs)
        return dataclasses.replace(specs[wanted], probes=())
    runs = {
        file.parent.name: RunFolder(results, file.parent.name)
        for results in (folder / "by-hand", folder)
        for file in sorted(results.glob("runs/*/spec.json"))
        if file.parent.name.startswith(name)
    }
    if len(runs) != 1:
        problem = "is the beginning of several runs" if runs else "is no run"
        raise UserError(f"'{name}' {problem} in {folder}: give more of its id, or ABLATION/VARIANT")
    (run,) = runs.values()
    try:
        spec = run.spec()
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{run.path / 'spec.json'} is no run of this version: {error}") from None
    return dataclasses.replace(spec, probes=())
