"""Computed parts of the README: findings, durations, speed, a sample, and two pictures.

`python -m report.output.readme` updates these parts from the published study.
"""

import re
from collections.abc import Collection
from pathlib import Path

import numpy as np

from experiments.files import ROOT, write_atomically
from experiments.planning.plan import preliminary_plan, unique_runs
from experiments.profiles import CARD_SPEEDS, PROFILES, SHAKESPEARE_CHARACTERS, SMALL_STEPS
from experiments.records.collect import read_table
from experiments.records.study import Study
from model.accounting import flops_per_token
from report.figures.model_diagram import drawing
from report.figures.speed import baseline, baseline_ratios
from report.page.claims import claims_of, verdict_summary
from report.page.provenance import seconds_by_the_clock
from report.page.second_studies import second_verdicts
from report.page.verdict_map import (
    COURSES,
    Course,
    MapRow,
    at_several_budgets,
    draw_verdict_map,
    map_rows,
)
from report.study.tables import Tables, records
from report.verdicts.text import format_duration, join_words, plural


def refresh(root: Path, folder: Path) -> None:
    """Update the README in `root`, and the pictures next to the published tables in `folder`."""
    tables = Tables.load(folder)
    readme = root / "README.md"
    write_atomically(readme, filled(readme.read_text(), tables).encode())
    figure = draw_verdict_map(tables, claims_of(folder), second_verdicts(tables))
    figure.savefig(folder / "map.svg", bbox_inches="tight", metadata={"Date": None})
    write_atomically(folder / "network.svg", drawing(tables).encode())


def filled(readme: str, tables: Tables) -> str:
    """The README with every part between `<!-- NAME -->` and `<!-- end -->` computed anew.

    Raises:
        KeyError: the README has a part with an unknown name.
    """
    parts = {"findings": findings, "duration": duration, "sample": sample}
    parts |= {"cost": cost, "speed": speed, "gpu": gpu}

    def part(match: re.Match[str]) -> str:
        return f"<!-- {match[1]} -->\n{parts[match[1]](tables)}\n<!-- end -->"

    return re.sub(r"<!-- (\w+) -->\n.*?<!-- end -->", part, readme, flags=re.DOTALL)


def findings(tables: Tables) -> str:
    """Counts of the verdicts, and the claims by how their verdicts go on with the budget."""
    claims, study, base = claims_of(tables.results), tables.study, tables.study.base
    _, rows = map_rows(claims, second_verdicts(tables))
    several = at_several_budgets(rows)
    return "\n".join(
        [
            f"- **{verdict_summary(claims)}**, in networks of {base.n_layers} layers and width"
            f" {base.d_model}, {plural(len(tables.runs), 'run')}, {_seeds(study)}.",
            *(_of_course(text, several, courses) for text, courses in COURSES.items()),
        ]
    )


def _seeds(study: Study) -> str:
    """The number of seeds, and of those that were added to claims."""
    numbers = [number for of_claim in study.added.values() for number in of_claim.values()]
    if not numbers:
        return f"{study.seeds} paired seeds"
    added = plural(len(study.added), "claim")
    return (
        f"{study.seeds} paired seeds, and up to {max(numbers)} for {added} that they left undecided"
    )


def _of_course(text: str, rows: list[MapRow], courses: Collection[Course]) -> str:
    """The number of claims whose verdicts go on in one of these ways, and their sentences."""
    chosen = [row for row in rows if row.course in courses]
    sentences = "; ".join(f"“{row.sentence}”" for row in chosen) or "none"
    return f"- **{text}** ({len(chosen)} of {plural(len(rows), 'claim')}): {sentences}"


def duration(tables: Tables) -> str:
    """Duration of the study, hardware and memory."""
    runs = tables.runs
    machines = join_words(sorted(map(str, set(runs["hardware"]))))
    elapsed = format_duration(seconds_by_the_clock(runs, tables.calls))
    return (
        f"This study, with the budgets {join_words([str(b) for b in tables.budgets])}, took"
        f" {elapsed} ({machines}): {plural(len(runs), 'run')}, each with a peak memory of at most"
        f" {runs['peak_memory'].max() / 1e6:,.0f} MB."
    )


