"""The page of `judge`: every claim, figures of every metric, and nothing that is only ours."""

import dataclasses
import re

import pandas as pd

from experiments.claim import Claim
from report.page.judged import judged_page
from report.verdicts.run_gates import Beats
from report.verdicts.runs import judge

ODD = '<b>wide</b> & "odd"'
FACTS = {"runs": "runs.csv", "claims": "claims.py"}
CLAIM = Claim(
    id="wide",
    sentence="Wide <i>wins</i>.",
    said_by="us",
    metric="val_loss",
    effect={"base": 1, ODD: -1},
    margin=0.02,
    why_margin="a test",
    requires=[Beats("base", "bigram", by=0.1)],
)


def runs(budgets: int = 1, steps: int = 1) -> pd.DataFrame:
    """Six seeds. The odd variant is a tenth below the base, and two tenths at budget 2."""
    rows = [
        {"variant": variant, "seed": seed, "budget": budget, "step": step}
        | {"val_loss": 2 - 0.1 * budget * (variant == ODD) + (variant == "bigram") + 0.01 * seed}
        for variant in ("base", ODD, "bigram")
        for seed in range(6)
        for budget in range(1, budgets + 1)
        for step in range(steps)
    ]
    noise = pd.Series([0.001 * (i % 7) for i in range(len(rows))])
    table = pd.DataFrame(rows)
    table["val_loss"] += noise
    unused = [*["budget"] * (budgets == 1), *["step"] * (steps == 1)]
    return table.drop(columns=unused)


def page(table: pd.DataFrame, *claims: Claim) -> str:
    return judged_page(judge(table, claims), table, claims, FACTS, ["A note."])


def test_the_page_has_a_card_for_each_claim_and_a_figure_of_each_metric():
    html = page(runs(), CLAIM)
    assert 'id="claim-wide"' in html
    assert "Wide &lt;i&gt;wins&lt;/i&gt;: yes, 0.09" in html
    assert "Final val_loss: each run" in html
    assert "<p>A note.</p>" in html
    assert 'class="map"' not in html
    assert "over training" not in html


def test_budgets_have_a_map_and_steps_have_curves():
    html = page(runs(budgets=2, steps=3), CLAIM)
    assert 'class="map"' in html
    assert "Trend over budgets: growing" in html
    assert len(re.findall("val_loss over training at budget .: mean and 95 %", html)) >= 2


def test_names_from_the_table_are_text_and_no_part_of_our_study_is_named():
    html = page(runs(budgets=2, steps=3), CLAIM)
    assert ODD not in html
    assert "make wide" not in html
    assert "#rerun-" not in html
    for anchor in set(re.findall(r'href="#([^"]+)"', html)):
        assert f'id="{anchor}"' in html


def test_a_claim_with_the_id_of_one_of_ours_is_shown_as_the_reader_states_it():
    equal = Claim(
        id="norm",  # ours is not one of equality
        sentence="It changes nothing.",
        said_by="us",
        metric="val_loss",
        effect={"base": 1, ODD: -1},
        margin=0.02,
        why_margin="a test",
        equal=True,
    )
    assert "It changes nothing: no, 0.09" in page(runs(), equal)  # and not "no, the reverse"


def test_runs_that_cannot_be_judged_have_a_page_with_the_reason():
    table = runs()
    table.loc[3, "val_loss"] = float("nan")
    assert "base has no finite val_loss in seed 3" in page(table, CLAIM)


def test_control_characters_and_marks_of_direction_are_written_out():
    """They are not obeyed by a terminal, not hidden from a reader, and not refused by an SVG."""
    odd = "red\x1b[31m\u202e\x00"
    claim = dataclasses.replace(
        CLAIM, id="x\x07", sentence=f"It is {odd}.", effect={"base": 1, odd: -1}
    )
    table = runs(budgets=2, steps=3)
    table["variant"] = table["variant"].replace({ODD: odd})
    html = page(table, claim)
    assert not {"\x1b", "\u202e", "\x00", "\x07"} & {*html}
    assert r"It is red\x1b[31m\u202e\x00." in html


def test_budgets_need_not_be_whole_and_seeds_need_not_be_numbers():
    table = runs(budgets=2).assign(seed=lambda rows: [*map(str, rows["seed"])])
    table["budget"] = table["budget"] / 4
    table["seed"] = table["seed"].astype(object).where(table["seed"] != "3", 3)
    html = page(table, CLAIM)
    assert '<th scope="col">budget 0.25' in html
    assert '<th scope="col">budget 0.5' in html
    assert "At budget 0.25, of 1 claim: 1 supported; at budget 0.5" in html
    assert "<td>0, 1, 2, 3, 4 and 5</td>" in html


def test_final_rows_at_different_steps_are_no_curves():
    table = runs().assign(step=lambda rows: rows["seed"] * 10)
    assert "over training" not in page(table, CLAIM)
