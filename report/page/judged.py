"""Page for claims about anybody's runs: verdicts, the runs behind them, and how they are judged."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from markupsafe import Markup

from experiments.claim import Claim
from experiments.errors import printable
from report.figures.charts import (
    Colours,
    chart_of,
    draw_lines,
    legend_beside,
    line_data,
    palette,
    show,
)
from report.html import details, paragraph, render, table
from report.page.cards import answer, claim_cards
from report.page.claims import verdict_summary, wrong_decisions
from report.page.verdict_map import map_of_runs
from report.svg import set_tip
from report.verdicts.stats import LEVEL, estimate
from report.verdicts.text import format_estimate, join_words, plural

_MOST_VARIANTS = 12  # of a figure; more colours cannot be told apart
_MOST_SEEDS = 20  # that are named


def judged_page(
    verdicts: pd.DataFrame,
    runs: pd.DataFrame,
    claims: Sequence[Claim],
    facts: Mapping[str, str],
    notes: Sequence[str] = (),
) -> str:
    """The page as HTML.

    Args:
        verdicts: what `report.verdicts.judge` returned.
        runs: the runs that it judged.
        claims: the claims that it judged.
        facts: names and values of the table at the end of the page, such as the files' checksums.
        notes: sentences on what the verdicts take for granted.
    """
    stated = {claim.id: claim for claim in claims}
    # columns that the verdicts on a study have besides
    rows = verdicts.assign(
        ablation="",
        planned=verdicts["n"],
        sealed="not sealed here",
        restated=[stated[each].restated for each in verdicts["claim"]],
    )
    several = verdicts["budget"].nunique() > 1
    verdict_parts = [
        paragraph(f"{verdict_summary(verdicts)}. {wrong_decisions(verdicts)}"),
        *map(paragraph, notes),
        answer(rows, stated).data,
        map_of_runs(rows, stated).data if several else "",
        claim_cards(rows, several=several, stated=stated).data,
        render("glossary", level=LEVEL, study=False),
    ]
    metrics = list(dict.fromkeys(claim.metric for claim in claims))
    sections = [
        _section("findings", "Verdicts", verdict_parts),
        *(
            _section(f"metric-{i}", metric, _of_metric(runs, metric, claims))
            for i, metric in enumerate(metrics)
        ),
        _section("method", "How it was judged", [_facts(verdicts, runs, facts)]),
    ]
    chapters = [{"heading": each["heading"], "sections": [each]} for each in sections]
    title = f"Verdicts on {facts['runs']}"
    return str(render("page", title=title, groups=[{"heading": "", "chapters": chapters}]))


def _section(anchor: str, heading: str, parts: Sequence[Markup | str]) -> dict[str, Any]:
    body = Markup("").join(Markup(part) for part in parts)
    empty = dict.fromkeys(["lead", "limits", "folded", "error", "notebook"], "")
    return {"anchor": anchor, "heading": heading, "body": body, **empty}


def _of_metric(runs: pd.DataFrame, metric: str, claims: Sequence[Claim]) -> list[Markup | str]:
    """The figures and the table of a metric, at each budget, for the variants of its claims."""
    arms = {arm for claim in claims if claim.metric == metric for arm in claim.effect}
    runs = runs[runs["variant"].astype(str).isin(arms)]
    variants = runs["variant"].astype(str).map(printable)
    runs = runs.assign(variant=variants, value=runs[metric].astype(float))
    names = list(dict.fromkeys(runs["variant"]))
    parts: list[Markup | str] = []
    budgets = sorted({*runs["budget"]}) if "budget" in runs else [None]
    for budget in budgets:
        at_budget = runs if budget is None else runs[runs["budget"] == budget]
        place = "" if budget is None else f" at budget {budget:g}"
        last = _last(at_budget)
        colours = palette(names) if len(names) <= _MOST_VARIANTS else {}
        parts += [_values(last, names, metric, place)]
        if "step" in at_budget and colours and _has_curves(at_budget):
            parts += [_curves(at_budget, colours, metric, place)]
        parts += [details(f"Table of {metric}{place}", _means(last, names, metric))]
    return parts


def _last(runs: pd.DataFrame) -> pd.DataFrame:
    """The last row of each run that has a value."""
    rows = runs.dropna(subset=["value"])
    if "step" in rows:
        rows = rows.sort_values("step", kind="stable").groupby(["variant", "seed"]).tail(1)
    return rows


def _values(rows: pd.DataFrame, names: Sequence[str], metric: str, place: str) -> Markup | str:
    """The final value of each run as a dot, with the mean of each variant and its interval."""
    figure, axes = plt.subplots(figsize=(6.2, 0.8 + 0.3 * len(names)), layout="constrained")
    texts = []
    for y, name in enumerate(names):
        values = list(rows.loc[rows["variant"] == name, "value"])
        if not values:
            continue
        mean = estimate(values)
        axes.plot(values, [y] * mean.n, "o", color="C0", alpha=0.35, markersize=4)
        if mean.low is not None and mean.high is not None:
            axes.plot([mean.low, mean.high], [y, y], color="C1", linewidth=2)
        axes.plot(mean.mean, y, "o", color="C1", markersize=5)
        texts.append(f"{name} {format_estimate(mean)}")
        whole_row = axes.axhspan(y - 0.5, y + 0.5, alpha=0, linewidth=0)
        set_tip(whole_row, f"{texts[-1]}, n = {mean.n}")
    axes.set_yticks(range(len(names)), names, parse_math=False)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(metric, parse_math=False)
    return str(
        show(
            figure,
            alt=f"Final {metric}{place}: {'; '.join(texts)}.",
            caption=f"Final {metric}{place}: each run, the mean of each variant and its 95 %"
            " interval.",
            data=rows[["variant", "seed", "value"]],
            quiet=True,
        ).data
    )


def _curves(runs: pd.DataFrame, colours: Colours, metric: str, place: str) -> Markup | str:
    """The metric over the steps of the training: the mean of each variant and its interval."""
    points = line_data(runs.dropna(subset=["value"]), colours, ["step"], "value")
    figure, axes = plt.subplots(figsize=(7.5, 3.8))
    draw_lines(axes, points, colours, x="step", y="value")
    axes.set_ylabel(metric, parse_math=False)
    legend_beside(axes)
    return str(
        show(
            figure,
            alt=f"{metric} over training{place} of {join_words([*colours])}.",
            caption=f"{metric} over training{place}: mean and 95 % interval over seeds.",
            data=points,
            chart=chart_of(colours, ["step"], "value", metric),
        ).data
    )


def _means(rows: pd.DataFrame, names: Sequence[str], metric: str) -> Markup:
    """The mean of each variant, its interval and its number of seeds."""
    cells = []
    for name in names:
        values = list(rows.loc[rows["variant"] == name, "value"])
        mean = format_estimate(estimate(values)) if values else "–"
        cells.append((name, mean, len(values)))
    note = "Mean ± half the width of the 95 % interval over seeds."
    return table(("variant", metric, "seeds"), cells, note)


def _facts(verdicts: pd.DataFrame, runs: pd.DataFrame, facts: Mapping[str, str]) -> Markup:
    """The table of facts: files with their checksums, runs, variants, seeds and the comparison."""
    pairs = {True: "differences within each seed", False: "differences of means, Welch's interval"}
    found = [words for paired, words in pairs.items() if (verdicts["paired"] == paired).any()]
    places = [name for name in ("variant", "seed", "budget") if name in runs]
    counted = f"{len(runs[places].drop_duplicates()):,}"
    rows = [
        *facts.items(),
        ("number of runs", counted),
        ("variants", plural(runs["variant"].astype(str).nunique(), "variant")),
        ("seeds", _named(sorted({*runs["seed"].astype(str)}, key=_in_order))),
        ("compared by", join_words(found) or "nothing could be compared"),
    ]
    return table(("fact", "value"), rows)


def _has_curves(runs: pd.DataFrame) -> bool:
    """True if a run has rows at several steps, so that there is a curve to draw."""
    return bool(runs.groupby(["variant", "seed"])["step"].nunique().max() > 1)


def _in_order(seed: str) -> tuple[bool, int, str]:
    """Numbers by their value, and then other texts."""
    return not seed.isdecimal(), int(seed) if seed.isdecimal() else 0, seed


def _named(seeds: Sequence[str]) -> str:
    more = [f"{len(seeds) - _MOST_SEEDS} more"] if len(seeds) > _MOST_SEEDS else []
    return join_words([*seeds[:_MOST_SEEDS], *more])
