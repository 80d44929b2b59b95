"""Budgets on the page: what a section shows, losses at every budget, and how rates were tuned."""

import pandas as pd
from IPython.display import HTML

from experiments.records.run_folder import FINISHED
from model.accounting import parameter_count
from report.html import EMPTY, join_html, paragraph, render, table
from report.study.effects import loss_column, variant_estimate
from report.study.tables import Tables, records
from report.verdicts.text import format_estimate, format_number, join_words, plural


def budget_text(tables: Tables, budget: int) -> str:
    """ "budget 4 (1,000 steps)"."""
    return f"budget {budget} ({tables.study.profile.recipe_at(budget).steps:,} steps)"


def tokens_at(tables: Tables, budget: int) -> int:
    """Tokens that the base network is trained on at a budget."""
    recipe = tables.study.profile.recipe_at(budget)
    return recipe.steps * recipe.batch_size * tables.study.base.context_length


def budget_head(tables: Tables, budget: int) -> tuple[str, str]:
    """ "budget 4" and "1.02 M characters, 4.9 per parameter", for the base network."""
    tokens = tokens_at(tables, budget)
    share = tokens / parameter_count(tables.study.base)
    size = f"{tokens / 1e6:,.2f} M {tables.study.token}s, {share:,.1f} per parameter"
    return f"budget {budget}", size


def progress(tables: Tables) -> list[tuple[str, str]]:
    """Name and state of each budget of the study: how many of its planned runs have a result."""
    rows = []
    for budget in tables.budgets:
        members = tables.members[tables.members["budget"] == budget]
        run_ids = members["run_id"]  # null for a run whose learning rate is not chosen yet
        members = members[~(run_ids.duplicated() & run_ids.notna())]
        over = int(members["status"].isin(FINISHED).sum())
        rows.append((budget_text(tables, budget), f"{over:,} of {len(members):,} runs compared"))
    return rows


def shown_note(tables: Tables, ablation: str) -> HTML:
    """The budget that the figures and tables of a section are about."""
    shown, budgets = tables.shown_budget(ablation), tables.budgets_of(ablation)
    if len(tables.budgets) == 1:
        return EMPTY
    words = {budget: _with_steps(tables, ablation, budget) for budget in budgets}
    text = f"Figures and tables in this section: {words.get(shown, f'budget {shown}')}."
    if others := [words[budget] for budget in budgets if budget != shown]:
        text += f" Verdicts are given for {join_words(others)} too."
    return join_html(paragraph(text))


def _with_steps(tables: Tables, ablation: str, budget: int) -> str:
    """ "budget 4 (1,000 steps)"; "budget 4" if a variant of the ablation has steps of its own."""
    variants = tables.ablations[ablation].variants
    if any(variant.match_flops or "recipe.steps" in variant.changes for variant in variants):
        return f"budget {budget}"
    return budget_text(tables, budget)


def loss_by_budget(tables: Tables, ablation: str) -> HTML:
    """Validation loss of every variant at each budget, if there are several."""
    budgets = tables.budgets_of(ablation)
    if len(budgets) < 2:
        return EMPTY
    column, unit = loss_column(tables, ablation)
    rows = []
    for variant in tables.ablations[ablation].variants:
        cells = [
            variant_estimate(tables.at(budget), ablation, variant.name, column)
            for budget in budgets
        ]
        rows.append((variant.name, *("–" if c is None else format_estimate(c) for c in cells)))
    head = ("variant", *(_with_steps(tables, ablation, budget) for budget in budgets))
    note = (
        f"Validation loss in {unit}: mean ± half the width of the 95 % interval over seeds. Each"
        " budget is a training of its own, with its own schedule and learning rate."
    )
    return HTML(table(head, rows, note))


