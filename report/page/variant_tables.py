"""What an ablation compares, in tables: what each variant changes, and how it ended."""

from IPython.display import HTML

from report.html import table
from report.verdicts.stats import scaled
from report.verdicts.tables import Tables, records
from report.verdicts.text import format_estimate


def changes_table(tables: Tables, ablation: str) -> HTML:
    """What each variant changes of the base, a learning rate of its own included."""
    chosen = tables.tuning[tables.tuning["chosen"] & (tables.tuning["ablation"] == ablation)]
    tuning = {row["variant"]: f"{row['learning_rate']:g}" for row in records(chosen)}
    rows = []
    for variant in tables.ablations[ablation].variants:
        changed = tables.differing(variant).items()
        differing = [
            f"{name} = {value:g}" if isinstance(value, float) else f"{name} = {value}"
            for name, value in changed
        ]
        if variant.tuned_for:
            rate = tuning.get(variant.tuned_for, "not chosen yet")
            differing.append(f"recipe.learning_rate = {rate}, the best for {variant.tuned_for}")
        rows.append((variant.name, ", ".join(differing) or "the base itself"))
    return HTML(table(("variant", "differs from the base in"), rows))


def metrics_table(tables: Tables, ablation: str) -> HTML:
    """Final metrics of every variant: mean and 95 % interval over its finished seeds."""
    columns = {
        "score": "validation loss",
        "test_loss": "test loss",
        "val_accuracy": "accuracy",
        "val_exact_match": "all right",
        "perplexity": "perplexity",
        "bits_per_character": "bits per character",
        "parameters": "parameters",
        "tokens_per_second": "tokens/s",
        "train_seconds": "seconds",
        "flops": "FLOPs",
        "utilisation": "of peak",
    }
    if tables.is_text(ablation):
        del columns["val_exact_match"]  # no text is
    rows = []
    for variant in tables.ablations[ablation].variants:
        mine = (tables.members["ablation"] == ablation) & (
            tables.members["variant"] == variant.name
        )
        statuses = tables.members.loc[mine, "status"].value_counts()
        cells = [variant.name, ", ".join(f"{n} {status}" for status, n in statuses.items())]
        for column in columns:
            found = tables.variant_estimate(ablation, variant.name, column)
            if found is None:
                cells.append("–")
            elif column == "parameters":
                cells.append(f"{found.mean:,.0f}")
            elif column == "flops":
                cells.append(f"{found.mean:.3g}")
            elif column == "utilisation":
                cells.append(format_estimate(scaled(found, 100)) + "\u00a0%")
            else:
                cells.append(format_estimate(found))
        rows.append(tuple(cells))
    note = (
        "Mean ± half the 95 % interval over seeds; losses in nats per character of text, or per"
        f" target of another kind; perplexity per {tables.study.token}."
        " Accuracy is the share of targets that were the likeliest answer; all right, the share of"
        " examples of which every target was; of peak,"
        " the share of the operations per second that a matrix product reaches here by itself. A"
        " diverged run counts as a uniform guess in the validation loss and is left out of the"
        " other scores; parameters, speed, seconds and operations are of its training as far as it"
        " came."
    )
    head = ("variant", "runs", *columns.values())
    there = [place for place in range(len(head)) if any(row[place] != "–" for row in rows)]
    shown = [tuple(row[place] for place in there) for row in rows]
    return HTML(table([head[place] for place in there], shown, note))
