"""Parts of the page: summary, diagram, figures and encodings."""

import dataclasses
import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from building import judged_study
from planted import ODD_NAME

from experiments.ablation import Variant
from experiments.catalogue import load_ablations
from experiments.identity import code_fingerprint
from experiments.planning.plan import FIRST_SEED
from experiments.records.collect import write_table
from experiments.theory import encodings as encoding_values
from model import ModelConfig
from report.figures import forest as forests
from report.figures import training_curves
from report.figures.heads import scores, viewer
from report.figures.learning_rates import schedules
from report.figures.model_diagram import NETWORK, NONE, PART_OF, parts_of, picture
from report.figures.positions import encodings
from report.page.cards import cards
from report.page.claims import claims_of, with_texts
from report.page.provenance import citation, facts, failures, ledger, mixed_machines
from report.page.summary import opening, study_facts, tiles
from report.page.variant_tables import changes_table, metrics_table
from report.page.verdict_map import verdict_map
from report.study.tables import Tables

ALL_ABLATIONS = load_ablations()  # before any test plants others


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tables:
    """A variant that is half a nat worse, in five seeds."""
    return judged_study(tmp_path / "cpu", monkeypatch, [0.5, 0.52, 0.48, 0.51, 0.49])


def test_the_opening_counts_verdicts_in_tiles(tables: Tables):
    claims = claims_of(tables.results)
    shown = opening(tables, claims).data
    assert "Of 4 claims: 2 supported and 2 reversed." in shown
    counts = {words: n for words, n, _ in tiles(claims)}
    assert list(counts.values()) == [2, 0, 2, 0]
    assert "<b>2</b> supported</a>" in shown
    facts = study_facts(tables).data
    assert "5 complete of 5 planned" in facts
    added = dataclasses.replace(tables.study, looks=2, added={"planted": {"1": 8}})
    again = study_facts(dataclasses.replace(tables, study=added)).data
    assert "5 complete of 5 planned, look 2; 8 for 1 claim" in again
    assert "not complete" not in shown
    assert "<script>" not in shown


def test_the_table_of_verdicts_says_the_look_from_the_second_on(tables: Tables):
    claims = claims_of(tables.results)
    assert {row["n_text"] for row in with_texts(claims)} == {"5/5"}
    assert {row["n_text"] for row in with_texts(claims.assign(look=2.0))} == {"5/5, look 2"}


def test_summary_says_how_many_sampled_runs_the_present_code_repeats(tables: Tables):
    claims, code = claims_of(tables.results), code_fingerprint()
    assert "repeat bit for bit" not in opening(tables, claims).data
    rows = [(True, code, True), (True, code, False), (False, code, True), (True, "another", None)]
    sampled = pd.DataFrame(rows, columns=["same", "code", "same_machine"])
    repeated = "2 of 3 sampled runs repeat bit for bit with the present code."
    shown = opening(dataclasses.replace(tables, verified=sampled), claims).data
    assert repeated in shown
    far = pd.concat([sampled, sampled.iloc[[2]].assign(same_machine=False)])
    shown = opening(dataclasses.replace(tables, verified=far), claims).data
    assert (
        "2 of 4 sampled runs repeat bit for bit with the present code; 1 from another machine, or"
        " from other versions, does not." in shown
    )
    older = tables.runs.assign(code="another")
    outdated = dataclasses.replace(tables, runs=older)
    assert "<code>make verify</code> trains" in opening(outdated, claims).data
    shown = opening(dataclasses.replace(outdated, verified=sampled), claims).data
    text = "16 runs were made with an earlier version of the model or training code"
    assert f"{text}: {repeated}" in shown
    elsewhere = dataclasses.replace(outdated, verified=sampled[sampled["code"] != code])
    assert "<code>make verify</code> trains" in opening(elsewhere, claims).data


def test_facts_count_damaged_seals(tables: Tables):
    assert "damaged seals" not in facts(tables).data
    rows = [{"ablation": "planted", "claim": "planted", "intact": True}, {"intact": False}]
    seals = pd.DataFrame(rows, columns=tables.seals.columns)
    shown = facts(dataclasses.replace(tables, seals=seals)).data
    assert "<td>1 line of seals.jsonl</td>" in shown


