"""Order of the page: groups, chapters of several ablations, and what follows them."""

import dataclasses

import pytest
from by_hand import Run, ablation, claim, runs_of, write_study

from experiments.ablation import GROUPS
from experiments.catalogue import load_ablations
from report.output.story import arranged, page_sections
from report.page.claims import claims_of
from report.page.summary import opening
from report.study.judge import judge_all

LOSSES = {"a": [2.0], "b": [2.5]}


@pytest.fixture(autouse=True)
def no_atlas(monkeypatch):
    monkeypatch.setattr("report.output.story.networks", lambda _: {})


def test_sections_follow_the_groups_and_share_chapters(tmp_path, monkeypatch):
    def runs(name: str) -> list[Run]:
        return [dataclasses.replace(run, ablation=name) for run in runs_of(LOSSES)]

    more = {
        "zeta": ablation(group="order", section="Both", title="First"),
        "alpha": ablation(group="order", section="Both", title="Second", budgets=[1]),
        "heads": ablation(group="attention", title="Heads"),
    }
    every = [run for name in ("planted", *more) for run in runs(name)]
    tables = write_study(tmp_path, monkeypatch, ablation(claim()), every, more=more)
    groups = arranged(page_sections(tables))
    shown = [
        (group.heading, [(c.heading, [s.anchor for s in c.sections]) for c in group.chapters])
        for group in groups
    ]
    assert shown == [
        ("", [("Findings", ["findings"])]),
        ("Order and masks", [("Both", ["zeta", "alpha"])]),  # trained at more budgets: first
        ("Attention", [("Heads", ["heads"])]),
        ("Yours", [("Planted", ["planted"])]),
        (
            "How it was made",
            [
                ("Training speed", ["speed"]),
                ("Calibration", ["calibration"]),
                ("Method, runs and citation", ["method"]),
            ],
        ),
    ]


def test_ablations_that_were_not_run_are_named(tmp_path, monkeypatch):
    more = {"absent": ablation()}
    runs = runs_of(LOSSES)
    tables = write_study(tmp_path, monkeypatch, ablation(claim()), runs, more=more)
    judge_all(tables.results)
    shown = opening(tables, claims_of(tables.results)).data
    assert "Not run: absent; <code>make NAME</code> trains one of them." in shown
    assert "absent" not in [section.anchor for section in page_sections(tables)]


def test_every_ablation_of_the_project_has_a_group_and_a_reason():
    for name, stated in load_ablations().items():
        assert stated.group in [*GROUPS][:-1], name
        assert stated.why.count(". ") <= 1, f"{name}: more than two sentences"
        assert stated.why, name
