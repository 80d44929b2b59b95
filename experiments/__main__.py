"""The command line: `python -m experiments run`, `retry`, `list`, `columns`."""

import errno
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from experiments import estimate, hardware
from experiments.ablation import load_ablations, nearest
from experiments.collect import is_measured
from experiments.corpus import NAMES, Corpus, prepare
from experiments.errors import UserError
from experiments.executor import EXECUTORS, Job
from experiments.plan import Member, outline, runs_of
from experiments.profiles import PROFILES, Profile
from experiments.runner import Outcome, PageRefresher, measure_costs, run_study
from experiments.schema import COLUMNS, describe
from experiments.spec import TUNING_SEED, RunSpec
from experiments.store import RunFolder
from experiments.study import Study

_AT_LEAST_ONE = click.IntRange(min=1)
_SEEDS = click.IntRange(1, TUNING_SEED)
_OPTIONS: dict[str, dict[str, Any]] = {
    "profile": {"default": "auto", "help": "auto, " + ", ".join(PROFILES)},
    "corpus": {"default": "shakespeare", "help": ", ".join(NAMES) + ", or the path of a text"},
    "seeds": {"type": _SEEDS, "help": "how many; if not given, the profile decides"},
    "jobs": {"type": _AT_LEAST_ONE, "help": "runs at once; if not given, the machine decides"},
    "executor": {"default": "local", "help": ", ".join(EXECUTORS)},
    "device": {"default": "auto", "help": ", ".join(hardware.DEVICES)},
}
_FOLDERS = {"results": "folder for results", "data": "folder for corpora"}