def test_facts_divide_the_time_of_runs_by_kind_and_name_what_the_runs_recorded(tables: Tables):
    runs = tables.runs.assign(wall_seconds=100.0, train_seconds=60.0, compile_seconds=0.0)
    runs = runs.assign(evaluation_seconds=20.0, probe_seconds=12.0, checkpoint_seconds=1.0)
    runs["recipe.eval_every"] = 7  # not what the profile says now
    shown = facts(Tables(**vars(tables) | {"runs": runs})).data
    # Ten runs that are compared, and three trials of each arm.
    assert "run time, train</th><td>16 min" in shown
    assert "run time, starts and files</th><td>1 min 52 s" in shown
    assert "share outside training and probes</th><td>28 %" in shown
    assert "eval_every=7" in shown


def test_every_part_of_the_page_works_with_one_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    tables = judged_study(tmp_path / "cpu", monkeypatch, [0.5])
    claims = claims_of(tables.results)
    assert "Of 4 claims: 1 supported and 3 undecided." in opening(tables, claims).data
    shown = cards(tables, claims).data
    assert "an interval needs at least two" in shown
    assert "1/1" in shown
    assert "0.500" in forests.forest(tables, "planted").data
    assert "no interval" in training_curves.learning_curves(tables, "planted").data
    assert "±" not in metrics_table(tables, "planted").data.partition("Mean ±")[0]


def test_parts_say_that_no_run_has_finished(tables: Tables):
    lost = dataclasses.replace(tables, members=tables.members.assign(status="failed"))
    assert "No run has finished yet." in training_curves.learning_curves(lost, "planted").data
    assert "No variant can be compared with its baseline" in forests.forest(lost, "planted").data
    assert training_curves.difference_curves(lost, "planted").data == ""
    assert "5 failed" in metrics_table(lost, "planted").data


def test_claims_link_only_to_sections_of_the_page(tables: Tables):
    claims, none = claims_of(tables.results), pd.DataFrame(columns=["claim", "budget", "verdict"])
    shown = verdict_map(tables, claims, none).data
    assert shown.count('<a href="#claim-') == 4
    elsewhere = dataclasses.replace(tables, members=tables.members.assign(status="missing"))
    shown = verdict_map(elsewhere, claims, none).data
    assert "It makes no difference." in shown
    assert "#claim-" not in shown


def test_atlas_names_its_networks_tokens_and_seed(tables: Tables):
    assert (
        "Attention weights of every head of “base” and “odd &lt;script&gt;" in viewer(tables).data
    )
    pairs = dataclasses.replace(tables.study, tokenizer="bpe")
    shown = viewer(dataclasses.replace(tables, study=pairs)).data
    assert "Point at a byte pair" in shown
    assert "haracter" not in shown
    assert f"Networks of seed {FIRST_SEED}." in scores(tables).data


def test_changes_table_lists_changed_fields(tables: Tables):
    shown = changes_table(tables, "planted").data
    assert "none (the base)" in shown
    assert "<td>model.position = none</td>" in shown


def test_every_model_field_belongs_to_a_part_of_the_diagram():
    fields = {f"model.{field.name}" for field in dataclasses.fields(ModelConfig)}
    assert fields == {field for field in PART_OF if field.startswith("model.")}


@pytest.mark.parametrize(
    ("ablation", "parts"),
    [
        ("positional-encoding", ["positions"]),
        ("heads", ["attention"]),
        ("activation", ["feed-forward"]),
        ("norm-kind", ["norm"]),
        ("residual-norm", ["norm", "residual path"]),
        ("schedule", ["training"]),
        ("lstm-baseline", [NETWORK]),
        ("sorting", [NETWORK, "task"]),
        ("tying", ["output"]),
    ],
)
def test_diagram_puts_an_ablation_beside_the_parts_it_changes(tables: Tables, ablation, parts):
    changed_parts = parts_of(ALL_ABLATIONS[ablation], tables)
    assert [part for part in changed_parts if part in parts] == parts
    if NETWORK not in parts:
        assert changed_parts == parts


def test_diagram_names_each_ablation_and_darkens_what_costs_more(tables: Tables):
    shown = picture(tables, {"positions": 0.5, "norm": -1.0, "attention": 1.0}).data
    assert shown.count(">planted</span>") == 1
    heats = {name: heat for heat, name in re.findall(r'--heat:(\d+)%">([a-z-]+)', shown)}
    assert (heats["positions"], heats["causal"], heats["layernorm"]) == ("20", "40", "0")
    nothing = dataclasses.replace(
        ALL_ABLATIONS["induction"], baseline="base", variants=[Variant("base")], claims=[]
    )
    assert parts_of(nothing, tables) == [NONE]


