"""Costs of removing parts: the first figure of the page, and sentences about the costs."""

from dataclasses import dataclass
from enum import StrEnum

import pandas as pd
from IPython.display import HTML

from experiments.records.run_folder import Status
from model.accounting import parameter_count
from report.figures.model_diagram import part_of_pair
from report.html import EMPTY, render
from report.page.budgets import tokens_at
from report.study.effects import loss_column, paired_losses
from report.study.tables import Tables
from report.verdicts.outcomes import Verdict
from report.verdicts.stats import Estimate, estimate
from report.verdicts.text import format_duration, format_estimate, join_words, plural


class Mark(StrEnum):
    """Why the loss of a network without a part cannot be compared as it is."""

    NONE = ""
    DIVERGED = "diverged"
    PEEKS = "invalid loss: the network sees the tokens that it predicts"
    NOT_TESTABLE = "not testable"


@dataclass(frozen=True)
class Removal:
    """A part of the network, and what the network costs without it.

    part: the part in words.
    ablation: the ablation that removes it.
    budget: the training budget.
    cost: loss without the part less the loss with it, in nats per character, paired by seed.
    margin: the smallest cost that counts; None where no claim is about it.
    """

    part: str
    ablation: str
    budget: int
    cost: Estimate
    margin: float | None
    mark: Mark

    @property
    def counts(self) -> bool:
        """True if the removal has no mark. Only costs without a mark are compared."""
        return self.mark == Mark.NONE

    @property
    def spans_zero(self) -> bool:
        """True if the interval of the cost contains zero."""
        low, high = self.cost.low, self.cost.high
        return low is not None and high is not None and low <= 0 <= high


def removals_of(tables: Tables, claims: pd.DataFrame) -> list[Removal]:
    """The removals of all ablations, each at the deepest budget of its runs; the costliest first.

    Args:
        tables: the tables of the study.
        claims: the table "claims".
    """
    result = []
    for name in tables.present():
        ablation, budget = tables.ablations[name], tables.shown_budget(name)
        if loss_column(tables, name).unit != "nats per character":
            continue
        for part, (with_it, without) in ablation.removals.items():
            losses = paired_losses(tables.at(budget), name, [without, with_it])
            if losses.empty:
                continue
            margin = _margin(tables, name, with_it, without)
            costs = list(losses[without] - losses[with_it])
            mark = _mark(tables, claims, name, budget, with_it, without)
            result.append(Removal(part, name, budget, estimate(costs), margin, mark))
    return sorted(result, key=lambda removal: (not removal.counts, -removal.cost.mean))


def _margin(tables: Tables, ablation: str, with_it: str, without: str) -> float | None:
    """The margin of the claim about the loss of a pair of variants; None without such a claim."""
    margins = [
        claim.margin_in_nats
        for claim in tables.ablations[ablation].claims
        if {*claim.effect} == {with_it, without} and claim.metric == "val_loss_per_character"
    ]
    return min((margin for margin in margins if margin is not None), default=None)


def _mark(
    tables: Tables, claims: pd.DataFrame, ablation: str, budget: int, with_it: str, without: str
) -> Mark:
    members = tables.at(budget).of(ablation)
    if without in tables.ablations[ablation].peeking:
        return Mark.PEEKS
    pair_members = members[members["variant"].isin([with_it, without])]
    if (pair_members["status"] == Status.DIVERGED).any():
        return Mark.DIVERGED
    pair = [
        claim.id
        for claim in tables.ablations[ablation].claims
        if {*claim.effect} == {with_it, without} and claim.metric == "val_loss_per_character"
    ]
    judged = claims[claims["claim"].isin(pair) & (claims["budget"] == budget)]
    if len(judged) and (judged["verdict"] == Verdict.NOT_TESTABLE).all():
        return Mark.NOT_TESTABLE
    return Mark.NONE


def removals_figure(removals: list[Removal]) -> HTML:
    """Bars with intervals and margins, each a link to the section of its ablation."""
    if not removals:
        return EMPTY
    compared = [removal for removal in removals if removal.counts]
    ends = [
        abs(end)
        for removal in compared
        for end in (removal.cost.low, removal.cost.high, removal.cost.mean, removal.margin)
        if end is not None
    ]
    least = min([0.0, *(r.cost.low or r.cost.mean for r in compared)])
    most = max([0.1, *ends])

    def x(value: float) -> float:
        return round(100 * (min(value, most) - least) / (most - least), 1)

    rows = []
    for removal in removals:
        cost = removal.cost
        low, high = cost.low, cost.high
        rows.append(
            {
                "removal": removal,
                "bar": sorted([x(0), x(cost.mean)]) if removal.counts else None,
                "range": None if low is None or high is None else (x(low), x(high)),
                "margin": None if removal.margin is None else x(removal.margin),
                "text": format_estimate(cost) if removal.counts else str(removal.mark),
            }
        )
    budgets = sorted({removal.budget for removal in removals})
    return HTML(
        render(
            "removals",
            rows=rows,
            zero=x(0),
            budgets=join_words([str(budget) for budget in budgets]),
            several=len(budgets) > 1,
        )
    )


def in_sentences(tables: Tables, removals: list[Removal]) -> str:
    """What was removed from what, and which part matters most and which least."""
    base = tables.study.base
    budget = max([removal.budget for removal in removals], default=tables.study.budgets[0])
    of_base = tables.runs[
        (tables.runs["model.family"] == base.family)
        & (tables.runs["steps"] == tables.study.profile.recipe_at(budget).steps)
    ]
    seconds = of_base["train_seconds"].median() if len(of_base) else float("nan")
    trained = f" in about {format_duration(seconds)}" if seconds >= 1 else ""
    text = (
        f"The base network is a transformer of {base.n_layers} layers and {parameter_count(base):,}"
        f" parameters that predicts the next {tables.study.token} of the corpus"
        f" {tables.study.corpus_name}. In each comparison one part is removed or replaced, and the"
        f" network is trained again, on up to {tokens_at(tables, budget):,} {tables.study.token}s"
        f"{trained}."
    )
    compared = [removal for removal in removals if removal.counts]
    if len(compared) < 2 or all(removal.budget < budget for removal in compared):
        return text
    deepest = [removal for removal in compared if removal.budget == budget]
    most, least = deepest[0], min(deepest, key=lambda removal: abs(removal.cost.mean))
    if most.cost.mean > 0 and most is not least:
        text += (
            f" At budget {budget}, the loss rises most without {most.part}, by"
            f" {format_estimate(most.cost)} nats per character, and changes least without"
            f" {least.part}, by {format_estimate(least.cost)}."
        )
    unclear = [removal for removal in compared if removal.spans_zero]
    if unclear:
        text += (
            f" Of {plural(len(compared), 'part')} whose losses can be compared, {len(unclear)} have"
            " an interval that contains zero: the data do not show that the loss rises or falls,"
            " though they may show that it changes little."
        )
    return text


def costs_by_part(tables: Tables, removals: list[Removal]) -> dict[str, float]:
    """The largest cost of removing each part of the model diagram, in nats per character."""
    costs: dict[str, float] = {}
    for removal in removals:
        variants = {
            variant.name: variant for variant in tables.ablations[removal.ablation].variants
        }
        arms = [
            variants[name] for name in tables.ablations[removal.ablation].removals[removal.part]
        ]
        part = part_of_pair(tables, *arms)
        if removal.counts:
            costs[part] = max(removal.cost.mean, costs.get(part, 0.0))
    return costs
