"""Results folders with known effects, so that verdicts can be checked."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.ablation import Ablation, Beats, Claim, Variant
from experiments.planning.plan import FIRST_SEED, PlannedRun
from experiments.records.collect import write_table
from experiments.records.run_folder import RunFolder
from experiments.records.study import Study

ODD_NAME = "odd <script>alert('x')</script> & \"name\" Ünïcode"

PASSAGE = "odd <b>&'\"\nÜ"

Effects = list[float | str | None]  # by seed: see `plant`

# A gate that holds wherever the base has learnt anything.
LEARNT = Beats("base", "uniform", by=0)

ABLATION = Ablation(
    title=f"Planted: {ODD_NAME}",
    question="Does the page show the known effects?",
    baseline="base",
    variants=[Variant("base"), Variant(ODD_NAME, {"model.position": "none"})],
    probes=["heads", "samples", "atlas"],
    budgets=[1, 4],
    claims=[
        Claim(
            id="planted",
            sentence=f"It hurts: {ODD_NAME}",
            said_by="nobody",
            effect={ODD_NAME: 1, "base": -1},
            margin=0.1,
            why_margin="it is a test",
            requires=[LEARNT],
        ),
        Claim(
            id="planted-equal",
            sentence="It makes no difference.",
            said_by="nobody",
            effect={ODD_NAME: 1, "base": -1},
            margin=0.1,
            why_margin="it is a test",
            equal=True,
            requires=[LEARNT],
        ),
        Claim(
            id="planted-no-worse",
            sentence="It does no harm.",
            said_by="nobody",
            effect={"base": 1, ODD_NAME: -1},
            margin=0.1,
            why_margin="it is a test",
            no_worse=True,
            requires=[LEARNT],
        ),
        Claim(
            id="planted-speed",
            sentence="It is faster.",
            said_by="nobody",
            effect={ODD_NAME: 1, "base": -1},
            metric="tokens_per_second",
            log=True,
            margin=0.05,
            why_margin="it is a test",
        ),
    ],
)


def plant(
    results: Path,
    monkeypatch: pytest.MonkeyPatch,
    effects: Effects,
    seeds: int | None = None,
    characters: int = 100,
    blocks: int = 5,
    deeper: Effects | None = None,
) -> Path:
    """Write a study of ABLATION in which the variant differs from the base by `effects`, by seed.

    An effect is a number, "diverged", "failed", or None for a run that was not trained. The study
    has budget 1; with `deeper`, which are the effects there, also budget 4. Learning rates are
    chosen: the one of the file for all. In every one of the `blocks` of measurements, a training
    step of the variant takes half as long as one of the base.
    """
    planned = len(effects) if seeds is None else seeds
    study = start(results, monkeypatch, planned, characters, [1] if deeper is None else [1, 4])
    while new := unfinished_trials(study, results):
        for trial in new:
            finish_trial(results, trial, 2 + 0.2 * abs(math.log2(trial.rate or 1)))
    base = np.random.default_rng(0).normal(2.0, 0.3, size=max(1, len(effects)))
    for member in study.plan(results).comparison_runs:
        planted = deeper if deeper is not None and member.budget == 4 else effects
        place = member.spec.seed - FIRST_SEED
        if place >= len(planted):
            continue
        effect = planted[place] if member.variant == ODD_NAME else 0.0
        if effect is not None:
            _finish(results, member, effect, float(base[place]))
    write_table(results, "costs", step_rows(blocks))
    return results


def step_rows(blocks: int) -> list[dict[str, Any]]:
    """Rows of the table `costs`: training steps of 1024 tokens, in blocks an hour apart."""
    return [
        {"what": f"step planted/{name}", "block": block, "seconds": seconds * (1 + 0.01 * block)}
        | {"started": f"2026-11-27T{10 + block}:00:00+00:00", "tokens": 1024}
        | {"device_name": "Planted & Sons", "threads": 1}
        for block in range(blocks)
        for name, seconds in (("base", 0.2), (ODD_NAME, 0.1))
    ]


def start(
    results: Path,
    monkeypatch: pytest.MonkeyPatch,
    seeds: int,
    characters: int = 100,
    budgets: Sequence[int] = (1,),
) -> Study:
    """A study of ABLATION without any run."""
    for module in ("experiments.catalogue", "experiments.records.study", "report.study.tables"):
        monkeypatch.setattr(f"{module}.load_ablations", lambda: {"planted": ABLATION})
    study = Study(
        profile_name="cpu",
        corpus_name="planted <b>corpus</b>",
        corpus_hash="0" * 64,
        vocab_size=84,
        tokenizer="characters",
        corpus_lengths={"train": 1000, "val": 100, "test": 100},
        corpus_characters={"train": 1000, "val": characters, "test": 100},
        corpus_bytes={"train": 1000, "val": 100, "test": 100},
        unigram_loss=3.3,
        seeds=seeds,
        fewer_seeds=seeds,
        budgets=list(budgets),
        precision="fp32",
        compiled=False,
        has_genres=False,
    )
    study.save(results)
    return study


def unfinished_trials(study: Study, results: Path) -> list[PlannedRun]:
    """The trials of learning rates that the study asks for now."""
    trials = study.plan(results).trials
    return [each for each in trials if RunFolder(results, each.spec.run_id).summary() is None]


def finish_trial(results: Path, trial: PlannedRun, loss: float | None) -> None:
    """Finish a trial with a validation loss; without one, it diverges."""
    folder = RunFolder(results, trial.spec.run_id)
    folder.start(trial.spec)
    if loss is None:
        folder.finish({"status": "diverged", "reason": ""})
    else:
        folder.finish({"status": "done", "reason": "", "val_loss": loss, "train_seconds": 1.0})


def _finish(results: Path, member: PlannedRun, effect: float | str, base: float) -> None:
    """Finish a run of the comparison with the base's loss and an effect."""
    folder = RunFolder(results, member.spec.run_id)
    folder.start(member.spec)
    if isinstance(effect, str):
        folder.finish({"status": effect, "reason": "because <i>planted</i>"})
        return
    loss = base + effect
    for step in (0, 400, 800):
        point = {"step": step, "tokens": step * 1024, "seconds": float(step)}
        point |= {"split": "val", "loss": loss + 800 - step}
        with folder.metrics.open("a") as file:
            file.write(json.dumps(point) + "\n")
    for name, rows in probed(member.spec.seed).items():
        folder.probe(name).parent.mkdir(exist_ok=True)
        folder.probe(name).write_text(json.dumps({name: rows}))
    summary = {"status": "done", "reason": "", "val_loss": loss, "test_loss": loss}
    # With company the variant was slower, which no claim is about.
    speed = 1000.0 * (0.5 if member.variant == ODD_NAME else 1.0)
    folder.finish(summary | {"parameters": 10, "tokens_per_second": speed, "train_seconds": 1.0})


def probed(seed: int) -> dict[str, list[dict[str, Any]]]:
    """Probe tables of one layer with two heads: the first attends to the previous token, the second
    to all tokens alike.
    """
    scores = [
        {"layer": 0, "head": head, "score": score}
        | {"value": 0.75 - head / 2, "untrained": 0.1 * place, "shuffled": 0.2}
        for head in (0, 1)
        for place, score in enumerate(("previous", "first"))
    ]
    if seed != FIRST_SEED:
        return {"heads": scores}
    atlas = []
    for query, token in enumerate(PASSAGE):
        first = [0.0] * (query - 1) + [0.75, 0.25] if query else [1.0]
        for head, weights in enumerate((first, [1 / (query + 1)] * (query + 1))):
            row = {"layer": 0, "head": head, "query": query, "token": token, "weights": weights}
            atlas.append(row)
    samples = [{"kind": "greedy", "text": "to <b>be</b> & not"}]
    return {"heads": scores, "samples": samples, "atlas": atlas}