def test_encoding_values_equal_the_formulas_of_the_papers():
    rows = encoding_values.rows()
    value = {(row["encoding"], row["part"], row["place"]): row["value"] for row in rows}
    assert len(value) == len(rows) == 64 * 64 + 64 + 4 * 64
    for place in (0, 1, 63):
        # Vaswani 2017, section 3.5, dimensions 6 and 7 of 64
        angle = place / 10000 ** (6 / 64)
        assert value["sinusoidal", 6, place] == pytest.approx(math.sin(angle), abs=1e-5)
        assert value["sinusoidal", 7, place] == pytest.approx(math.cos(angle), abs=1e-5)
        # Su 2021: a pair turned by an angle keeps its cosine
        turned = np.mean([math.cos(place / 10000 ** (i / 8)) for i in range(8)])
        assert value["rope", 0, place] == pytest.approx(turned, abs=1e-5)
        # Press 2022: slopes of four heads
        for head, slope in enumerate((1 / 4, 1 / 16, 1 / 64, 1 / 256)):
            assert value["alibi", head, place] == pytest.approx(-slope * place)


def test_encodings_are_drawn_where_several_are_compared(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
):
    write_table(tables.results, "encodings", encoding_values.rows())
    assert encodings(tables, "planted").data == ""
    several = ALL_ABLATIONS["positional-encoding"]
    mine = Variant("mine", {"model.position": "experiments.ablations.some:of_mine"})
    several = dataclasses.replace(several, variants=[*several.variants, mine])
    monkeypatch.setitem(tables.ablations, "planted", several)
    shown = encodings(tables, "planted").data
    assert "alibi: −15.750, −3.938, −0.984, −0.246 by head" in shown
    assert (
        "Not drawn, because there is nothing to compute in advance: none, learned and mine."
        in shown
    )


def test_schedules_figure_is_drawn_where_schedules_differ(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
):
    assert schedules(tables, "planted").data == ""
    moved = Variant(ODD_NAME, {"recipe.schedule": "constant"})
    stated = dataclasses.replace(tables.ablations["planted"], variants=[Variant("base"), moved])
    monkeypatch.setitem(tables.ablations, "planted", stated)
    curves = tables.curves.assign(learning_rate=1e-3, split="train")
    shown = schedules(dataclasses.replace(tables, curves=curves), "planted").data
    assert "base ends at 0.001; odd" in shown


def test_schedules_figure_keeps_the_end_of_the_warm_up_and_of_the_training(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
):
    moved = Variant(ODD_NAME, {"recipe.schedule": "constant"})
    stated = dataclasses.replace(tables.ablations["planted"], variants=[Variant("base"), moved])
    monkeypatch.setitem(tables.ablations, "planted", stated)
    row = tables.curves.iloc[[0]].assign(split="train")
    rates = [1e-5 * (step if step <= 333 else 333 - (step - 333) / 10) for step in range(1, 1001)]
    curves = pd.concat([row] * 1000, ignore_index=True).assign(
        step=range(1, 1001), learning_rate=rates
    )
    shown = schedules(dataclasses.replace(tables, curves=curves), "planted").data
    data = re.search(r"<pre>(.*?)</pre>", shown, re.DOTALL).group(1).strip().splitlines()
    assert len(data) < 60
    assert [line for line in data if ",333,0.00333," in line]
    assert ",1000," in data[-1]


def test_variants_from_another_machine_than_their_baseline_are_named(tables: Tables):
    members = tables.members.assign(hardware="one")
    assert mixed_machines(dataclasses.replace(tables, members=members), "planted").data == ""
    members["hardware"] = members["hardware"].where(members["variant"] == "base", "two")
    shown = mixed_machines(dataclasses.replace(tables, members=members), "planted").data
    assert "base from one; odd &lt;script&gt;" in shown
    assert "from two. Rounding differs" in shown
    other_seeds = members.assign(seed=members["seed"] + 10 * (members["variant"] == "base"))
    shown = mixed_machines(dataclasses.replace(tables, members=other_seeds), "planted").data
    assert shown == ""  # no pair has two machines


def test_ledger_and_citation_include_every_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    tables = judged_study(tmp_path / "cpu", monkeypatch, [0.5, "failed", None, "diverged"])
    shown = ledger(tables).data
    (csv,) = re.findall(r'<pre class="rows"[^>]*>(.*?)</pre>', shown, re.DOTALL)
    assert len(csv.strip().splitlines()) == 1 + 7 + 6  # and the trials
    assert shown.index("failed") < shown.index("diverged") < shown.index("done")
    assert "because &lt;i&gt;planted&lt;/i&gt;" in shown
    text = failures(tables).data
    assert (
        "1 run failed and 1 run diverged. 1 planned run missing, counted once per ablation:" in text
    )
    assert "13 runs" in citation(tables).data
    assert "0" * 64 in citation(tables).data
