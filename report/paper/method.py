"""The paper's sections on the question and the method, computed from the study and its claims."""

from collections import Counter

import pandas as pd

from experiments.claim import LOOKS, look_number
from experiments.gates import Beats, SeesTokens, Solves, Trains, UsesContext
from experiments.planning.tuning import TUNING_SEEDS
from experiments.records.run_folder import FINISHED
from model.accounting import parameter_count
from report.page.budgets import tokens_at, tuning_share
from report.page.claims import wrong_decisions
from report.paper.document import Items, Paragraph, Section, Table
from report.sources import papers_in
from report.study.tables import Tables
from report.verdicts.stats import LEVEL, look_level
from report.verdicts.text import format_coverage, format_number, join_words, plural

_SPLITS = {"train": "training", "val": "validation", "test": "the test"}
_GATES = {
    Beats: "that an arm beats a yardstick",
    UsesContext: "that it uses its context",
    Solves: "that it solves its task",
    SeesTokens: "that it has seen enough tokens for its size",
    Trains: "that it trains at all",
}


def question(tables: Tables, claims: pd.DataFrame) -> Section:
    """What is asked: the claims, where they come from, and the questions of the core ablations."""
    stated = claims.drop_duplicates("claim")
    named = sum(bool(papers_in(said_by)) for said_by in stated["said_by"])
    core = [tables.ablations[name] for name in tables.present() if tables.ablations[name].core]
    text = (
        "Textbooks and papers make claims about the parts of a transformer: that a part helps, that"
        " it does no harm, or that it saves time. The claims were made about different networks,"
        f" often without an interval. Here {plural(len(stated), 'claim')},"
        f" {named} of which name a paper, are judged in one setting, each by a rule that was"
        " written down before. The claims belong to"
        f" {plural(stated['ablation'].nunique(), 'ablation')}. An ablation trains"
        " networks that differ in what it asks about, and in nothing else."
    )
    parts: list[Paragraph | Items] = [Paragraph(text)]
    if core:
        parts += [
            Paragraph("The core ablations ask:"),
            Items([f"{ablation.title}. {ablation.question}" for ablation in core]),
        ]
    return Section("Question", parts)


def method(tables: Tables, claims: pd.DataFrame) -> Section:
    """How the claims are tested."""
    return Section(
        "Method",
        [
            Paragraph(_network(tables), "Base network"),
            Paragraph(_corpus(tables), "Corpus"),
            Paragraph(_budgets(), "Budgets"),
            budget_table(tables),
            Paragraph(_tuning(tables), "Learning rates"),
            Paragraph(_seeds(tables), "Paired seeds"),
            Paragraph(_gates(tables, claims), "Gates"),
            Paragraph(_outcomes(claims), "Outcomes"),
            _outcome_table(tables),
            Paragraph(_looks(claims), "Looks"),
            Paragraph(_blocks(tables), "Time"),
            Paragraph(_seals(tables), "Seals"),
        ],
    )


def _network(tables: Tables) -> str:
    base, recipe = tables.study.base, tables.study.profile.recipe
    variants = sum(len(tables.ablations[name].variants) for name in tables.present())
    return (
        f"The base network is a {base.family} of {plural(base.n_layers, 'layer')} and width"
        f" {base.d_model}, with {plural(base.n_heads, 'attention head')} a layer, feed-forward"
        f" networks of width {base.d_ff} ({base.activation}), {base.norm} ({base.norm_placement}),"
        f" positions by {base.position}, initial weights by {base.initialisation} and a context of"
        f" {plural(base.context_length, tables.study.token)}. It has {parameter_count(base):,}"
        f" parameters. It is trained with {recipe.optimizer} on batches of"
        f" {plural(recipe.batch_size, 'window')}, with a {recipe.schedule} schedule of the learning"
        f" rate, in {tables.study.precision}. The"
        f" {plural(variants, 'variant')} of {plural(len(tables.present()), 'ablation')} are"
        " differences from this base: a variant changes the fields that its ablation's file gives,"
        " and no other."
    )


