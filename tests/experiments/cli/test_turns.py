"""`run` and `retry` train turn by turn, and plan anew after each turn."""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path

import pytest
from helping import leave_finished, planted

from experiments.ablation import Beats, Claim, Variant
from experiments.cli import session as command
from experiments.cli.session import Session
from experiments.data.corpus import Corpus
from experiments.planning.plan import YARDSTICKS, PlannedRun, unique_runs
from experiments.profiles import PROFILES
from experiments.records.run_folder import RunFolder
from experiments.records.study import Study
from experiments.running.job import Job
from experiments.running.local import Local
from experiments.running.runner import StudyOutcome, run_study, unfinished

NONE = Variant("none", {"model.position": "none"})
RMS = Variant("rms", {"model.norm": "rmsnorm"})
SMALL = Variant("small", {"model.n_layers": 1})
CLAIM = Claim(
    id="c",
    sentence="It is so.",
    said_by="somebody",
    effect={"base": 1, "none": -1},
    margin=0.1,
    why_margin="a test",
    requires=[Beats("base")],
)
ABLATIONS = {
    "other": planted(RMS, SMALL, arms=["rms"], probes=["samples"]),
    "core": planted(Variant("base"), NONE, claims=[CLAIM], core=True),
}
CORE_AT_A_BUDGET = [
    "core, learning rates at budget {0}",  # of one seed
    "core, learning rates at budget {0}",  # again, the best two
    "core, first seed at budget {0}",
]
TITLES = [
    *(title.format(budget) for budget in (1, 2) for title in CORE_AT_A_BUDGET),
    "core, seed 201",
    "further ablations, learning rates at budget 1",
    "further ablations, seed 200",
    "further ablations, seed 201",
]


class Bench:
    """A study whose training is replaced by files, and what was asked of the training.

    ends: how a run ends, as entries of its summary; by default at a loss that falls with the
        distance from the rate of the file.
    """

    def __init__(self, study: Study, folder: Path) -> None:
        self.study, self.folder = study, folder
        self.titles: list[str] = []
        self.turns: list[list[PlannedRun]] = []
        self.measured: list[str] = []
        self.refreshed_after: list[str] = []
        self.blocks_after: list[str] = []
        self.busy = False
        self.ends: Callable[[PlannedRun], dict] = lambda member: {}
        study.save(folder)

    def refresh(self) -> None:
        """The page is built beside the training."""
        self.refreshed_after.append(self.titles[-1])

    def measure_if_due(self) -> None:
        """A block may be measured now."""
        self.blocks_after.append(self.titles[-1])

    def train(self, members: list[PlannedRun], title: str = "runs") -> StudyOutcome:
        """Leave the runs finished. A call with nothing to train is not noted."""
        if not unfinished(unique_runs(members), self.folder):
            return StudyOutcome()
        self.titles.append(title)
        self.turns.append(members)
        first: dict[str, PlannedRun] = {}
        for member in members:
            first.setdefault(member.spec.run_id, member)
        todo, failed = unfinished(unique_runs(members), self.folder), {}
        for spec in todo:
            member = first[spec.run_id]
            summary = {"val_loss": 0.5 + 0.1 * abs((member.rate or 1) - 1)} | self.ends(member)
            leave_finished(self.folder, spec, **summary)
            if summary.get("status") == "failed":
                failed[member.label] = summary["reason"]
        return StudyOutcome(len(todo), wall_seconds=len(todo), failed=failed)

    def call(self, *ablations: str, failed_only: bool = False, fail_fast: bool = False):
        """Train in turn, as a call of the command does. Returns its outcome and count of runs."""
        self.titles, self.turns, self.refreshed_after, self.blocks_after = [], [], [], []
        self.measured.clear()
        session = Session(self.study, self.folder, "cpu", ["cpu"], self.train, fail_fast)
        command.begin(session, ablations, failed_only=failed_only)
        return command.train_each_turn(
            session, list(ablations), self, self, failed_only=failed_only
        )

    def fail(self, *places: tuple[str, str, float | None]) -> None:
        """Let runs fail, given by ablation, variant and rate."""
        reason = {"status": "failed", "reason": "planted", "val_loss": None}
        self.ends = lambda run: (
            reason if (run.ablation, run.variant, run.rate) in places and run.budget == 1 else {}
        )


