"""Fail a small study at every operation that changes a file: `python -m tests.crash_points`.

After each failure the study is called again. It must end as if nothing had happened: no run that
was finished before is lost, and the tables equal those of an undisturbed study except in times.
`--sample N` tries N operations of each fault. `--command work` fails a process that takes runs by
leases; `work` and `run` are called after it.
"""

import argparse
import contextlib
import dataclasses
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

import experiments.running.worker  # noqa: F401  # here once for all forked workers
from experiments import ablations as built_in
from experiments import profiles
from experiments.cli import main as command_line
from experiments.cli import run as run_command
from experiments.cli import session as session_module
from experiments.records.collect import collect
from experiments.records.provenance import environment
from experiments.running import leases, local
from tests.faulty_disk import FAULTS, FaultyDisk, lose_unflushed, read_journal
from tests.helping import words
from tests.soak import differing, summaries

# An ablation with a claim to seal, and with probes.
ABLATION = """
from experiments.ablation import Ablation, Claim, Trains, Variant

ABLATION = Ablation(
    title="Tiny",
    question="Is anything lost?",
    baseline="learned",
    variants=[
        Variant("learned", {"model.position": "learned"}, fixed_rate=True),
        Variant("rope", {"model.position": "rope"}, fixed_rate=True),
    ],
    claims=[
        Claim(
            id="tiny",
            sentence="It is so.",
            said_by="a test",
            effect={"learned": 1, "rope": -1},
            margin=0.1,
            why_margin="a test",
            requires=[Trains("rope")],
        )
    ],
    probes=["layers", "positions"],
)
"""
CRASHED = 99  # exit status of a call whose error the program did not expect
_SMOKE = profiles.PROFILES["smoke"]
_SHORT = dataclasses.replace(
    _SMOKE.recipe, steps=4, warmup_steps=1, eval_every=2, eval_windows=2, log_every=2
)


class Collecting:
    """Stands in for the builder of the page: collects the tables, and builds no page."""

    busy = False

    def __init__(self, results: Path) -> None:
        self.results = results

    def __enter__(self) -> "Collecting":
        return self

    def __exit__(self, *_: object) -> None:
        """There is nothing to stop."""

    def refresh(self) -> None:
        """Beside the training, nothing is collected."""

    def stop(self) -> None:
        """There is nothing to stop."""

    def build(self, *, only_if_changed: bool) -> int:
        """Collect the tables."""
        collect(self.results)
        return 0


class Forking:
    """Stands in for `multiprocessing` in the executor: workers are forked from this process."""

    @staticmethod
    def get_context(_: str) -> Any:
        """A context whose processes inherit the faulty disk."""
        context = multiprocessing.get_context("fork")
        context.set_forkserver_preload = lambda _: None  # type: ignore[attr-defined]
        return context

    parent_process = staticmethod(multiprocessing.parent_process)


def call_study(folder: Path, disk: FaultyDisk | None, command: str = "run") -> tuple[int, str]:
    """Run the study in a fork of this process. Returns the exit status and the output."""
    output = folder.parent / f"{folder.name}.log"
    child = os.fork()
    if child == 0:
        status = CRASHED
        try:
            os.setsid()
            handle = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(handle, 1)
            os.dup2(handle, 2)
            for name, number in (("stdout", 1), ("stderr", 2)):
                setattr(sys, name, os.fdopen(number, "w", buffering=1, closefd=False))
            _run_study(folder, disk, command)
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    _, ended = os.waitpid(child, 0)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # a worker whose study has ended
    return os.waitstatus_to_exitcode(ended), output.read_text()


