"""A study whose claims seeds can decide, and the command line without training."""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from helping import leave_finished

from experiments.ablation import Ablation, Claim, Trains, Variant
from experiments.cli import main as command_line
from experiments.cli import session as command
from experiments.cli.options import VARIABLES
from experiments.planning.plan import FIRST_SEED, PlannedRun, first_by_run_id, unique_runs
from experiments.profiles import PROFILES
from experiments.records.collect import read_table
from experiments.records.study import Study
from experiments.running.runner import StudyOutcome, unfinished
from report.study.tables import records

SECONDS = 3600.0  # of every run


def claim(name: str, variant: str, margin: float = 0.1) -> Claim:
    """The claim that a variant is worse than the base."""
    return Claim(
        id=name,
        sentence="It hurts.",
        said_by="somebody",
        effect={variant: 1, "base": -1},
        margin=margin,
        why_margin="a test",
        requires=[Trains("base")],
    )


# Of "none" less "base": a mean of 0.5 and a standard deviation of 0.36 in five seeds. The half
# width is 0.447 at the first look, 0.362 with 8 seeds at the second, and 0.310 with 12.
NOISE = [-0.51, 0.51, 0.0, 0.0, 0.0]
ABLATION = Ablation(
    title="",
    question="",
    baseline="base",
    variants=[
        Variant("base"),
        Variant("none", {"model.position": "none"}),
        Variant("rms", {"model.norm": "rmsnorm"}),
    ],
    claims=[claim("undecided", "none"), claim("decided", "rms"), claim("never", "none", 0.49)],
    core=True,
)


class Program:
    """The command line, with training replaced by files and without a page.

    noise: of the variant "none", by seed; 0 where there is none.
    killed: whether the next training of a comparison is killed.
    """

    def __init__(self, folder: Path, text: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.text, self.capsys = folder, text, capsys
        self.noise = list(NOISE)
        self.killed = False

    @property
    def results(self) -> Path:
        return self.folder / "results" / "smoke"

    @property
    def study(self) -> Study:
        return Study.load(self.results)

    def loss(self, run: PlannedRun) -> float:
        """The loss of a run: below a guess, whose loss is above 2."""
        place = run.spec.seed - FIRST_SEED
        noise = self.noise[place] if run.variant == "none" and place < len(self.noise) else 0.0
        return {"base": 0.5, "none": 1.0 + noise, "rms": 1.0}[run.variant]

    def train(self, members: Sequence[PlannedRun], title: str = "", **_: Any) -> StudyOutcome:
        """Leave the runs finished."""
        first, todo = first_by_run_id(members), unfinished(unique_runs(members), self.results)
        for spec in todo:
            run = first[spec.run_id]
            if self.killed and run.rate is None:
                raise KeyboardInterrupt
            times = {"wall_seconds": SECONDS, "hardware": "planted"}
            leave_finished(self.results, spec, val_loss=self.loss(run), **times)
        return StudyOutcome(trained=len(todo), done=len(unique_runs(members)) - len(todo))

    def __call__(self, *words: str) -> tuple[int, str, str]:
        """Call a command. Returns the status, the output and the errors."""
        places = [f"--results={self.folder / 'results'}", f"--data={self.folder / 'data'}"]
        study = ["--profile=smoke", f"--corpus={self.text}", "--device=cpu", "--precision=fp32"]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["experiments", *words, "--jobs=2", *study, *places])
            with pytest.raises(SystemExit) as left:
                command_line.main()
        output = self.capsys.readouterr()
        return int(left.value.code or 0), output.out, output.err

    def rows(self) -> dict[str, dict[str, Any]]:
        """The rows of the table `claims` at budget 1, by claim."""
        return {row["claim"]: row for row in records(read_table(self.results, "claims"))}


def patch_ablations(patch: pytest.MonkeyPatch, ablations: dict[str, Ablation]) -> None:
    """Let these be all ablations, by name."""
    for module in (
        "experiments.records.study",
        "experiments.planning.plan",
        "experiments.cli.run",
        "report.study.tables",
    ):
        patch.setattr(f"{module}.load_ablations", lambda: ablations)


@pytest.fixture
def program(text_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> Program:
    made = Program(tmp_path, text_file, capsys)
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    patch_ablations(monkeypatch, {"one": ABLATION})
    smoke = dataclasses.replace(PROFILES["smoke"], seeds=5, default_budgets=(1,))
    monkeypatch.setitem(PROFILES, "smoke", smoke)
    monkeypatch.setattr("experiments.cli.session.run_study", made.train)
    monkeypatch.setattr(command, "measure", lambda *_: None)
    monkeypatch.setattr(command.PageBuilder, "refresh", lambda *_: None)
    monkeypatch.setattr(command.PageBuilder, "build", lambda *_, **__: 0)
    return made


@pytest.fixture
def finished(program: Program) -> Program:
    """A study whose runs are finished."""
    assert program("run")[0] == 0
    return program
