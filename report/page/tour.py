"""Tour of the findings: the clearest decided claim of each group, with its effect over budgets."""

import math
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import HTML

from experiments.ablation import GROUPS
from report.figures.charts import show
from report.html import EMPTY, render
from report.page.claims import with_texts
from report.study.tables import Tables
from report.svg import INK, LINE, set_tip
from report.verdicts.outcomes import DECIDED, Verdict

_SENTENCES = {
    Verdict.SUPPORTED: "The data support this",
    Verdict.NEGLIGIBLE: "The effect is smaller than the margin",
    Verdict.REVERSED: "The data say the reverse",
}
_REFUTED = "The data contradict this"


def tour(tables: Tables, claims: pd.DataFrame) -> HTML:
    """One finding for each group of ablations that has one.

    Args:
        tables: the tables of the study.
        claims: the table "claims".
    """
    stops = [
        {
            "row": row,
            "group": GROUPS[group],
            "words": _REFUTED if row["claims_equality"] and refuted else _SENTENCES[row["verdict"]],
            "before": before,
            "figure": _over_budgets(row, rows).data,
        }
        for group in GROUPS
        if (row := clearest(tables, claims, group))
        for refuted in [row["verdict"] == Verdict.REVERSED]
        for rows in [_rows_of(claims, row["claim"])]
        for before in [[other for other in rows if other["budget"] != row["budget"]]]
    ]
    return HTML(render("tour", stops=stops)) if stops else EMPTY


def clearest(tables: Tables, claims: pd.DataFrame, group: str) -> dict[str, Any] | None:
    """The claim of a group whose effect in nats is the most beyond its margin at the deepest budget
    at which one is decided; None without a decided claim. Where no difference is beyond its margin,
    it is the claim that is the most clearly without one. Fragile verdicts, and losses of networks
    that see what they predict, are left out.
    """
    names = [name for name, each in tables.ablations.items() if each.group == group]
    peeking = [
        claim.id
        for name in names
        for claim in tables.ablations[name].claims
        if {*claim.effect} & {*tables.ablations[name].peeking}
    ]
    rows = claims[
        claims["ablation"].isin(names)
        & claims["verdict"].isin(DECIDED)
        & ~claims["fragile"].fillna(False).astype(bool)
        & claims["unit"].eq("nats per character")
        & ~claims["claim"].isin(peeking)
    ]
    if rows.empty:
        return None
    rows = rows[rows["budget"] == rows["budget"].max()]
    said = {claim.id: claim for name in names for claim in tables.ablations[name].claims}
    differs = rows["claim"].map(lambda name: not (said[name].equal or said[name].no_worse))
    differs &= rows["verdict"] != Verdict.NEGLIGIBLE
    rows = rows[differs == differs.max()]
    ratios = rows["effect"].abs() / rows["margin"]
    beyond = ratios.map(lambda ratio: max(ratio, 1 / ratio) if ratio else math.inf)
    return with_texts(rows.loc[[beyond.idxmax()]])[0]


def _rows_of(claims: pd.DataFrame, claim: str) -> list[dict[str, Any]]:
    rows = claims[(claims["claim"] == claim) & claims["effect"].notna()]
    return with_texts(rows.sort_values("budget"))


def _over_budgets(row: dict[str, Any], rows: list[dict[str, Any]]) -> HTML:
    """The effect of a claim at each budget, with its interval and its margin."""
    figure, axes = plt.subplots(figsize=(3.4, 1.5))
    axes.axhspan(-row["margin"], row["margin"], color=LINE, alpha=0.6, linewidth=0)
    axes.axhline(0, color=INK, linewidth=0.8)
    for place, each in enumerate(rows):
        if each["low"] is not None:
            axes.plot([place, place], [each["low"], each["high"]], color="C0", linewidth=2)
        axes.plot(place, each["effect"], "o", color="C0", markersize=5)
        whole_column = axes.axvspan(place - 0.5, place + 0.5, alpha=0, linewidth=0)
        set_tip(whole_column, f"budget {each['budget_text']}: {each['measured']}")
    axes.set_xticks(range(len(rows)), [f"budget {each['budget_text']}" for each in rows])
    axes.set_xlim(-0.6, len(rows) - 0.4)
    axes.set_ylabel("nats per character")
    texts = "; ".join(f"budget {each['budget_text']}: {each['measured']}" for each in rows)
    return show(figure, alt=f"Effect at each budget. {texts}.", caption="")