def takes(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Options for a command; all but the folders can come from the environment as well."""

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        for name in reversed(names):
            if name in _FOLDERS:
                option = click.option(
                    f"--{name}", type=Path, default=Path(name), help=_FOLDERS[name]
                )
            else:
                option = click.option(f"--{name}", envvar=name.upper(), **_OPTIONS[name])
            command = option(command)
        return command

    return add


_TRAINING = ("profile", "corpus", "seeds", "jobs", "executor", "device", "results", "data")


@click.group()
def cli() -> None:
    """Train the ablation study and write its report."""


@cli.command()
@click.argument("ablations", nargs=-1)
@takes(*_TRAINING)
def run(ablations: tuple[str, ...], **chosen: Any) -> None:
    """Train what is not done yet, of all ABLATIONS or of those named, and write the page."""
    _run(list(ablations), retry=False, **chosen)


@cli.command()
@takes(*_TRAINING)
def retry(**chosen: Any) -> None:
    """Train again the runs that failed, and nothing else."""
    _run([], retry=True, **chosen)


def _run(
    ablations: list[str],
    *,
    retry: bool,
    profile: str,
    corpus: str,
    seeds: int | None,
    jobs: int | None,
    executor: str,
    device: str,
    results: Path,
    data: Path,
) -> None:
    _one_of("ablation", ablations, list(load_ablations()))
    _one_of("executor", [executor], list(EXECUTORS))
    chosen = _profile(profile, device)
    device = hardware.resolve_device(device)
    outline(chosen, 1)
    text = prepare(corpus, data)
    precision = hardware.default_precision(device)
    study = Study.of(chosen, text, seeds, precision)
    folder = results / chosen.name
    _check_length(text, study.plan(folder).members)
    if not retry:
        study.save(folder)
    job = Job(text, folder, hardware.environment())
    slots = hardware.slots(device, chosen.runs_per_gpu, jobs)
    outcome, asked = Outcome(), dict[str, RunSpec]()
    for stage in ("all rates", "the best two", "the comparison"):  # each decides what the next is
        planned = study.plan(folder, ablations or None)
        members = planned.members if stage == "the comparison" else planned.trials
        # A trial that failed a moment ago is not made again.
        members = [member for member in members if member.spec.run_id not in asked]
        if retry:
            members = [member for member in members if _failed(folder, member)]
        asked |= {spec.run_id: spec for spec in runs_of(members)}
        outcome += run_study(members, job, slots, executor)
    if not retry and not is_measured(folder, "costs"):
        click.echo("measuring what attention, norms and generation cost on this machine")
        measure_costs(folder, chosen.name, device)
    click.echo(
        f"profile {chosen.name}, corpus {text.name}: {outcome.trained} runs trained,"
        f" {len(asked) - outcome.trained} were done, {len(outcome.failed)} failed"
    )
    for label, reason in outcome.failed.items():
        click.echo(f"failed: {label}: {reason}")
    status = PageRefresher(folder).build(only_if_changed=True)
    if outcome.failed:
        click.echo("train the failed ones again with `make retry`")
    sys.exit(1 if outcome.failed else status)


def _profile(name: str, device: str) -> Profile:
    """The profile that is named; for "auto", the one for the device."""
    _one_of("profile", [name], ["auto", *PROFILES])
    _one_of("device", [device], list(hardware.DEVICES))
    if name == "auto":
        name = "gpu" if hardware.resolve_device(device) == "cuda" else "cpu"
    return PROFILES[name]


def _one_of(what: str, given: list[str], allowed: list[str]) -> None:
    for value in given:
        if value not in allowed:
            hint = nearest(value, allowed) or ","
            raise UserError(f"unknown {what} '{value}'{hint} there are {', '.join(allowed)}")


def _check_length(corpus: Corpus, members: list[Member]) -> None:
    longest = max(member.spec.model.context_length for member in members)
    for split in ("train", "val"):
        if corpus.lengths[split] <= longest:
            raise UserError(
                f"corpus '{corpus.name}' is too short: its {split} split has"
                f" {corpus.lengths[split]:,} characters, a window takes {longest + 1:,}"
            )


def _failed(folder: Path, member: Member) -> bool:
    summary = RunFolder(folder, member.spec.run_id).summary()
    return summary is not None and summary["status"] == "failed"


@cli.command("list")
@takes("profile", "seeds", "jobs", "device", "results")
def list_ablations(
    profile: str, seeds: int | None, jobs: int | None, device: str, results: Path
) -> None:
    """The ablations, their variants, how many runs they make, and how long those will take here."""
    chosen = _profile(profile, device)
    device, folder = hardware.resolve_device(device), results / chosen.name
    members = _planned(chosen, folder, seeds)
    runs = runs_of(members)
    left = [run for run in runs if not RunFolder(folder, run.run_id).finished(run.probes)]
    slots = len(hardware.slots(device, chosen.runs_per_gpu, jobs))
    seen = estimate.paces_seen(runs, folder)
    paces = seen if {run.model.family for run in runs} <= set(seen) else {}
    paces = paces or estimate.paces_timed(chosen.name, device) | seen

    def minutes(specs: list[RunSpec]) -> str:
        return f"{estimate.seconds(specs, paces) / slots / 60:.1f}"

    title = f"profile {chosen.name}: {chosen.purpose}"
    table = Table("ablation", "variants", "runs", "minutes", title=title)
    for name, ablation in load_ablations().items():
        its = runs_of(member for member in members if member.ablation == name)
        variants = ", ".join(variant.name for variant in ablation.variants)
        table.add_row(name, Text(variants), str(len(its)), minutes(its))
    table.add_section()
    table.add_row("all, shared runs once", "", str(len(runs)), minutes(runs))
    table.add_row("of these still to be made", "", str(len(left)), minutes(left))
    Console().print(table)
    done = "runs that this machine has finished" if seen else "timing a few steps just now"
    click.echo(
        f"{sum(run.flops for run in runs):.2g} floating-point operations of training; time for"
        f" {slots} at once, from {done}: training and evaluation, without probes and page"
    )


def _planned(profile: Profile, folder: Path, seeds: int | None) -> list[Member]:
    """What has been begun in the folder, or a plan made before any corpus is at hand."""
    if (folder / "study.json").exists():
        study = Study.load(folder)
        if seeds in (None, study.seeds):
            planned = study.plan(folder)
            return [*planned.trials, *planned.members]
    return outline(profile, seeds)


@cli.command()
@takes("profile", "device", "results")
def report(profile: str, device: str, results: Path) -> None:
    """Rebuild the page for what has been run so far."""
    sys.exit(PageRefresher(results / _profile(profile, device).name).build(only_if_changed=False))


@cli.command()
@takes("profile", "results")
def clean(profile: str, results: Path) -> None:
    """Delete the results of the profile that is named."""
    _one_of("profile to delete", [profile], list(PROFILES))
    folder = results / profile
    if folder.exists():
        shutil.rmtree(folder)
        click.echo(f"deleted {folder}")


@cli.command()
def columns() -> None:
    """The data dictionary: every table's columns, their types and meanings."""
    for name in COLUMNS:
        table = Table("column", "type", "meaning", title=f"{name}.parquet")
        for row in describe(name):
            table.add_row(row["column"], row["type"], row["meaning"])
        Console().print(table)


def main() -> None:
    """Run the command line; whatever is the user's to mend is one line and exit status 2."""
    try:
        cli(standalone_mode=False)
    except click.ClickException as error:
        _refuse(error.format_message())
    except UserError as error:
        _refuse(str(error))
    except (KeyboardInterrupt, click.Abort):
        click.echo("stopped; the next call goes on from here", err=True)
        sys.exit(130)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        _refuse(f"{error.strerror}: {error.filename or 'while writing results'}")


def _refuse(message: str) -> None:
    click.echo("error: " + " ".join(message.split()), err=True)
    sys.exit(2)


if __name__ == "__main__":
    main()