def tuning_table(tables: Tables, ablation: str) -> HTML:
    """The chosen learning rate of each arm, and whether its trials foretold the comparison.

    The gap is the mean loss of the compared runs less that of the trials at the same rate.
    """
    trials = tables.trials(ablation)
    if trials.empty:
        return EMPTY
    rows = []
    for variant, sweep in trials.groupby("variant", sort=False):
        chosen = sweep[sweep["chosen"].astype(bool)]
        if chosen.empty:
            rows.append((variant, "not chosen yet", "–", *_counts(sweep), "–"))
            continue
        gap = _gap(tables, ablation, str(variant), chosen)
        first = records(chosen)[0]
        how = first["method"] + (", no rate is reliable" if first["refused"] else "")
        rate = f"{first['learning_rate']:g}"
        rows.append((variant, rate, how, *_counts(sweep), format_number(gap)))
    head = ("arm", "learning rate", "how", "rates tried", "rates refused", "trials", "gap")
    note = (
        "Tuned: the rate of the variant's file, half and twice this rate with one seed, further"
        " rates while the best is at an edge, and the best two with three seeds. At a deeper budget"
        " the rate chosen at the budget before takes the place of the file's, and no rate above"
        " twice that one is tried. Checked: half and"
        " twice the rate were not better by more than the claims' margin. Refused: a trial failed,"
        " or two of three at the next rate up. Gap: loss of the comparison less loss of the trials"
        " at the chosen rate, which have other seeds."
    )
    return HTML(table(head, rows, note))


def tuning_gaps(tables: Tables, ablation: str) -> HTML:
    """The arms whose comparison ended further from their trials than the margin; empty if none."""
    margin, wide = least_margin(tables, ablation), []
    for variant, sweep in tables.trials(ablation).groupby("variant", sort=False):
        chosen = sweep[sweep["chosen"].astype(bool)]
        gap = None if chosen.empty else _gap(tables, ablation, str(variant), chosen)
        if gap is not None and abs(gap) > margin:
            side = "above" if gap > 0 else "below"
            wide.append(f"{variant} ({format_number(abs(gap))} {side})")
    if not wide:
        return EMPTY
    return HTML(render("tuning_gaps", arms=join_words(wide), margin=f"{margin:g}"))


def _gap(tables: Tables, ablation: str, variant: str, chosen: pd.DataFrame) -> float | None:
    """Mean loss of an arm's compared runs less that of the trials at the chosen rate."""
    column = loss_column(tables, ablation).name
    compared = variant_estimate(tables, ablation, variant, column)
    return None if compared is None else compared.mean - float(chosen[column].mean())


def gaps_within_margin(tables: Tables) -> str:
    """Number of arms whose comparison ends within the margin of their trials, by budget."""
    texts = []
    for budget in tables.budgets:
        gaps = [
            abs(gap) <= least_margin(tables, ablation)
            for ablation in tables.present()
            for variant, sweep in tables.at(budget).trials(ablation).groupby("variant")
            for chosen in [sweep[sweep["chosen"].astype(bool)]]
            if len(chosen)
            for gap in [_gap(tables.at(budget), ablation, str(variant), chosen)]
            if gap is not None
        ]
        if gaps:
            texts.append(f"{sum(gaps)} of {plural(len(gaps), 'arm')} at budget {budget}")
    return join_words(texts) or "–"


def least_margin(tables: Tables, ablation: str) -> float:
    """The least margin in nats of an ablation's claims about loss, or two hundredths of a nat."""
    margins = [claim.margin_in_nats for claim in tables.ablations[ablation].claims]
    return min((margin for margin in margins if margin is not None), default=0.02)


def tuning_share(tables: Tables) -> str:
    """Time of the trials as a share of the time of all runs."""
    seconds = tables.runs["wall_seconds"].fillna(0)
    total = float(seconds.sum())
    if not total:
        return "–"
    trials = tables.runs["tuning"].fillna(False).astype(bool)
    n = plural(int(trials.sum()), "trial")
    return f"{n}, {100 * float(seconds[trials].sum()) / total:.0f} % of the time of all runs"


def _counts(sweep: pd.DataFrame) -> tuple[int, int, int]:
    """Numbers of rates tried, rates refused, and trials."""
    refused = sweep.loc[sweep["refused"].astype(bool), "rate"].nunique()
    return sweep["rate"].nunique(), refused, len(sweep)
