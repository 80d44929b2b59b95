"""What the page says about the seal of a claim."""

import json

import pandas as pd
import pytest
from by_hand import LEARNT, ablation, claim, judged, runs_of, write_study

from experiments.ablation import Beats, Claim
from experiments.records.claim_seals import stated
from experiments.records.collect import write_table
from report.study.seals import seal_text

VARIANTS = ablation(claim()).variants


def seals(*lines: tuple[Claim, int], intact: bool = True) -> pd.DataFrame:
    """The table `seals`: what the claim was, and after how many runs it was sealed."""
    return pd.DataFrame(
        [
            {
                "ablation": "planted",
                "claim": "b-is-worse",
                "stated": json.dumps(stated(was, VARIANTS)),
            }
            | {"runs": runs, "git_revision": "abc", "sealed": "2026-01-02T03:04:05+00:00"}
            | {"intact": intact}
            for was, runs in lines
        ],
        columns=["ablation", "claim", "stated", "runs", "git_revision", "sealed", "intact"],
    )


BEFORE = "before the first run (2026-01-02, commit abc)"


@pytest.mark.parametrize(
    ("table", "text"),
    [
        (seals(), "not sealed"),
        (seals((claim(), 0)), f"sealed {BEFORE}"),
        (seals((claim(), 1)), "sealed after 1 run (2026-01-02, commit abc)"),
        (
            seals((claim(margin=0.3), 0), (claim(), 12)),
            f"sealed {BEFORE}, changed after 12 runs of the ablation: margin was 0.3 and is 0.1",
        ),
        (
            seals((claim(margin=0.3), 0)),
            f"changed since it was sealed {BEFORE}, and not run since: margin was 0.3 and is 0.1",
        ),
        (seals((claim(), 0), (claim(margin=0.3), 5), (claim(), 9)), f"sealed {BEFORE}"),
        (seals((claim(), 0), intact=False), "its seal is damaged"),
    ],
)
def test_the_text_says_when_a_claim_was_sealed_and_what_was_changed(table: pd.DataFrame, text: str):
    assert seal_text(table, "planted", claim(), VARIANTS) == text


def test_the_seals_of_other_claims_and_ablations_say_nothing():
    table = seals((claim(), 0))
    assert seal_text(table, "another", claim(), VARIANTS) == "not sealed"
    assert seal_text(table, "planted", claim(id="another"), VARIANTS) == "not sealed"


def test_a_changed_gate_is_named():
    table = seals((claim(requires=[LEARNT, Beats("a", "bigram")]), 0), (claim(), 3))
    text = seal_text(table, "planted", claim(), VARIANTS)
    gone = "Beats(arm='a', yardstick='bigram', by=0.1)"
    assert text.endswith(f"changed after 3 runs of the ablation: requires: {gone} became nothing")


def test_what_an_older_seal_does_not_hold_is_said_in_words():
    table = seals((claim(), 0))
    older = json.loads(table["stated"][0]) | {"rules": 1}
    del older["arms"]
    table["stated"] = json.dumps(older)
    text = seal_text(table, "planted", claim(), VARIANTS)
    assert "the rules of all verdicts were changed, as the log says" in text
    assert text.endswith("arms were not sealed")


def test_the_table_of_claims_says_it(tmp_path, monkeypatch):
    write_study(tmp_path, monkeypatch, ablation(claim()), runs_of({"a": [2.0], "b": [2.5]}))
    table = seals((claim(), 0)).to_dict("records")
    write_table(tmp_path, "seals", table)
    (row,) = judged(tmp_path)
    assert row["sealed"] == f"sealed {BEFORE}"
