"""The README's computed parts: what the published study found, how long it took, what its base
network writes, and two pictures. `python -m report.page.readme` writes them anew.
"""

import re
from pathlib import Path

import numpy as np
import pandas as pd

from experiments.files import ROOT, write_atomically
from experiments.records.collect import read_table
from report.figures.charts import draw_forest
from report.figures.model_diagram import drawing
from report.figures.speed import against_plain_ratios
from report.page.claims import claims_of, in_words
from report.page.summary import largest
from report.verdicts.judge import CONTRADICTED, VERDICTS
from report.verdicts.tables import Tables, records
from report.verdicts.text import format_duration, join_words, plural


def refresh(root: Path, folder: Path) -> None:
    """Write the README's parts between `<!-- NAME -->` and `<!-- end -->`, and the pictures beside
    the published tables in `folder`.
    """
    tables = Tables.load(folder)
    readme = root / "README.md"
    write_atomically(readme, filled(readme.read_text(), tables).encode())
    figure, _ = draw_forest(tables, drawn(tables))
    figure.savefig(folder / "findings.svg", bbox_inches="tight", metadata={"Date": None})
    write_atomically(folder / "network.svg", drawing(tables).encode())


def drawn(tables: Tables) -> list[str]:
    """The core ablations that claim something about the loss: of the others, as of networks that
    are looked at before they are trained, losses mean nothing by themselves.
    """
    return [
        name
        for name in tables.present()
        if tables.ablations[name].core
        and any(claim.metric == "val_loss" for claim in tables.ablations[name].claims)
    ]


def filled(readme: str, tables: Tables) -> str:
    """The README with its computed parts as these tables have them.

    Raises:
        KeyError: it has a part that is not known.
    """
    parts = {"found": found, "took": took, "sample": sample, "speed": speed}

    def part(match: re.Match[str]) -> str:
        return f"<!-- {match[1]} -->\n{parts[match[1]](tables)}\n<!-- end -->"

    return re.sub(r"<!-- (\w+) -->\n.*?<!-- end -->", part, readme, flags=re.DOTALL)


def found(tables: Tables) -> str:
    """What the study found, in three sentences: how many claims hold, and the largest effects of
    those that do and of those that are contradicted.
    """
    claims = claims_of(tables.results)
    rows, counts = in_words(claims), claims["verdict"].value_counts()
    told = join_words([f"{counts[verdict]} {verdict}" for verdict in VERDICTS if verdict in counts])
    base = tables.study.base
    return "\n".join(
        [
            f"- **Of {plural(len(claims), 'claim')}: {told}**, in networks of"
            f" {base.n_layers} layers and width {base.d_model}, {plural(len(tables.runs), 'run')},"
            f" {tables.study.seeds} paired seeds.",
            "- **The largest effects that hold**, in nats per character: "
            + "; ".join(f"“{row['sentence']}” ({_effect(row)})" for row in largest(rows))
            + ".",
            "- **The largest that go the other way**, in the same unit: "
            + "; ".join(
                f"“{row['sentence']}” ({_effect(row)})" for row in largest(rows, CONTRADICTED)
            )
            + ".",
        ]
    )


def _effect(row: dict[str, str]) -> str:
    return f"{row['effect_text']}, 95 % interval {row['interval_text']}"


def took(tables: Tables) -> str:
    """How long the study took, and on what."""
    calls, runs = tables.calls, tables.runs
    machines = join_words(sorted(map(str, set(runs["hardware"]))))
    return (
        f"For the study above `make all` took {format_duration(float(calls['seconds'].sum()))}"
        f" ({machines}): {plural(len(runs), 'run')}, each in at most"
        f" {runs['peak_memory'].max() / 1e6:,.0f} MB."
    )


def speed(tables: Tables) -> str:
    """How fast the study's runner is beside the loop that everybody writes first."""
    ratios = against_plain_ratios(tables.bench)
    if not ratios:
        return "`make bench` measures how fast the study's runner is beside nanoGPT's plain loop."
    told = join_words(
        [
            f"{np.median(found):.2f} times as many in {how} ({min(found):.2f} to {max(found):.2f})"
            for how, found in ratios.items()
        ]
    )
    return (
        "Tokens a second on nanoGPT's recipe for a processor, beside the plain loop with all cores,"
        f" median and range of {len(next(iter(ratios.values())))} repeats: {told}."
    )


def sample(tables: Tables) -> str:
    """What the base network of the first seed writes, as the samples have it."""
    written = read_table(tables.results, "samples")
    written = written[written["kind"] != "greedy"]
    of_base = tables.members[tables.members["run_id"].isin(_base_runs(tables))]
    first = records(of_base.sort_values("seed").merge(written, on="run_id"))[0]
    about = (
        f"validation loss {first['val_loss']:.3f} nats per character after"
        f" {first['train_seconds']:.0f} seconds of training, {first['kind']}, seed {first['seed']}"
    )
    text = "\n".join(line.rstrip() for line in first["text"].strip().splitlines())
    return f"The base network ({about}):\n\n```text\n{text}\n```"


def _base_runs(tables: Tables) -> "pd.Series[str]":
    """The runs of variants that change nothing."""
    bare = [
        (name, variant.name)
        for name, ablation in tables.ablations.items()
        for variant in ablation.variants
        if not variant.tuned_for and not tables.differing(variant)
    ]
    places = pd.MultiIndex.from_frame(tables.members[["ablation", "variant"]])
    runs: pd.Series[str] = tables.members.loc[places.isin(bare), "run_id"]
    return runs


if __name__ == "__main__":
    refresh(ROOT, ROOT / "results" / "reference" / "cpu")
