"""`deeper` finishes the study that is there, and then adds the next budget of the profile."""

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from helping import leave_finished, leave_tuned, planted

from experiments.ablation import Variant
from experiments.cli import main as command_line
from experiments.cli import run as command
from experiments.cli.options import VARIABLES
from experiments.data.corpus import Corpus
from experiments.errors import UserError
from experiments.planning.plan import unique_runs
from experiments.profiles import PROFILES, Profile
from experiments.records.continuing import budgets_of, continued
from experiments.records.run_folder import RunFolder
from experiments.records.study import Study

CPU = PROFILES["cpu"]
BASE, NONE = Variant("base"), Variant("none", {"model.position": "none"})


@pytest.fixture
def ablations(monkeypatch: pytest.MonkeyPatch) -> None:
    """A catalogue of one core ablation, one of whose two variants is an arm."""
    one = {"one": planted(NONE, BASE, arms=["none"], core=True)}
    for module in ("experiments.records.study", "experiments.planning.plan", "experiments.cli.run"):
        monkeypatch.setattr(f"{module}.load_ablations", lambda: one)


@pytest.fixture
def leave(ablations: None, corpus: Corpus, tmp_path: Path) -> Callable[..., Study]:
    """A function that leaves a study at some budgets, of which some or all runs are finished."""

    def leave(budgets: list[int], *, tuned: bool = True, left: int = 0) -> Study:
        study = Study.of(CPU, corpus, seeds=1, budgets=budgets)
        study.save(tmp_path)
        if tuned:
            runs = unique_runs(leave_tuned(tmp_path, study).comparison_runs)
            for spec in runs[: len(runs) - left]:
                leave_finished(tmp_path, spec)
        return study

    return leave


def test_without_a_study_the_budgets_stay_those_of_the_profile(tmp_path: Path, capsys):
    assert budgets_of(tmp_path) == []
    assert command._with_next([1, 4], CPU, tmp_path) == [1, 4]
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("state", [{"left": 1}, {"tuned": False}], ids=["a run left", "untuned"])
def test_an_unfinished_study_goes_on_at_its_own_budgets(leave, tmp_path: Path, capsys, state: dict):
    leave([1, 4], **state)
    budgets = budgets_of(tmp_path)
    assert command._with_next(budgets, CPU, tmp_path) == [1, 4]
    said = "the study at budgets 1, 4 comes first: it is not finished\n"
    assert capsys.readouterr().out == said


def test_a_study_whose_known_runs_are_finished_but_wait_for_a_rate_is_not_finished(
    leave, tmp_path: Path, capsys
):
    """A trial that failed leaves its arm without a rate."""
    study = leave([1], tuned=False)
    plan = study.plan(tmp_path)
    for spec in unique_runs(plan.runs):
        leave_finished(tmp_path, spec, val_loss=None)
    assert study.plan(tmp_path).untuned
    assert command._with_next([1], CPU, tmp_path) == [1]
    assert "not finished" in capsys.readouterr().out


def test_a_failed_run_comes_before_another_budget(leave, tmp_path: Path):
    study = leave([1])
    (*_, spec) = unique_runs(study.plan(tmp_path).comparison_runs)
    leave_finished(tmp_path, spec, status="failed", reason="planted")
    assert command._with_next([1], CPU, tmp_path) == [1]
    leave_finished(tmp_path, spec, status="diverged", reason="planted")  # which is a result
    assert command._with_next([1], CPU, tmp_path) == [1, 4]


@pytest.mark.parametrize(
    ("budgets", "further"), [([1], [1, 4]), ([1, 4], [1, 4, 16]), ([4], [4, 16])]
)
def test_a_finished_study_is_trained_at_the_next_budget_of_the_profile(
    leave, tmp_path: Path, capsys, budgets: list[int], further: list[int]
):
    leave(budgets)
    assert budgets_of(tmp_path) == budgets
    assert command._with_next(budgets, CPU, tmp_path) == further
    assert capsys.readouterr().out == f"adding budget {further[-1]}\n"


def test_after_the_last_budget_of_the_profile_there_is_none_to_add(leave, tmp_path: Path):
    leave([1, 4, 16, 64])
    with pytest.raises(UserError, match="has all budgets of the profile cpu already: 1, 4, 16, 64"):
        command._with_next([1, 4, 16, 64], CPU, tmp_path)


