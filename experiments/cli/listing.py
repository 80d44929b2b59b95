"""`list`, `status` and `columns`: what a study trains, how far the study is, and its tables."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from experiments.catalogue import load_ablations
from experiments.cli.options import AsJson, Budgets, Seeds, SlotOptions, StudyOptions
from experiments.planning.plan import (
    YARDSTICKS,
    Plan,
    PlannedRun,
    UntunedRun,
    preliminary_plan,
    run_labels,
    unique_runs,
)
from experiments.profiles import CARD_SPEEDS, Profile, parse_budgets
from experiments.records.run_folder import RunFolder
from experiments.records.schema import COLUMNS, describe
from experiments.records.study import Study
from experiments.running import estimates
from experiments.running.devices import slots, speed_shares
from experiments.spec import RunSpec

JSON_VERSION = 1  # of what `--json` prints: raised with the names or the meaning of a value


def list_ablations(
    *,
    study: StudyOptions = StudyOptions(),
    seeds: Seeds = None,
    budgets: Budgets = None,
    options: SlotOptions = SlotOptions(),
    as_json: AsJson = False,
) -> None:
    """List the ablations, their variants and runs, and how long the runs take on this machine."""
    profile, device, folder = study.local_profile, study.local_device, study.folder
    chosen = parse_budgets(budgets, profile)
    members = _planned(profile, folder, seeds, chosen)
    runs = unique_runs(members)
    left = _unfinished(runs, folder)
    own_slots = slots(device, options.per_gpu(device), options.jobs)
    workers = speed_shares(own_slots)
    if by_card := profile.name == "gpu" and device == "cpu":
        speeds, source = estimates.card_speeds("H200"), "its measured speed"
        workers = 1
    else:
        speeds, source = _speeds(runs, folder, profile, device)

    def minutes(specs: Sequence[RunSpec]) -> float:
        return estimates.total_seconds(specs, speeds) / workers / 60

    def row(specs: Sequence[RunSpec]) -> tuple[str, str]:
        return str(len(specs)), f"{minutes(specs):.1f}"

    def facts(specs: Sequence[RunSpec]) -> dict[str, float]:
        return {"runs": len(specs), "minutes": minutes(specs)}

    if as_json:
        own = {name: _runs_of(members, name) for name in load_ablations()}
        content = {
            "version": JSON_VERSION,
            "profile": profile.name,
            "at_once": len(own_slots),
            "source": source,
            "ablations": [
                {"name": name, "variants": [v.name for v in ablation.variants]} | facts(own[name])
                for name, ablation in load_ablations().items()
            ],
            "budgets": [{"budget": b} | facts(more) for b, more in _by_budget(profile, seeds)],
            "study": facts(runs),
            "unfinished": facts(left),
        }
        print(json.dumps(content, indent=1))
        return
    title = f"profile {profile.name}: {profile.purpose}"
    table = Table("ablation", "variants", "runs", "minutes", title=title)
    for name, ablation in load_ablations().items():
        variants = ", ".join(variant.name for variant in ablation.variants)
        table.add_row(name, Text(variants), *row(_runs_of(members, name)))
    table.add_section()
    for budget, further in _by_budget(profile, seeds):
        table.add_row(f"budget {budget}, shared runs once", "", *row(further))
    table.add_section()
    table.add_row("this study, shared runs once", "", *row(runs))
    table.add_row("of these not finished", "", *row(left))
    Console().print(table)
    at_once = "on one H200" if by_card else f"with {len(own_slots)} runs at once"
    print(
        f"{sum(run.flops for run in runs):.2g} FLOPs of training; minutes {at_once}, estimated from"
        f" {source}: training and evaluation, without probes and page"
    )
    if by_card:
        for card, speed in CARD_SPEEDS.items():
            hours = estimates.total_seconds(runs, estimates.card_speeds(card)) / 3600
            print(f"one {card} at {speed:.2g} FLOP/s: {hours:.1f} hours")


def status(
    *,
    study: StudyOptions = StudyOptions(),
    options: SlotOptions = SlotOptions(),
    as_json: AsJson = False,
) -> None:
    """Print how many runs are done, failed, training here and left, and the time left."""
    content = _state(study, options)
    if as_json:
        print(json.dumps(content, indent=1, ensure_ascii=False))
        return
    print(f"{content['folder']}: profile {content['profile']}, corpus {content['corpus']}")
    counts = content["runs"]
    print(", ".join(f"{counts[state]} {state}" for state in sorted(counts)) or "nothing")
    if content["wait_for_rate"]:
        print(f"{content['wait_for_rate']} more wait for a learning rate to be chosen")
    for run in content["running"]:
        print(f"running: {run['run']}: step {run['step']} of {run['steps']}")
    for run in content["broken"]:
        print(f"{run['status']}: {run['run']}: {run['why']}")
    if content["source"]:
        print(
            f"about {content['minutes_left']:.0f} min left with {content['at_once']} runs at once,"
            f" from {content['source']}"
        )


def _state(study: StudyOptions, options: SlotOptions) -> dict[str, Any]:
    """State of a study, as `status` prints it: runs counted by status, runs that are training, runs
    that are broken, and the time that unfinished runs will take.
    """
    profile, device, folder = study.local_profile, study.local_device, study.folder
    loaded = Study.load(folder)
    plan = loaded.plan(folder)
    labels = run_labels(plan.runs)
    runs = unique_runs(plan.runs)
    folders = {run.run_id: RunFolder(folder, run.run_id) for run in runs}
    states: dict[str, str] = {
        run_id: each.status() if each.path.exists() else "not begun"
        for run_id, each in folders.items()
    }
    left = [run for run in _unfinished(runs, folder) if states[run.run_id] != "failed"]
    left += unique_runs(_untuned_runs(plan, loaded))
    own_slots = slots(device, options.per_gpu(device), options.jobs)
    minutes, source = 0.0, ""
    if left:
        speeds, source = _speeds(runs, folder, profile, device)
        minutes = estimates.total_seconds(left, speeds) / speed_shares(own_slots) / 60
    return {
        "version": JSON_VERSION,
        "folder": str(folder),
        "profile": loaded.profile_name,
        "corpus": loaded.corpus_name,
        "runs": dict(Counter(states.values())),
        "wait_for_rate": len(plan.untuned),
        "running": [
            {
                "run": labels[run.run_id],
                "step": _last_step(folders[run.run_id].metrics),
                "steps": run.recipe.steps,
            }
            for run in runs
            if states[run.run_id] == "in flight"
        ],
        "broken": [
            {
                "run": labels[run.run_id],
                "status": states[run.run_id],
                "why": str((folders[run.run_id].summary() or {}).get("reason", "")),
            }
            for run in runs
            if states[run.run_id] in ("failed", "damaged")
        ],
        "minutes_left": minutes,
        "at_once": len(own_slots),
        "source": source,
    }


def columns() -> None:
    """Print every table's columns, with their types and meanings."""
    for name in COLUMNS:
        table = Table("column", "type", "meaning", title=f"{name}.parquet")
        for row in describe(name):
            table.add_row(row["column"], row["type"], row["meaning"])
        Console().print(table)


