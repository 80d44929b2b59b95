"""`decide` adds planned numbers of seeds to claims, and `trends` a budget."""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from helping import leave_finished

from experiments.ablation import Ablation, Claim, Trains, Variant
from experiments.cli import main as command_line
from experiments.cli import run as command
from experiments.cli.options import VARIABLES
from experiments.planning.looks import LOOKS
from experiments.planning.plan import FIRST_SEED, PlannedRun, first_by_run_id, unique_runs
from experiments.profiles import PROFILES
from experiments.records.collect import collect, read_table
from experiments.records.run_folder import RunFolder
from experiments.records.study import Study
from experiments.running.runner import StudyOutcome, unfinished
from report.verdicts.judge import judge_all
from report.verdicts.tables import records

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


@pytest.fixture
def program(text_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> Program:
    made = Program(tmp_path, text_file, capsys)
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for module in (
        "experiments.records.study",
        "experiments.planning.plan",
        "experiments.cli.run",
        "report.verdicts.tables",
    ):
        monkeypatch.setattr(f"{module}.load_ablations", lambda: {"one": ABLATION})
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


def seeds(program: Program) -> dict[str, int]:
    """Number of planned seeds by variant."""
    runs = program.study.plan(program.results).comparison_runs
    return {name: sum(run.variant == name for run in runs) for name in ("base", "none", "rms")}


def test_decide_adds_seeds_to_the_claim_that_they_would_decide_and_to_no_other(finished: Program):
    """Three runs of each of two variants, of an hour each, two at a time."""
    status, said, _ = finished("decide", "--hours=3.1")
    assert status == 0
    assert "undecided at budget 1: 5 -> 8 seeds, about 180.0 min\n" in said
    assert said.count("1 undecided claim that none of 8, 12 and 20 seeds would decide") == 2
    assert ": 6 runs trained" in said
    assert finished.study.added == {"undecided": {"1": 8}}
    assert seeds(finished) == {"base": 8, "none": 8, "rms": 5}
    rows = finished.rows()
    shown = {name: (row["verdict"], row["n"], row["look"]) for name, row in rows.items()}
    assert shown == {
        "undecided": ("supported", 8, 2),
        "decided": ("supported", 5, 1),
        "never": ("undecided", 5, 1),
    }
    assert f"undecided at budget 1: supported: {rows['undecided']['why']}\n" in said
    assert "(look 2)" in said
    assert said.count(" at budget 1: supported: ") == 1


def test_a_claim_that_stays_undecided_gets_the_next_look_in_the_same_call(finished: Program):
    finished.noise += [0.6, -0.6, 0.0]
    status, said, _ = finished("decide", "--hours=100")
    assert status == 0
    assert "5 -> 8 seeds, about 180.0 min" in said
    assert "8 -> 12 seeds, about 240.0 min" in said
    assert finished.rows()["undecided"]["look"] == 3
    assert finished.study.added == {"undecided": {"1": 12}}


def test_what_does_not_fit_into_the_hours_is_left_out_and_nothing_is_changed(finished: Program):
    before = (finished.results / "study.json").read_bytes()
    status, said, _ = finished("decide", "--hours=2.9")
    assert status == 0
    assert "would decide, 1 that would take longer than the hours that are left\n" in said
    assert ": 0 runs trained" in said
    assert (finished.results / "study.json").read_bytes() == before


def test_where_no_claim_can_be_decided_decide_says_so(finished: Program):
    finished("decide", "--hours=3.1")
    status, said, _ = finished("decide", "--hours=100")
    assert status == 0
    assert "left out: 1 undecided claim that none of 8, 12 and 20 seeds would decide, 0 " in said
    assert ": 0 runs trained" in said


@pytest.mark.parametrize("words", [["decide", "--hours=1"], ["run"], ["deeper"]])
def test_a_call_that_was_killed_is_gone_on_with(finished: Program, words: list[str]):
    finished.killed = True
    status, _, refusal = finished("decide", "--hours=3.1")
    assert (status, refusal) == (130, "stopped; the next call goes on from here\n")
    assert finished.study.added == {"undecided": {"1": 8}}
    finished.killed = False
    status, said, _ = finished(*words)
    assert status == 0
    assert ": 6 runs trained" in said
    assert finished.study.added == {"undecided": {"1": 8}}
    assert (
        unfinished(unique_runs(finished.study.plan(finished.results).runs), finished.results) == []
    )
    if words[0] == "decide":
        assert "undecided at budget 1: supported: " in said


def test_added_seeds_are_kept_by_later_calls_until_there_are_as_many(finished: Program):
    finished("decide", "--hours=3.1")
    finished("run")
    finished("run", "one")
    assert finished.study.added == {"undecided": {"1": 8}}
    finished("run", "--seeds=8")
    assert (finished.study.added, finished.study.looks) == ({}, 3)


def test_a_study_that_is_not_finished_is_refused(finished: Program):
    plan = finished.study.plan(finished.results)
    for run in plan.comparison_runs[:2]:
        (RunFolder(finished.results, run.spec.run_id).path / "summary.json").unlink()
    before = sorted(finished.results.rglob("*"))
    status, said, refusal = finished("decide", "--hours=1")
    assert (status, said) == (2, "")
    missing = "error: the study is not finished: 2 runs are missing: run `make all` first\n"
    assert refusal == missing
    assert sorted(finished.results.rglob("*")) == before


def test_no_calls_give_a_claim_a_number_of_seeds_that_is_not_planned(finished: Program):
    """Noise that begins anew with each look, and hours that allow one look at a time or several."""
    finished.noise += [0.6, -0.6, 0.0, 0.8, -0.8, 0.0, 0.0]
    numbers = set[tuple[str, int]]()
    for words in (
        ["decide", "--hours=1"],
        ["decide", "--hours=3.1"],
        ["run"],
        ["decide", "--hours=4.1"],
        ["decide", "--hours=100"],
        ["run", "--seeds=6"],
        ["decide", "--hours=100"],
    ):
        assert finished(*words)[0] == 0
        base = finished.study.seeds
        for each in ABLATION.claims:
            n = finished.study.seed_counts.of_claim(ABLATION, each, 1)
            assert n in (base, *LOOKS)
            numbers.add((each.id, n))
        rows = finished.rows() if words[0] == "decide" else {}
        for name, row in rows.items():
            count = finished.study.added.get(name, {}).get("1", base)
            assert (row["n"], row["planned"]) == (count, count)
    assert {("undecided", 5), ("undecided", 8), ("undecided", 12)} <= numbers


def test_trends_trains_the_arms_of_changing_claims_alone_at_the_next_budget(
    finished: Program, monkeypatch: pytest.MonkeyPatch
):
    smoke = dataclasses.replace(PROFILES["smoke"], budgets=(1, 2, 4))
    monkeypatch.setitem(PROFILES, "smoke", smoke)
    before = {run.spec.run_id for run in finished.study.plan(finished.results).runs}
    changing = ["decided"]
    monkeypatch.setattr("experiments.cli.decide.changing_claims", lambda *_: changing)
    status, out, _ = finished("trends")
    assert status == 0
    assert "3 seeds: decided" in out
    new = [
        run
        for run in finished.study.plan(finished.results).comparison_runs
        if run.spec.run_id not in before
    ]
    deepest = finished.study.budgets[-1]
    places = {(run.variant, run.budget, run.spec.seed - FIRST_SEED) for run in new}
    further = next(budget for budget in smoke.budgets if budget > deepest)
    assert places == {(name, further, seed) for name in ("base", "rms") for seed in range(3)}
    assert all(RunFolder(finished.results, run.spec.run_id).summary() for run in new)
    collect(finished.results)
    judge_all(finished.results)
    rows = records(read_table(finished.results, "claims"))
    assert [row["claim"] for row in rows if row["budget"] == further] == ["decided"]
    changing.clear()
    status, _, errors = finished("trends")
    assert status == 2
    assert "no claim's effect is known to change still" in errors


def test_trends_takes_no_seeds_back_and_judges_no_claim_that_only_shares_the_arms(
    finished: Program, monkeypatch: pytest.MonkeyPatch
):
    """The claim "never" has the arms of "undecided"."""
    monkeypatch.setitem(
        PROFILES, "smoke", dataclasses.replace(PROFILES["smoke"], budgets=(1, 2, 4))
    )
    monkeypatch.setattr("experiments.cli.decide.changing_claims", lambda *_: ["undecided"])
    study, deepest = finished.study, finished.study.budgets[-1]
    further = next(budget for budget in (1, 2, 4) if budget > deepest)
    added = {"undecided": {str(further): 12}}
    dataclasses.replace(study, added=added).save(finished.results)
    assert finished("trends")[0] == 0
    assert finished.study.added == added
    collect(finished.results)
    judge_all(finished.results)
    rows = records(read_table(finished.results, "claims"))
    assert [(row["claim"], row["n"]) for row in rows if row["budget"] == further] == [
        ("undecided", 12)
    ]


@pytest.mark.parametrize("words", [["trends", "--seeds=3"], ["trends", "--budgets=1"]])
def test_trends_refuses_seeds_and_budgets(finished: Program, words: list[str]):
    status, _, errors = finished(*words)
    assert (status, errors.count("\n")) == (2, 1)
    assert "`make trends` chooses the seeds" in errors


def test_trends_needs_a_further_budget_of_the_profile(
    finished: Program, monkeypatch: pytest.MonkeyPatch
):
    deepest = finished.study.budgets[-1]
    smoke = dataclasses.replace(PROFILES["smoke"], budgets=tuple(finished.study.budgets))
    monkeypatch.setitem(PROFILES, "smoke", smoke)
    status, _, errors = finished("trends")
    assert status == 2
    assert f"the profile smoke has no budget above {deepest}" in errors