def test_a_study_without_a_budget_in_the_middle_is_not_said_to_have_all(leave, tmp_path: Path):
    leave([1, 16])
    assert command._with_next([1, 16], CPU, tmp_path) == [1, 4, 16]


@pytest.fixture
def profile(ablations: None, monkeypatch: pytest.MonkeyPatch) -> Profile:
    """The profile `smoke` with three budgets, of which one is trained by default."""
    smoke = PROFILES["smoke"]
    short = dataclasses.replace(smoke.recipe, steps=4, warmup_steps=1, eval_every=4)
    changed = dataclasses.replace(
        smoke, recipe=short, budgets=(1, 2, 3), default_budgets=(1,), fewer_seeds=1
    )
    monkeypatch.setitem(PROFILES, "smoke", changed)
    return changed


@pytest.fixture
def make(
    profile: Profile, text_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> Callable[..., tuple[int, str, str]]:
    """A function that calls the command line here, without tables and page. Returns the status,
    the output and the errors.
    """
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("experiments.cli.session.measure", lambda *_: None)
    monkeypatch.setattr(command.PageBuilder, "refresh", lambda *_: None)
    monkeypatch.setattr(command.PageBuilder, "build", lambda *_, **__: 0)

    def make(*words: str) -> tuple[int, str, str]:
        places = [f"--results={tmp_path / 'results'}", f"--data={tmp_path / 'data'}"]
        study = ["--profile=smoke", f"--corpus={text_file}", "--device=cpu", "--precision=fp32"]
        monkeypatch.setattr(sys, "argv", ["experiments", *words, *study, *places])
        with pytest.raises(SystemExit) as left:
            command_line.main()
        output = capsys.readouterr()
        return int(left.value.code or 0), output.out, output.err

    return make


def trained(results: Path) -> dict[int, int]:
    """Number of finished comparison runs of the study in a folder, by budget."""
    plan = Study.load(results).plan(results)
    done = [run for run in plan.comparison_runs if RunFolder(results, run.spec.run_id).finished()]
    return {
        budget: sum(run.budget == budget for run in done) for budget in {r.budget for r in done}
    }


@pytest.mark.slow
def test_deeper_trains_the_default_then_goes_on_then_adds_budgets_and_then_refuses(
    make, tmp_path: Path
):
    results = tmp_path / "results" / "smoke"
    status, said, _ = make("deeper")  # there is no study
    assert (status, Study.load(results).budgets, trained(results)) == (0, [1], {1: 2})
    assert "adding" not in said

    status, said, _ = make("deeper")
    assert (status, Study.load(results).budgets, trained(results)) == (0, [1, 2], {1: 2, 2: 2})
    assert "adding budget 2\n" in said

    (*_, lost) = Study.load(results).plan(results).comparison_runs
    (RunFolder(results, lost.spec.run_id).path / "summary.json").unlink()
    status, said, _ = make("deeper")
    assert (status, Study.load(results).budgets, trained(results)) == (0, [1, 2], {1: 2, 2: 2})
    assert "the study at budgets 1, 2 comes first: it is not finished\n" in said
    assert ": 1 runs trained" in said

    status, said, _ = make("run")  # keeps the budgets that were added
    assert (status, Study.load(results).budgets) == (0, [1, 2])
    assert ": 0 runs trained" in said
    status, said, _ = make("run", "--budgets=1,2,3")
    assert (status, trained(results)) == (0, {1: 2, 2: 2, 3: 2})

    before = (results / "study.json").read_bytes()
    status, _, refusal = make("deeper")
    assert status == 2
    has_all = "error: the study has all budgets of the profile smoke already: 1, 2, 3\n"
    assert refusal == has_all
    assert (results / "study.json").read_bytes() == before


def test_a_study_that_goes_deeper_keeps_its_seeds_unless_others_are_given(leave, tmp_path: Path):
    wide = dataclasses.replace(leave([1]), seeds=7, fewer_seeds=6)
    wide.save(tmp_path)
    new = dataclasses.replace(wide, seeds=5, fewer_seeds=3, budgets=[1, 4])
    assert continued(new, tmp_path, None) == dataclasses.replace(wide, budgets=[1, 4])
    assert continued(new, tmp_path, 5) == new
    assert continued(new, tmp_path / "empty", None) == new


def test_a_study_of_another_corpus_does_not_go_deeper(leave, tmp_path: Path):
    other = dataclasses.replace(leave([1]), corpus_hash="other")
    with pytest.raises(UserError, match="is a study of another corpus than"):
        continued(other, tmp_path, None)