@pytest.fixture
def bench(corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr("experiments.records.study.load_ablations", lambda: ABLATIONS)
    bench = Bench(Study.of(PROFILES["smoke"], corpus, seeds=2, budgets=[1, 2]), tmp_path)
    monkeypatch.setattr(command, "measure", lambda program, *_: bench.measured.append(program[-1]))
    monkeypatch.setattr(command, "is_measured", lambda *_: bool(bench.measured))
    return bench


def test_a_study_is_trained_turn_by_turn_until_nothing_is_left(bench: Bench):
    outcome, asked = bench.call()
    assert bench.titles == TITLES
    plan = bench.study.plan(bench.folder)
    assert plan.untuned == []
    runs = unique_runs(plan.runs)
    assert unfinished(runs, bench.folder) == []
    assert (outcome.trained, outcome.done, outcome.failed, asked) == (len(runs), 0, {}, len(runs))
    asked_for = [spec.run_id for turn in bench.turns for spec in unique_runs(turn)]
    assert sorted(asked_for) == sorted(spec.run_id for spec in runs)  # each of them once


def test_every_run_of_a_turn_is_of_that_turn_or_equal_to_one_that_is(bench: Bench):
    bench.call()
    for title, turn in zip(bench.titles, bench.turns, strict=True):
        own = {member.spec.run_id for member in turn if str(member.turn) == title}
        assert {member.spec.run_id for member in turn} == own
        assert str(turn[0].turn) == title  # the message and the order are those of the first
    seed_0 = bench.turns[TITLES.index("core, first seed at budget 1")]
    assert {member.ablation for member in seed_0} == {"core", YARDSTICKS}


def test_a_run_that_a_later_turn_shares_is_trained_with_the_probes_of_both(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    probed = dataclasses.replace(ABLATIONS["core"], title="probed", core=False, probes=["heads"])
    monkeypatch.setattr(
        "experiments.records.study.load_ablations", lambda: ABLATIONS | {"probed": probed}
    )
    bench.call()
    seed_0 = bench.turns[TITLES.index("core, first seed at budget 1")]
    assert {member.ablation for member in seed_0} == {"core", "probed", YARDSTICKS}
    for spec in unique_runs(member for member in seed_0 if member.variant == "none"):
        assert spec.probes == ("heads",)


def test_a_probe_that_a_later_choice_asks_of_a_finished_run_is_made_in_the_same_call(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    """The rate of `late` is that of `rms`, which is chosen after the equal run has been trained."""
    late = planted(RMS, Variant("late"), arms=["rms"], probes=["heads"])
    core = ABLATIONS["core"]
    monkeypatch.setattr(
        "experiments.records.study.load_ablations", lambda: {"core": core, "other": late}
    )
    bench.call()
    runs = unique_runs(bench.study.plan(bench.folder).runs)
    assert unfinished(runs, bench.folder) == []
    bench.call()
    assert bench.titles == []


def test_the_page_is_built_anew_after_every_turn_that_compares_and_after_no_trial(bench: Bench):
    bench.call()
    assert bench.refreshed_after == [title for title in TITLES if "learning rates" not in title]


def test_an_ablation_alone_is_trained_with_its_yardsticks_and_the_rates_of_the_study(bench: Bench):
    outcome, asked = bench.call("core")
    assert bench.titles == TITLES[:7]
    trained = {member.ablation for turn in bench.turns for member in turn}
    assert trained == {"core", YARDSTICKS}
    assert outcome.trained == asked
    assert bench.call("core")[0] == StudyOutcome(done=asked)
    assert bench.titles == []


def test_a_finished_study_trains_nothing_and_counts_its_runs_as_done(bench: Bench):
    trained = bench.call()[0].trained
    again, asked = bench.call()
    assert (again, asked) == (StudyOutcome(done=trained), trained)
    assert bench.titles == bench.refreshed_after == []


def test_an_interrupted_study_goes_on_where_it_was(bench: Bench):
    everything = bench.call()[0].trained
    lost = [member.spec for member in bench.turns[-1]]
    for spec in lost:
        (RunFolder(bench.folder, spec.run_id).path / "summary.json").unlink()
    outcome, asked = bench.call()
    assert bench.titles == TITLES[-1:]
    assert (outcome.trained, outcome.done, asked) == (len(lost), everything - len(lost), everything)


def test_a_trial_that_failed_is_tried_once_a_call_and_only_its_own_arm_waits_for_it(bench: Bench):
    bench.fail(("core", "none", 2.0))
    outcome, asked = bench.call()
    assert outcome.failed == {"rate 2x core/none": "planted"}
    plan = bench.study.plan(bench.folder)
    assert {(run.ablation, run.variant) for run in plan.untuned} == {("core", "none")}
    assert len(unfinished(unique_runs(plan.runs), bench.folder)) == 1
    asked_for = [spec.run_id for turn in bench.turns for spec in unique_runs(turn)]
    assert len(asked_for) == len(set(asked_for)) == outcome.trained == asked
    assert "further ablations, seed 201" in bench.titles  # the others went on
    bench.fail()
    again, _ = bench.call()
    assert again.failed == {}
    assert bench.study.plan(bench.folder).untuned == []


def test_retry_trains_the_failed_runs_and_nothing_else(bench: Bench):
    bench.fail(("core", "none", None), ("other", "rms", None))
    failed = bench.call()[0].failed
    assert len(failed) == 4  # two variants, two seeds, at budget 1
    unbegun = [member.spec for member in bench.study.plan(bench.folder).comparison_runs][-1]
    (RunFolder(bench.folder, unbegun.run_id).path / "summary.json").unlink()
    bench.fail()
    outcome, asked = bench.call(failed_only=True)
    assert (outcome.trained, outcome.failed, asked) == (4, {}, 4)
    assert {member.label for turn in bench.turns for member in turn} == {*failed}
    assert not RunFolder(bench.folder, unbegun.run_id).finished()


def test_fail_fast_stops_after_the_turn_with_the_first_failure(bench: Bench):
    bench.fail(("core", "none", None))
    outcome, asked = bench.call(fail_fast=True)
    assert bench.titles[-1] == "core, first seed at budget 1"
    assert outcome.failed
    assert asked > outcome.trained  # what was not begun is counted


def test_a_block_may_be_measured_after_every_turn(bench: Bench):
    bench.call()
    assert bench.blocks_after == TITLES


def test_no_block_is_measured_while_a_page_is_being_built(bench: Bench):
    """From the third turn on a page is built, until the sixth turn asks for the next one."""
    bench.refresh = lambda: setattr(bench, "busy", bench.titles[-1] == TITLES[2])
    bench.call()
    assert bench.blocks_after == [*TITLES[:3], *TITLES[6:]]


def test_retry_and_a_stop_at_the_first_failure_measure_no_block(bench: Bench):
    bench.fail(("core", "none", None))
    bench.call(fail_fast=True)
    assert bench.blocks_after == bench.titles[:-1]
    bench.call(failed_only=True)
    assert (len(bench.titles), bench.blocks_after) == (1, [])


def test_theory_is_measured_once_before_the_first_turn(bench: Bench):
    bench.call()
    assert bench.measured == ["experiments.theory"]


def test_missing_tables_of_theory_are_measured_even_where_no_run_is_left(bench: Bench):
    """A table that was damaged is set aside, and the next call makes it anew."""
    bench.call()
    bench.call()
    assert bench.titles == []
    assert bench.measured == ["experiments.theory"]


class Names:
    """A tracker that only notes which runs it is shown."""

    name = "names"

    def __init__(self) -> None:
        self.shown: set[str] = set()

    def begin(self, member: PlannedRun, place: Path) -> "Names":
        """Note the run's label."""
        self.shown.add(member.label)
        return self

    def add(self, step: int, values: dict[str, float]) -> None:
        """Drop the values."""

    def close(self, summary: dict) -> None:
        """Do nothing."""


def test_runs_that_were_finished_without_a_tracker_are_shown_in_it_by_the_next_call(
    bench: Bench, corpus: Corpus
):
    bench.call()
    names = Names()
    job = Job(corpus, bench.folder, {})
    bench.train = functools.partial(run_study, job=job, slots=[], executor=Local(), tracker=names)
    bench.call()
    assert names.shown == {run.label for run in bench.study.plan(bench.folder).runs}
