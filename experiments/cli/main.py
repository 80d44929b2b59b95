"""The command line, `python -m experiments COMMAND`: what trains and what keeps house is here; each
other command is in the file of what it does.
"""

import datetime
import functools
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import psutil
from rich.console import Console
from rich.table import Table

from experiments.benchmarks.calibration import calibrate
from experiments.catalogue import load_ablations
from experiments.cli.listing import list_ablations, status
from experiments.cli.network import network
from experiments.cli.new_ablation import write_new
from experiments.cli.options import (
    byte_pairs,
    one_of,
    place_and_profile,
    profile_named,
    slots_per_gpu_of,
    takes,
)
from experiments.cli.single_run import evaluate, sample, train
from experiments.cli.verify import verify
from experiments.data.corpus import Corpus, prepare_corpus
from experiments.errors import UserError, refusal
from experiments.plan import PlannedRun, preliminary_plan, unique_runs
from experiments.profiles import PROFILES
from experiments.records import provenance as hardware
from experiments.records.collect import is_measured
from experiments.records.run_folder import RunFolder, record_call, record_environment
from experiments.records.schema import COLUMNS, describe
from experiments.records.study import Study
from experiments.running.job import Job
from experiments.running.lock import results_lock
from experiments.running.runner import PageRefresher, StudyOutcome, measure_costs, run_study
from experiments.running.trackers import TRACKERS, tracker_named
from experiments.spec import RunSpec

_TRAINING = (
    *("profile", "corpus", "tokenizer", "vocab_size", "seeds", "jobs", "executor", "device"),
    *("precision", "compile"),
    *("slots_per_gpu", "checkpoint_seconds", "run_timeout", "fail_fast", "tracker"),
    *("results", "data"),
)


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
    tokenizer: str,
    vocab_size: int | None,
    seeds: int | None,
    jobs: int | None,
    executor: str,
    device: str,
    precision: str,
    compile: bool,
    slots_per_gpu: int | None,
    checkpoint_seconds: float,
    run_timeout: float | None,
    fail_fast: bool,
    tracker: str,
    results: Path,
    data: Path,
) -> None:
    one_of("ablation", ablations, list(load_ablations()))
    one_of("tracker", [tracker], list(TRACKERS))
    follower = tracker_named(tracker)
    one_of("precision", [precision], list(hardware.PRECISIONS))
    where, device, chosen = place_and_profile(executor, device, profile)
    slots_per_gpu = slots_per_gpu_of(chosen, device, slots_per_gpu)
    slots = where.slots(device, slots_per_gpu, jobs)
    chosen = chosen.with_precision(hardware.resolve_precision(precision, device), compile)
    planned = preliminary_plan(chosen, 1)  # what cannot work is said before anything is fetched
    text = prepare_corpus(corpus, data, byte_pairs(tokenizer, vocab_size))
    study = Study.of(chosen, text, seeds)
    folder = results / chosen.name
    _check_length(text, planned)
    job = Job(text, folder, hardware.environment(), checkpoint_seconds, run_timeout, slots_per_gpu)
    with results_lock(folder):
        if not retry:
            study.save(folder)
        run = functools.partial(run_study, job=job, slots=slots, executor=where, tracker=follower)
        outcome, asked = _train(study, folder, ablations, retry, fail_fast, run)
        stopped = fail_fast and bool(outcome.failed)
        if not retry and not stopped and not is_measured(folder, "costs"):
            click.echo("measuring what attention, norms and generation cost on this machine")
            here = (
                device if device in hardware.devices_present() else "cpu"
            )  # a cluster may have more
            measure_costs(folder, chosen.name, here)
        left = asked - outcome.trained - outcome.done
        if outcome.trained:
            _note(folder, outcome, len(slots))
            record_environment(folder)
        click.echo(
            f"profile {chosen.name}, corpus {text.name}: {outcome.trained} runs trained,"
            f" {outcome.done} were done, {len(outcome.failed)} failed"
            + (f", {left} not begun" if left else "")
        )
        for label, reason in outcome.failed.items():
            click.echo(f"failed: {label}: {reason}")
        status = PageRefresher(folder).build(only_if_changed=True)
        if outcome.failed:
            click.echo("train the failed ones again with `make retry`")
    sys.exit(1 if outcome.failed else status)