def _corpus(tables: Tables) -> str:
    study = tables.study
    lengths = [f"{n:,} for {_SPLITS[split]}" for split, n in study.corpus_lengths.items()]
    return (
        f"The corpus is {study.corpus_name}, in {study.token}s, of which there are"
        f" {study.vocab_size} distinct ones: {join_words(lengths)}. A uniform guess has a loss of"
        f" {format_number(tables.uniform_loss)} nats per character, and a guess by frequency one of"
        f" {format_number(tables.unigram_loss)}. The test split is read once, at the end of the"
        " compared runs."
    )


def _budgets() -> str:
    return (
        "A budget is a multiple of the profile's steps. A run at a budget is a complete training,"
        " with its own schedule and its own learning rate, and not a part of a longer one. A claim"
        " about training has a verdict at each budget at which its arms are trained."
    )


def budget_table(tables: Tables) -> Table:
    """Steps, tokens and tokens per parameter of the base network at each budget, and the runs."""
    rows = []
    for budget in tables.budgets:
        members = tables.members[tables.members["budget"] == budget]
        members = members[members["ablation"].isin(tables.ablations)]  # without the yardsticks
        finished = members[members["status"].isin(FINISHED)]
        tokens = tokens_at(tables, budget)
        rows.append(
            (
                f"budget {budget}",
                f"{tables.study.profile.recipe_at(budget).steps:,}",
                f"{tokens:,}",
                f"{tokens / parameter_count(tables.study.base):,.1f}",
                str(members["ablation"].nunique()),
                f"{finished['run_id'].nunique():,}",
            )
        )
    head = ("budget", "steps", "tokens", "tokens per parameter", "ablations", "compared runs")
    return Table("The base network's training at each budget, and the runs compared.", head, rows)


def _tuning(tables: Tables) -> str:
    chosen = tables.tuning[tables.tuning["chosen"].fillna(False).astype(bool)]
    arms = chosen.drop_duplicates(["ablation", "variant", "budget"])
    counts = [f"{n} {method}" for method, n in arms["method"].value_counts().items()]
    return (
        "Every variant that a claim about learning weighs has its own learning rate at each budget,"
        " unless its file says otherwise. In core ablations the rate is tuned: factors of two, and"
        " further while the best is at an edge, with one seed for all rates and"
        f" {len(TUNING_SEEDS)} for the best. In other ablations it is checked: half and twice the"
        " rate are tried, and the rate is tuned if one of them is better by more than the claim's"
        f" margin. Of {plural(len(arms), 'choice')}, {join_words(counts) or 'none was made'}. The"
        f" search took {tuning_share(tables)}. No comparison uses its seeds."
    )


def _seeds(tables: Tables) -> str:
    study, compared = tables.study, tables.members["seed"]
    first = study.first_seed if compared.empty else int(compared.min())
    core = f"{plural(study.seeds, 'seed')} for core ablations"
    others = f" and {study.fewer_seeds} for the others" if study.fewer_seeds != study.seeds else ""
    return (
        "All variants of a seed see the same batches in the same order, and start from the same"
        " random state. The effect of a claim is the mean over seeds of the difference between the"
        " runs of one seed, in the direction of the claim. Where networks end in one of two ways,"
        " it is the share of seeds in which the difference is as claimed. Planned are"
        f" {core}{others}, from seed {first} on. Of the study's seeds,"
        f" {tables.complete_seeds()} are complete. A run whose loss becomes infinite has diverged."
        " It counts as a uniform guess where a claim is about the loss."
    )