def _run_study(folder: Path, disk: FaultyDisk | None, command: str) -> None:
    """The program, with a tiny profile, workers forked from this process, and no page."""
    tiny = dataclasses.replace(_SMOKE, recipe=_SHORT, budgets=(1,), default_budgets=(1,))
    places = ["--results", f"{folder}/results", "--data", f"{folder}/data"]
    study = ["--profile", "smoke", "--corpus", f"{folder.parent}/text.txt", "--jobs", "1"]
    arguments = [command, "tiny", *study, "--checkpoint-seconds", "0", *places]
    with (
        patch.dict(profiles.PROFILES, smoke=tiny),
        patch.object(run_command, "PageBuilder", Collecting),
        patch.object(session_module, "Blocks"),
        patch.object(session_module, "_THEORY_TABLES", ()),
        patch.object(local, "multiprocessing", Forking),
        patch.object(local, "forkserver"),
        patch.object(leases, "SILENCE", 1.0),
        patch("os.fsync"),  # nothing of this has to outlive a real power cut
        patch.object(built_in, "__path__", [f"{folder.parent}/ablations"]),
        patch.object(sys, "argv", ["experiments", *arguments]),
    ):
        if disk:
            disk.install()
        command_line.main()


def problems(root: Path, undisturbed: Path, command: str, fault: str, at: int) -> Iterator[str]:
    """Problems after a fault at an operation, one text for each."""
    folder, journal = root / "study", root / "journal"
    for old in (folder, journal):
        shutil.rmtree(old, ignore_errors=True)
    folder.mkdir()
    status, output = call_study(folder, FaultyDisk(folder, journal, fault, at), command)
    if not (journal / "failed").exists():
        yield "no operation failed"
    if "Traceback" in output or status == CRASHED:
        yield f"the first call ended with status {status}: {output}"
    before = finished_summaries(folder, journal)
    if fault.startswith("power"):
        lose_unflushed(folder, journal, folders=fault == "power, all lost")
    for following in dict.fromkeys((command, "run")):
        status, again = call_study(folder, None, following)
        if status or "Traceback" in again:
            yield f"the next {following} ended with status {status}: {output}{again}"
            return
    after = summaries(folder)
    if lost := [run for run, summary in before.items() if after.get(run) != summary]:
        yield f"lost finished runs {lost}: {output}{again}"
    yield from differing(undisturbed, folder)


def finished_summaries(folder: Path, journal: Path) -> dict[str, bytes]:
    """The summaries that were flushed to disk with their folder, of runs that did not fail."""
    flushed: set[str] = set()
    renamed: set[str] = set()
    for kind, path, *_ in read_journal(journal):
        if kind == "rename" and path.endswith("/summary.json"):
            renamed.add(os.path.dirname(path))
        elif kind == "flushed" and path in renamed:
            flushed.add(os.path.basename(path))
    return {
        run: summary
        for run, summary in summaries(folder).items()
        if run in flushed and b'"status": "failed"' not in summary
    }


def main() -> None:
    """Try the operations, print the counts, and exit with status 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int, help="number of operations for each fault")
    parser.add_argument("--fault", choices=FAULTS, action="append", help="only this fault")
    parser.add_argument("--command", choices=("run", "work"), default="run")
    parser.add_argument("--at", type=int, help="only this operation")
    options = parser.parse_args()
    torch.set_num_threads(1)  # no thread may run when a study is forked
    environment()  # cached, here once for all studies
    began, wrong = time.monotonic(), 0
    with tempfile.TemporaryDirectory(prefix="crashes-") as place:
        root = Path(place)
        (root / "text.txt").write_text(words())
        (root / "ablations").mkdir()
        (root / "ablations" / "tiny.py").write_text(ABLATION)
        for command in dict.fromkeys(("run", options.command)):  # the operations are of the last
            undisturbed = root / f"undisturbed-{command}"
            undisturbed.mkdir()
            disk = FaultyDisk(undisturbed, root / "journal")
            status, output = call_study(undisturbed, disk, command)
            if status:
                sys.exit(f"the undisturbed study ended with status {status}: {output}")
        undisturbed = root / "undisturbed-run"
        operations = range(1, disk.operations.value + 1)
        print(f"{len(operations)} operations", flush=True)
        for place, fault in enumerate(options.fault or FAULTS):
            tried = list(operations)
            if options.sample:
                tried = random.Random(place).sample(tried, options.sample)
            for at in [options.at] if options.at else tried:
                for problem in problems(root, undisturbed, options.command, fault, at):
                    wrong += 1
                    print(f"{fault} at operation {at}: {problem}", flush=True)
            print(f"{fault}: {len(tried)} operations tried, {wrong} problems", flush=True)
    print(f"crash points: {wrong} problems in {(time.monotonic() - began) / 60:.1f} minutes")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