def _runs_of(members: Sequence[PlannedRun], ablation: str) -> list[RunSpec]:
    return unique_runs(member for member in members if member.ablation == ablation)


def _unfinished(runs: Sequence[RunSpec], folder: Path) -> list[RunSpec]:
    return [run for run in runs if not RunFolder(folder, run.run_id).finished(run.probes)]


def _last_step(metrics: Path) -> int:
    """The last step that a run has recorded."""
    lines = metrics.read_bytes().splitlines(keepends=True) if metrics.exists() else []
    complete = [line for line in lines if line.endswith(b"\n")]
    return int(json.loads(complete[-1])["step"]) if complete else 0


def _speeds(
    runs: Sequence[RunSpec], folder: Path, profile: Profile, device: str
) -> tuple[dict[str, float], str]:
    """FLOPs per second by family of network, and how they are known."""
    measured = estimates.measured_speeds(runs, folder)
    if {run.model.family for run in runs} <= measured.keys():
        return measured, "runs that this machine has finished"
    source = "timing a few steps just now" + (" and finished runs" if measured else "")
    return estimates.timed_speeds(profile.name, device) | measured, source


def _by_budget(profile: Profile, seeds: int | None) -> Iterator[tuple[int, list[RunSpec]]]:
    """The runs that each budget of the profile adds to those of the shallower budgets."""
    before = set[str]()
    for i, budget in enumerate(profile.budgets):
        runs = unique_runs(preliminary_plan(profile, seeds, profile.budgets[: i + 1]))
        yield budget, [run for run in runs if run.run_id not in before]
        before |= {run.run_id for run in runs}


def _planned(
    profile: Profile, folder: Path, seeds: int | None, budgets: list[int] | None
) -> list[PlannedRun]:
    """The plan of the study in the folder, or a preliminary plan where there is none or one of
    another number of seeds or other budgets.
    """
    if (folder / "study.json").exists():
        study = Study.load(folder)
        if seeds in (None, study.seeds) and budgets in (None, study.budgets):
            plan = study.plan(folder)
            return [*plan.runs, *_untuned_runs(plan, study)]
    return preliminary_plan(profile, seeds, budgets)


def _untuned_runs(plan: Plan, study: Study) -> list[PlannedRun]:
    """The runs that wait for trials: trials that are not asked for yet, and comparison runs.

    They are planned as if the rates in the files were the best.
    """
    waiting = {key: len(sweep.trials) for key, sweep in plan.sweeps.items() if sweep.chosen is None}
    if not waiting:
        return []
    untuned, runs = set(plan.untuned), []
    for run in study.plan(None).runs:
        key = run.ablation, run.variant, run.budget
        if run.rate is None:
            # The runs of yardsticks are planned with those that they are compared with.
            wanted = run.ablation == YARDSTICKS or UntunedRun(*key, run.spec.seed) in untuned
        else:
            wanted = waiting.get(key, 1) <= 0
            if key in waiting:
                waiting[key] -= 1  # so many trials are planned already
        if wanted:
            runs.append(run)
    return runs
