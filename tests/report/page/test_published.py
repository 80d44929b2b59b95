"""The comparison of a study with the published results of its profile."""

from pathlib import Path

import pytest
from building import judged_study

from experiments.records.collect import write_table
from report.page.claims import claims_of
from report.page.published import IDENTICAL, OUTSIDE, WITHIN, against_reference, compare_means
from report.study.tables import records
from report.verdicts.stats import Estimate

EFFECTS = [0.5, 0.52, 0.48, 0.51, 0.49]
NONE = [0.01, -0.01, 0.02, -0.02, 0.0]


def test_study_is_compared_with_the_published_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    tables = judged_study(tmp_path / "cpu", monkeypatch, EFFECTS)
    assert "There are no published results" in against_reference(tables).data
    folder = tables.results.parent / "reference" / "cpu"
    judged_study(folder, monkeypatch, EFFECTS)
    same = against_reference(tables).data
    assert "Of 2 variants, 0 differ by more than seed noise." in same
    assert "Of 4 verdicts, 0 about timings and 0 about other metrics changed." in same
    assert same.count(f"<td>{IDENTICAL}</td>") == 2
    judged_study(folder, monkeypatch, [1.9, 1.92, 1.88, 1.91, 1.89])
    other = against_reference(tables).data
    assert other.count(f"<td>{OUTSIDE}</td>") == 1
    assert other.count(f"<td>{IDENTICAL}</td>") == 1
    turned = claims_of(folder).replace({"verdict": {"supported": "undecided"}})
    write_table(folder, "claims", records(turned))
    ours = claims_of(tables.results).set_index("claim")["verdict"]
    assert ours["planted"] == ours["planted-speed"] == "supported"
    about_time = against_reference(tables).data
    assert "Of 4 verdicts, 1 about timings and 1 about other metrics changed." in about_time


def test_two_means_are_compared_by_both_intervals():
    one = Estimate(1.0, 0.7, 1.3, 3)
    assert compare_means(one, one) == IDENTICAL
    assert compare_means(one, Estimate(1.49, 1.09, 1.89, 3)) == WITHIN  # within 0.5
    assert compare_means(one, Estimate(1.51, 1.11, 1.91, 3)) == OUTSIDE
    assert compare_means(one, Estimate(1.31, None, None, 1)) == OUTSIDE


def test_verdicts_are_compared_with_those_published_at_the_same_budget(tmp_path, monkeypatch):
    """The verdicts of three claims turn from budget 1 to 4, as they do in the published study."""
    tables = judged_study(tmp_path / "cpu", monkeypatch, EFFECTS, deeper=NONE)
    verdicts = claims_of(tables.results).dropna(subset=["budget"])
    verdicts = verdicts.pivot(index="claim", columns="budget", values="verdict")
    assert int((verdicts[1] != verdicts[4]).sum()) == 3
    judged_study(tmp_path / "reference" / "cpu", monkeypatch, EFFECTS, deeper=NONE)
    shown = against_reference(tables).data
    assert "Of 7 verdicts, 0 about timings and 0 about other metrics changed." in shown


def test_losses_are_compared_with_those_published_at_the_same_budget(tmp_path, monkeypatch):
    """The published study has a second budget, at which the variant is much worse."""
    tables = judged_study(tmp_path / "cpu", monkeypatch, NONE)
    folder = tmp_path / "reference" / "cpu"
    judged_study(folder, monkeypatch, NONE, deeper=[loss + 3 for loss in NONE])
    shown = against_reference(tables).data
    assert "Of 2 variants, 0 differ by more than seed noise." in shown
    assert shown.count(f"<td>{IDENTICAL}</td>") == 2