def _gates(tables: Tables, claims: pd.DataFrame) -> str:
    stated = [claim for ablation in tables.ablations.values() for claim in ablation.claims]
    gated = sum(bool(claim.requires) for claim in stated)
    kinds = Counter(kind for claim in stated for kind in {type(gate) for gate in claim.requires})
    texts = [f"{text} ({kinds[kind]})" for kind, text in _GATES.items() if kinds[kind]]
    failed = int((claims["verdict"] == "not testable").sum())
    return (
        "A gate says what must be true of the networks for a comparison to mean anything. Of"
        f" {plural(len(stated), 'claim')}, {gated} require gates: {join_words(texts)}. The main"
        " yardstick is a bigram, counted on the batches that the networks are trained on. Where a"
        " gate does not hold, the claim is not testable at that budget, whatever the numbers are."
        f" Of {plural(len(claims), 'verdict')}, {failed} are “not testable”."
    )


def _outcomes(claims: pd.DataFrame) -> str:
    return (
        "The margin of a claim is the smallest effect that counts. The verdict depends on where the"
        f" whole interval of the effect lies, {format_coverage(LEVEL)} at the first look. Each"
        " outcome has one test, whose p is below the level exactly where the interval decides:"
        " Student's for means, two one-sided tests for equality, the exact binomial for claims that"
        " count seeds. The p of all claims of a budget are corrected by the procedure of Benjamini"
        " and Hochberg, and a decided claim that does not survive is fragile."
        f" {wrong_decisions(claims)}"
    )


def _outcome_table(tables: Tables) -> Table:
    """The verdict by where the interval lies, and by what is claimed."""
    stated = [claim for ablation in tables.ablations.values() for claim in ablation.claims]
    weighed = [claim for claim in stated if not claim.check]
    kinds = Counter(
        "equal" if claim.equal else "no worse" if claim.no_worse else "difference"
        for claim in weighed
    )
    head = (
        "the whole interval lies",
        f"a difference is claimed ({kinds['difference']})",
        f"none is claimed ({kinds['equal']})",
        f"“no worse” ({kinds['no worse']})",
    )
    rows = [
        ("beyond the margin, as claimed", "supported", "reversed", "supported"),
        ("within the margin", "negligible", "supported", "supported"),
        ("beyond the margin, the other way", "reversed", "reversed", "reversed"),
        ("elsewhere", "undecided", "undecided", "undecided, or supported"),
    ]
    return Table(
        "The verdict on a claim, with the number of claims of each kind. “No worse” is supported if"
        " the interval lies above the lower end of the margin.",
        head,
        rows,
    )


def _looks(claims: pd.DataFrame) -> str:
    again = claims[claims["look"].fillna(0) > 1]["claim"].nunique()
    coverages = [format_coverage(look_level(look_number(n, 1))) for n in LOOKS]
    return (
        "Seeds may be added to undecided claims, and the claims are then judged again. Each look"
        " leaves half as much outside its interval as the look before, so that all looks together"
        f" keep the level. Further looks are planned at {join_words(list(map(str, LOOKS)))} seeds,"
        f" with intervals of {join_words(coverages)}. {plural(again, 'claim')} had a second look."
    )


def _blocks(tables: Tables) -> str:
    blocks = tables.costs["block"].nunique()
    return (
        "A claim about time rests on blocks of measurements at different times, not on seeds. In a"
        " block nothing else runs, and what a claim compares is measured in mirrored order. The"
        f" study has {plural(blocks, 'block')}."
    )


def _seals(tables: Tables) -> str:
    stated = [claim.id for ablation in tables.ablations.values() for claim in ablation.claims]
    seals = tables.seals[tables.seals["claim"].isin(stated)]
    before = int((seals.drop_duplicates("claim")["runs"] == 0).sum())
    changed = int((seals.groupby("claim")["stated"].nunique() > 1).sum())
    return (
        "A claim is sealed when its ablation is first run: sentence, arms, metric, margin, gates,"
        f" and the rules of the looks, with commit and time. Of {plural(len(stated), 'claim')},"
        f" {seals['claim'].nunique()} are sealed, {before} of them before the first run of their"
        f" ablation. {changed} were sealed again with another text or other rules; the report says"
        " what was changed. A seal can be forged by whoever has the folder."
    )
