"""Order of the page: groups of chapters, each with one section per ablation."""

import itertools
from typing import NamedTuple

from experiments.ablation import GROUPS
from report.figures.heads import networks
from report.output.execute import Section
from report.study.tables import Tables

FIRST = "findings"  # anchor of the first section


class Chapter(NamedTuple):
    """Sections about one thing, under one heading."""

    heading: str
    sections: list[Section]


class Group(NamedTuple):
    """Chapters under a heading of the contents."""

    heading: str
    chapters: list[Chapter]


def page_sections(tables: Tables) -> list[Section]:
    """All sections in the order of the page: findings, the ablations that have runs by group, and
    how the study was made.
    """
    sections = [Section(FIRST, "Findings")]
    for group, heading in GROUPS.items():
        sections += [_of_ablation(tables, name, heading) for name in _in_order(tables, group)]
        if group == "attention" and networks(tables):
            sections.append(Section("atlas", "Attention atlas", group=heading))
    made = "How it was made"
    return [
        *sections,
        Section("speed", "Training speed", group=made),
        Section("calibration", "Calibration", group=made),
        Section("method", "Method, runs and citation", group=made),
    ]


def _of_ablation(tables: Tables, name: str, group: str) -> Section:
    ablation = tables.ablations[name]
    return Section(
        name,
        ablation.title,
        ablation.question,
        "ablation",
        {"ablation": name},
        ablation.limits,
        group,
        ablation.section,
    )


def _in_order(tables: Tables, group: str) -> list[str]:
    """The ablations of a group that have runs, those of a section together: first what is trained
    at the most budgets, and of these what removes a part.
    """
    names = [name for name in tables.present() if tables.ablations[name].group == group]

    def rank(name: str) -> tuple[int, bool]:
        ablation = tables.ablations[name]
        return -len(ablation.budgets_of(tables.study.profile.budgets)), not ablation.removals

    names.sort(key=rank)
    chapters = {tables.ablations[name].section or name: None for name in names}
    return [
        name
        for chapter in chapters
        for name in names
        if (tables.ablations[name].section or name) == chapter
    ]


def arranged(sections: list[Section]) -> list[Group]:
    """The sections as groups of chapters, in their order."""
    groups = []
    for heading, of_group in itertools.groupby(sections, key=lambda section: section.group):
        chapters = itertools.groupby(of_group, key=lambda each: each.chapter or each.heading)
        groups.append(Group(heading, [Chapter(title, list(parts)) for title, parts in chapters]))
    return groups
