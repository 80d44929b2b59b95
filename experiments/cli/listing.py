"""What there is to run, and how far it is: `list` and `status`."""

import json
from collections import Counter
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from experiments.catalogue import load_ablations
from experiments.cli.options import profile_named, slots_per_gpu_of, takes
from experiments.plan import Plan, PlannedRun, UntunedRun, preliminary_plan, run_labels, unique_runs
from experiments.profiles import Profile
from experiments.records import provenance as hardware
from experiments.records.run_folder import RunFolder
from experiments.records.study import Study
from experiments.running import estimates as estimate
from experiments.spec import RunSpec


@click.command("list")
@takes("profile", "seeds", "jobs", "device", "slots_per_gpu", "results")
def list_ablations(
    profile: str,
    seeds: int | None,
    jobs: int | None,
    device: str,
    slots_per_gpu: int | None,
    results: Path,
) -> None:
    """The ablations, their variants, how many runs they make, and how long those will take here."""
    chosen = profile_named(profile, device)
    device, folder = hardware.resolve_device(device), results / chosen.name
    members = _planned(chosen, folder, seeds)
    runs = unique_runs(members)
    left = [run for run in runs if not RunFolder(folder, run.run_id).finished(run.probes)]
    slots = len(hardware.slots(device, slots_per_gpu_of(chosen, device, slots_per_gpu), jobs))
    paces, seen = _paces(runs, folder, chosen, device)

    def minutes(specs: list[RunSpec]) -> str:
        return f"{estimate.total_seconds(specs, paces) / slots / 60:.1f}"

    title = f"profile {chosen.name}: {chosen.purpose}"
    table = Table("ablation", "variants", "runs", "minutes", title=title)
    for name, ablation in load_ablations().items():
        its = unique_runs(member for member in members if member.ablation == name)
        variants = ", ".join(variant.name for variant in ablation.variants)
        table.add_row(name, Text(variants), str(len(its)), minutes(its))
    table.add_section()
    table.add_row("all, shared runs once", "", str(len(runs)), minutes(runs))
    table.add_row("of these still to be made", "", str(len(left)), minutes(left))
    Console().print(table)
    click.echo(
        f"{sum(run.flops for run in runs):.2g} floating-point operations of training; time for"
        f" {slots} at once, from {seen}: training and evaluation, without probes and page"
    )


@click.command()
@takes("profile", "jobs", "device", "slots_per_gpu", "results")
def status(
    profile: str, jobs: int | None, device: str, slots_per_gpu: int | None, results: Path
) -> None:
    """How far a study is: done, failed, running on this machine, left, and the time left."""
    chosen = profile_named(profile, device)
    device, folder = hardware.resolve_device(device), results / chosen.name
    study = Study.load(folder)
    plan = study.plan(folder)
    members = [*plan.trials, *plan.members]
    labels = run_labels(members)
    runs = unique_runs(members)
    stand = {run.run_id: RunFolder(folder, run.run_id).status() for run in runs}
    begun = {run_id for run_id in stand if RunFolder(folder, run_id).path.exists()}
    counts = Counter(stand[run_id] if run_id in begun else "not begun" for run_id in stand)
    click.echo(f"{folder}: profile {study.profile_name}, corpus {study.corpus_name}")
    click.echo(", ".join(f"{counts[name]} {name}" for name in sorted(counts)) or "nothing")
    if plan.waiting:
        click.echo(f"{len(plan.waiting)} more wait for a learning rate to be chosen")
    for run in runs:
        if stand[run.run_id] == "in flight":
            step = _step(RunFolder(folder, run.run_id).metrics)
            click.echo(f"running: {labels[run.run_id]}: step {step} of {run.recipe.steps}")
        if stand[run.run_id] in ("failed", "damaged"):
            reason = (RunFolder(folder, run.run_id).summary() or {}).get("reason", "")
            click.echo(f"{stand[run.run_id]}: {labels[run.run_id]}: {reason}")
    left = [run for run in runs if not RunFolder(folder, run.run_id).finished(run.probes)]
    left = [run for run in left if stand[run.run_id] != "failed"]
    left += unique_runs(_waiting(plan, study))
    if left:
        slots = len(hardware.slots(device, slots_per_gpu_of(chosen, device, slots_per_gpu), jobs))
        paces, seen = _paces(runs, folder, chosen, device)
        minutes = estimate.total_seconds(left, paces) / slots / 60
        click.echo(f"about {minutes:.0f} min left with {slots} at once, from {seen}")


def _step(metrics: Path) -> int:
    """The last one that a run has told of."""
    lines = metrics.read_bytes().splitlines(keepends=True) if metrics.exists() else []
    whole = [line for line in lines if line.endswith(b"\n")]
    return int(json.loads(whole[-1])["step"]) if whole else 0


def _paces(
    runs: list[RunSpec], folder: Path, profile: Profile, device: str
) -> tuple[estimate.Paces, str]:
    """How fast it goes here, by family, and whence that is known."""
    seen = estimate.measured_speeds(runs, folder)
    if {run.model.family for run in runs} <= set(seen):
        return seen, "runs that this machine has finished"
    timed = estimate.timed_speeds(profile.name, device)
    return timed | seen, "timing a few steps just now" + (" and finished runs" if seen else "")


def _planned(profile: Profile, folder: Path, seeds: int | None) -> list[PlannedRun]:
    """What has been begun in the folder, or a plan made before any corpus is at hand."""
    if (folder / "study.json").exists():
        study = Study.load(folder)
        if seeds in (None, study.seeds):
            planned = study.plan(folder)
            return [*planned.trials, *planned.members, *_waiting(planned, study)]
    return preliminary_plan(profile, seeds)


def _waiting(plan: Plan, study: Study) -> list[PlannedRun]:
    """The runs that wait for a learning rate to be chosen, as if the lowest one were."""
    places = set(plan.waiting)
    return [
        member
        for member in preliminary_plan(study.profile, study.seeds)
        if UntunedRun(member.ablation, member.variant, member.spec.seed) in places
        and member.rate is None
    ]