def cost(tables: Tables) -> str:
    """Estimated duration of a study with the networks of the profile `cpu` on graphics cards."""
    if tables.study.profile_name != "cpu":
        return ""
    steps = int(tables.runs["steps"].sum())
    texts = [
        f"one {card} trains {speed:,} steps of such networks per second with sixteen runs at once,"
        f" so it would take about {format_duration(steps / speed)}, and eight of them"
        f" {format_duration(steps / speed / 8)}"
        for card, speed in SMALL_STEPS.items()
    ]
    return f"Its runs have {steps:,} training steps; {join_words(texts)}."


def speed(tables: Tables) -> str:
    """Speed of the study's runner relative to a plain training loop."""
    ratios = baseline_ratios(tables.bench)
    if not ratios:
        return "`make bench` compares the speed of the study's runner with nanoGPT's."
    reference = "nanoGPT itself" if baseline(tables.bench) != "plain loop" else "a plain loop"
    texts = [
        f"{np.median(values):.2f} in {precision} ({min(values):.2f} to {max(values):.2f})"
        for precision, values in ratios.items()
    ]
    repetitions = len(next(iter(ratios.values())))
    return (
        f"Tokens per second on nanoGPT's CPU recipe, relative to {reference} on all cores, median"
        f" and range of {repetitions} repetitions: {join_words(texts)}."
    )


def gpu(tables: Tables) -> str:
    """Estimated time of the profile `gpu` on graphics cards of known speed."""
    profile = PROFILES["gpu"]
    runs = unique_runs(preliminary_plan(profile, None))
    training = sum(run.flops for run in runs)
    evaluation = sum(run.evaluation_flops for run in runs)
    base = profile.base_model(SHAKESPEARE_CHARACTERS)
    tokens = profile.recipe.batch_size * base.context_length
    step = tokens * flops_per_token(base, base.context_length, backward=True)
    rows = [
        ("arithmetic of all runs, training", f"{training:.1e} FLOPs"),
        ("arithmetic of all runs, evaluation", f"{evaluation:.1e} FLOPs"),
        ("one step of the base network", f"{step:.2e} FLOPs"),
    ]
    for card, speed in CARD_SPEEDS.items():
        hours = (training + evaluation) / speed / 3600
        rows.append((f"one {card} at {speed:.1e} FLOP/s", f"{hours:.1f} hours"))
        rows.append((f"eight {card}s", f"{hours / 8:.1f} hours"))
        rows.append((f"a step of the base network on one {card}", f"{1000 * step / speed:.0f} ms"))
    head = "| quantity of the `gpu` profile | estimate |\n|---|---|\n"
    return head + "\n".join(f"| {name} | {value} |" for name, value in rows)


def sample(tables: Tables) -> str:
    """Text generated by the base network of the first seed that has samples."""
    samples = read_table(tables.results, "samples")
    samples = samples[samples["kind"] != "greedy"]
    of_base = tables.members[tables.members["run_id"].isin(_base_runs(tables))]
    first = records(
        of_base.sort_values(["budget", "seed"], ascending=[False, True]).merge(samples, on="run_id")
    )[0]
    text = "\n".join(line.rstrip() for line in first["text"].strip().splitlines())
    return (
        f"The base network (validation loss {first['val_loss_per_character']:.3f} nats per"
        f" character after {first['train_seconds']:.0f} seconds of training, {first['kind']}, seed"
        f" {first['seed']}):\n\n```text\n{text}\n```"
    )


def _base_runs(tables: Tables) -> set[str]:
    """Run ids of the variants that are identical to the base."""
    members = tables.members.set_index(["ablation", "variant"])["run_id"]
    return {
        run_id
        for name, ablation in tables.ablations.items()
        for variant in ablation.variants
        if not variant.tuned_for and not tables.differing(variant)
        for run_id in members[members.index == (name, variant.name)]
    }


if __name__ == "__main__":
    refresh(ROOT, ROOT / "results" / "reference" / "cpu")
