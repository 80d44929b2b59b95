"""Tables of small studies, written row by row, so that every number can be computed by hand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from experiments.ablation import Ablation, Beats, Claim, Variant
from experiments.planning.plan import YARDSTICKS
from experiments.records.collect import read_table, write_missing, write_table
from experiments.records.study import Study
from report.study.judge import judge_all
from report.study.tables import Tables, records

VOCABULARY = 84  # a uniform guess has a loss of ln 84 = 4.43 nats
UNIGRAM = 3.3  # nats
MARGIN = 0.1
# A gate that holds wherever "a" is below the loss of a uniform guess.
LEARNT = Beats("a", "uniform", by=0)


@dataclass(frozen=True)
class Run:
    """A planned run and what came of it. "missing" has no result, and "untuned" not even an id.

    `loss` is in nats per token. `positions` has the loss at each position of the window, and
    `curve` the validation loss after every thousand tokens, from none on.
    """

    variant: str
    seed: int
    loss: float | None = None
    budget: int = 1
    status: str = "done"
    ablation: str = "planted"
    task: str = "language"
    positions: Sequence[float] = ()
    curve: Sequence[float] = ()
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def run_id(self) -> str | None:
        if self.status == "untuned":
            return None
        return f"{self.ablation}/{self.variant}/{self.budget}/{self.seed}"


@dataclass(frozen=True)
class Trial:
    """A trial of a learning rate, and its row of the table `tuning`. Without a loss it diverged."""

    variant: str
    rate: float
    loss: float | None
    seed: int = 1000
    chosen: bool = False
    refused: bool = False
    method: str = "tuned"
    budget: int = 1


def runs_of(losses: Mapping[str, Sequence[float]], budget: int = 1) -> list[Run]:
    """One run for each variant and loss; the places of the losses are the seeds."""
    return [
        Run(variant, seed, loss, budget)
        for variant, of_variant in losses.items()
        for seed, loss in enumerate(of_variant)
    ]


def bigrams(losses: Sequence[float], budget: int = 1) -> list[Run]:
    """The runs of the bigram that every study has as a yardstick."""
    runs = enumerate(losses)
    return [Run("bigram", seed, loss, budget, ablation=YARDSTICKS) for seed, loss in runs]


def blocks(seconds: Mapping[str, Sequence[float]], **columns: Any) -> list[dict[str, Any]]:
    """Rows of the table `costs`: the seconds of each operation, one number per block."""
    where = {"device_name": "Planted & Sons", "threads": 1}
    return [
        {"what": what, "block": block, "seconds": of_block} | where | columns
        for what, of_what in seconds.items()
        for block, of_block in enumerate(of_what)
    ]


def claim(**changes: Any) -> Claim:
    """The claim that the loss of "b" is above that of "a" by more than 0.1."""
    stated: dict[str, Any] = {"id": "b-is-worse", "sentence": "It hurts.", "said_by": "nobody"}
    stated |= {"effect": {"b": 1, "a": -1}, "margin": MARGIN, "why_margin": "it is a test"}
    return Claim(**stated | {"requires": [LEARNT]} | changes)


def ablation(*claims: Claim, variants: Sequence[str] = ("a", "b"), **changes: Any) -> Ablation:
    """An ablation of variants that only have names."""
    stated: dict[str, Any] = {"title": "Planted", "question": "Is it so?", "baseline": variants[0]}
    stated |= {"variants": [Variant(name) for name in variants], "claims": claims}
    return Ablation(**stated | {"probes": ["positions"], "budgets": [1, 4, 16]} | changes)


def write_study(
    results: Path,
    monkeypatch: pytest.MonkeyPatch,
    ablation: Ablation,
    runs: Sequence[Run],
    trials: Sequence[Trial] = (),
    characters: int = 100,
    budgets: Sequence[int] = (1, 4, 16),
    more: Mapping[str, Ablation] | None = None,
    costs: Sequence[dict[str, Any]] = (),
    added: Mapping[str, Mapping[str, int]] | None = None,
) -> Tables:
    """Write the tables of a study, and load them.

    Args:
        ablation: called "planted".
        characters: of the validation text, which has 100 tokens.
        budgets: of the study.
        more: further ablations, by name.
        costs: rows of the table `costs`.
        added: numbers of seeds of claims at a budget, where they have more than five.
    """
    ablations = {"planted": ablation} | dict(more or {})
    monkeypatch.setattr("report.study.tables.load_ablations", lambda: ablations)
    study = Study(
        profile_name="cpu",
        corpus_name="planted",
        corpus_hash="0" * 64,
        vocab_size=VOCABULARY,
        tokenizer="characters",
        corpus_lengths={"train": 1000, "val": 100, "test": 100},
        corpus_characters={"train": 1000, "val": characters, "test": 100},
        corpus_bytes={"train": 1000, "val": 100, "test": 100},
        unigram_loss=UNIGRAM,
        seeds=5,
        fewer_seeds=5,
        budgets=list(budgets),
        precision="fp32",
        compiled=False,
        has_genres=False,
        added={name: dict(numbers) for name, numbers in (added or {}).items()},
    )
    results.mkdir(parents=True, exist_ok=True)
    study.save(results)
    per_token = study.tokens_per_character()
    write_missing(results)
    write_table(results, "costs", list(costs))
    for name in ("measures", "calls", "seals", "claims"):
        write_table(results, name, [])
    over = [run for run in runs if run.status not in ("missing", "untuned")]
    rows = [_row(run, per_token) for run in over]
    rows += [_trial_run(trial, per_token) for trial in trials]
    write_table(results, "runs", list({row["run_id"]: row for row in rows}.values()))
    write_table(results, "membership", [_member(run) for run in runs])
    write_table(results, "tuning", [_tuning(trial) for trial in trials])
    points = [
        {"run_id": run.run_id, "position": position, "loss": loss}
        | {"loss_per_character": loss * per_token}
        for run in over
        for position, loss in enumerate(run.positions)
    ]
    write_table(results, "positions", points)
    curves = [
        {"run_id": run.run_id, "split": "val", "step": i, "tokens": 1000 * i, "loss": loss}
        | {"loss_per_character": loss * per_token}
        for run in over
        for i, loss in enumerate(run.curve)
    ]
    write_table(results, "curves", curves)
    return Tables.load(results)


def judged(results: Path) -> list[dict[str, Any]]:
    """Judge all claims, and read the table `claims`."""
    judge_all(results)
    return records(read_table(results, "claims"))


def _member(run: Run) -> dict[str, Any]:
    names = ("ablation", "variant", "budget", "seed", "run_id")
    return {name: getattr(run, name) for name in names}


def _row(run: Run, per_token: float) -> dict[str, Any]:
    row = {"run_id": run.run_id, "ablation": run.ablation, "variant": run.variant}
    row |= {"seed": run.seed, "tuning": False, "status": run.status, "val_loss": run.loss}
    row |= {"recipe.task": run.task, "model.vocab_size": VOCABULARY}
    if run.curve:
        row |= {"steps": len(run.curve) - 1, "flops": 1e6 * (len(run.curve) - 1)}
    if run.task == "language" and run.loss is not None:
        row["val_loss_per_character"] = run.loss * per_token
    return row | dict(run.values)


def _trial_id(trial: Trial) -> str:
    return f"trial/{trial.variant}/{trial.budget}/{trial.rate}/{trial.seed}"


def _trial_run(trial: Trial, per_token: float) -> dict[str, Any]:
    row = {"run_id": _trial_id(trial), "ablation": "planted", "variant": trial.variant}
    row |= {"seed": trial.seed, "tuning": True, "recipe.task": "language"}
    if trial.loss is None:
        return row | {"status": "diverged"}
    row |= {"status": "done", "val_loss": trial.loss}
    return row | {"val_loss_per_character": trial.loss * per_token}


def _tuning(trial: Trial) -> dict[str, Any]:
    names = ("variant", "budget", "rate", "seed", "chosen", "refused", "method")
    row = {name: getattr(trial, name) for name in names}
    row |= {"ablation": "planted", "learning_rate": 0.01 * trial.rate}
    return row | {"run_id": _trial_id(trial)}
