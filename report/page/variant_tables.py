"""Tables of an ablation's variants: changed fields, final metrics, and generated samples."""

import shlex
from collections.abc import Callable

import pandas as pd
from IPython.display import HTML

from experiments.catalogue import users_folder
from report.html import EMPTY, render, table
from report.study.effects import is_text, loss_column, mean_of, scored
from report.study.tables import Tables, records
from report.verdicts.stats import Estimate, scaled
from report.verdicts.text import format_estimate, join_words


def changes_table(tables: Tables, ablation: str) -> HTML:
    """Fields in which each variant differs from the base, and the learning rate chosen for it."""
    trials = tables.trials(ablation)
    chosen = trials[trials["chosen"].astype(bool)]
    tuned_rates = {row["variant"]: f"{row['learning_rate']:g}" for row in records(chosen)}
    rows = []
    for variant in tables.ablations[ablation].variants:
        changes = [
            f"{field} = {value:g}" if isinstance(value, float) else f"{field} = {value}"
            for field, value in tables.differing(variant).items()
            if not (variant.tuned_for and field == "recipe.learning_rate")
        ]
        changes = changes or ["none (the base)"]
        if variant.tuned_for:
            rate = tuned_rates.get(variant.tuned_for, "not chosen yet")
            owner = "" if variant.tuned_for == variant.name else f", that of {variant.tuned_for}"
            changes.append(f"recipe.learning_rate = {rate}{owner}")
        rows.append((variant.name, ", ".join(changes)))
    return HTML(table(("variant", "changes from the base"), rows))


def rerun(tables: Tables, ablation: str) -> HTML:
    """The command that trains an ablation again at its budgets, with the same corpus, precision and
    seeds, into a folder of its own. Seeds that were added to single claims are not in it.
    """
    study, budgets = tables.study, tables.budgets_of(ablation)
    parts = {
        "PROFILE": study.profile_name,
        "CORPUS": study.corpus_name,
        "PRECISION": study.precision,
        "BUDGETS": ",".join(map(str, budgets)),
        "SEEDS": str(study.seed_counts.of_ablation(tables.ablations[ablation], budgets[0])),
        "FIRST_SEED": str(study.first_seed),
        "RESULTS": "results/again",
    }
    if study.tokenizer == "bpe":
        parts |= {"TOKENIZER": "bpe", "VOCAB_SIZE": str(study.vocab_size)}
    if study.compiled:
        parts["COMPILE"] = "1"
    if own := users_folder():
        parts["ABLATIONS"] = str(own)
    options = " ".join(f"{name}={shlex.quote(value)}" for name, value in parts.items())
    revisions = tables.of(ablation)["git_revision"].dropna().unique()
    return HTML(
        render(
            "rerun",
            ablation=ablation,
            command=f"make {ablation} {options}",
            revisions=join_words(sorted(map(str, revisions))) or "–",
            added=any(claim.id in study.added for claim in tables.ablations[ablation].claims),
        )
    )


_METRICS = {
    "val_accuracy": "accuracy",
    "val_exact_match": "exact match",
    "perplexity": "perplexity",
    "bits_per_character": "bits per character",
    "parameters": "parameters",
    "tokens_per_second": "tokens/s",
    "train_seconds": "seconds",
    "flops": "FLOPs",
    "utilisation": "utilisation",
}
_FORMATS: dict[str, Callable[[Estimate], str]] = {
    "parameters": lambda result: f"{result.mean:,.0f}",
    "flops": lambda result: f"{result.mean:.3g}",
    "utilisation": lambda result: format_estimate(scaled(result, 100)) + "\u00a0%",
}


def metrics_table(tables: Tables, ablation: str) -> HTML:
    """Final metrics of every variant: mean and 95 % interval over its finished seeds.

    Metrics that no variant has are left out.
    """
    losses = {
        loss_column(tables, ablation).name: "validation loss",
        loss_column(tables, ablation, "test_loss").name: "test loss",
    }
    columns = losses | _METRICS
    for probe in tables.ablations[ablation].own_probes:
        measured = [name for name in probe.measured if name in tables.runs]
        columns |= {name: name.partition(".")[2].replace("_", " ") for name in measured}
    if is_text(tables, ablation):
        del columns["val_exact_match"]  # which is always zero for text
    members, scores = tables.of(ablation), scored(tables, ablation)
    head = ("variant", "runs", *columns.values())
    rows = []
    for variant in tables.ablations[ablation].variants:
        statuses = members.loc[members["variant"] == variant.name, "status"].value_counts()
        runs = ", ".join(f"{n} {status}" for status, n in statuses.items())
        cells = [_metric(scores, variant.name, column) for column in columns]
        rows.append((variant.name, runs, *cells))
    used = [i for i in range(len(head)) if any(row[i] != "–" for row in rows)]
    note = (
        "Mean ± half the width of the 95 % interval over seeds; losses in"
        f" {loss_column(tables, ablation).unit}; perplexity per {tables.study.token}. Accuracy:"
        " share of targets that are the most likely prediction. Exact match: share of examples with"
        " all targets predicted correctly. Utilisation: floating-point operations per second"
        " relative to a matrix product alone on this machine. A validation loss above that"
        " of a uniform guess counts as a uniform guess, and so does a diverged run, which is left"
        " out of the other scores; parameters, speed,"
        " seconds and operations include diverged runs up to their end."
    )
    return HTML(table([head[i] for i in used], [[row[i] for i in used] for row in rows], note))


def _metric(scores: pd.DataFrame, variant: str, column: str) -> str:
    result = mean_of(scores, variant, column)
    return "–" if result is None else _FORMATS.get(column, format_estimate)(result)


def samples(tables: Tables, ablation: str) -> HTML:
    """Text generated by each variant, collapsed."""
    rows = tables.probe("samples", ablation)
    if rows.empty:
        return EMPTY
    written = {
        variant.name: records(rows[rows["variant"] == variant.name])
        for variant in tables.ablations[ablation].variants
    }
    seeds = join_words([str(seed) for seed in sorted(set(rows["seed"]))])
    return HTML(render("samples", written=written, seeds=seeds))