def _train(
    study: Study,
    folder: Path,
    ablations: list[str],
    retry: bool,
    fail_fast: bool,
    run: Callable[..., StudyOutcome],
) -> tuple[StudyOutcome, int]:
    """What came of it, and how many runs were asked for."""
    outcome, asked = StudyOutcome(), dict[str, RunSpec]()
    for stage in ("all rates", "the best two", "the comparison"):  # each decides what the next is
        planned = study.plan(folder, ablations or None)
        members = planned.members if stage == "the comparison" else planned.trials
        # A trial that failed a moment ago is not made again.
        members = [member for member in members if member.spec.run_id not in asked]
        if retry:
            members = [member for member in members if _failed(folder, member)]
        asked |= {spec.run_id: spec for spec in unique_runs(members)}
        outcome += run(members, fail_fast=fail_fast)
        if fail_fast and outcome.failed:
            break
    return outcome, len(asked)


def _note(folder: Path, outcome: StudyOutcome, workers: int) -> None:
    """Leave with the results how much of this call was training."""
    began = psutil.Process().create_time()  # the program's own loading is a part of it
    record_call(
        folder,
        started=datetime.datetime.fromtimestamp(began, datetime.UTC).isoformat(timespec="seconds"),
        seconds=time.time() - began,
        workers=workers,
        trained=outcome.trained,
        wall_seconds=outcome.wall_seconds,
    )


def _check_length(corpus: Corpus, members: list[PlannedRun]) -> None:
    longest = max(member.spec.model.context_length for member in members)
    for split in ("train", "val"):
        if corpus.lengths[split] <= longest:
            raise UserError(
                f"corpus '{corpus.name}' is too short: its {split} split has"
                f" {corpus.lengths[split]:,} tokens, a window takes {longest + 1:,}"
            )


def _failed(folder: Path, member: PlannedRun) -> bool:
    summary = RunFolder(folder, member.spec.run_id).summary()
    return summary is not None and summary["status"] == "failed"


@cli.command("new-ablation")
@click.argument("name", default="", envvar="NAME")
def new_ablation(name: str) -> None:
    """Write the file of a new ablation called NAME, with comments; it runs as it stands."""
    file = write_new(name)
    click.echo(f"wrote {file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file}")
    name = file.stem.replace("_", "-")
    click.echo(
        f"train it with `make {name} PROFILE=smoke`: results/smoke/report.html has its section"
    )


@cli.command()
@takes("profile", "device", "reference", "results")
def report(profile: str, device: str, reference: bool, results: Path) -> None:
    """Rebuild the page for what has been run so far, or write that of the published results."""
    name = profile_named(profile, device).name
    folder = results / name
    if reference:
        theirs = results / "reference"
        there = sorted(file.parent.name for file in theirs.glob("*/study.json"))
        one_of("published profile", [name], there)
        # Where nothing that is committed is written to.
        folder = results / "published" / name
        shutil.copytree(theirs, results / "published", dirs_exist_ok=True)
    sys.exit(PageRefresher(folder).build(only_if_changed=reference))


@cli.command()
@takes("profile", "corpus", "tokenizer", "device", "results", "data")
def bench(
    profile: str, corpus: str, tokenizer: str, device: str, results: Path, data: Path
) -> None:
    """Measure how fast this machine trains; nothing else may be running."""
    if tokenizer != "characters":
        raise UserError(f"a benchmark is by character: TOKENIZER={tokenizer} is for training")
    folder = results / profile_named(profile, device).name
    words = [folder, data, hardware.resolve_device(device), corpus]
    for name in (corpus, "tinyshakespeare"):  # here, where what is wrong with it is one line
        prepare_corpus(name, data)
    program = [sys.executable, "-m", "experiments.benchmarks.throughput", *map(str, words)]
    with results_lock(folder):  # it takes the folder by itself: here, where one in use is one line
        pass
    sys.exit(subprocess.run(program, check=False).returncode)


@cli.command()
@takes("profile", "results")
def clean(profile: str, results: Path) -> None:
    """Delete the results of the profile that is named."""
    one_of("profile to delete", [profile], list(PROFILES))
    folder = results / profile
    if folder.exists():
        with results_lock(folder), results_lock(folder / "by-hand"):
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


for _command in (verify, calibrate, network, list_ablations, status, train, sample, evaluate):
    cli.add_command(_command)


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
        _refuse(refusal(error))


def _refuse(message: str) -> None:
    click.echo("error: " + " ".join(message.split()), err=True)
    sys.exit(2)


def _stop_once(*_: object) -> None:
    """Ctrl-C stops us. One that comes while we end what we began would leave some of it going."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # and we are to hear it
        signal.signal(signal.SIGINT, _stop_once)
    main()
