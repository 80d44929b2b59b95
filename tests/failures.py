"""Failures of a study and what the user sees: each case with the real program on a small study.

Part of `make soak`. After every failure the study must be able to finish. A case that this system
cannot produce is left out, with a message: a full disk needs a file system of its own.
"""

import functools
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import psutil

from tests.helping import clean_environment, words


class Outcome(NamedTuple):
    """Exit status and message of a case, and whether both are as expected."""

    case: str
    status: int
    message: str
    expected: bool


class Study:
    """A small study in a folder of its own, as a user runs it."""

    def __init__(self, folder: Path, text: Path) -> None:
        self.folder, self.text, self.results = folder, text, folder / "results" / "smoke"
        folder.mkdir()

    def command(self, *options: str) -> list[str]:
        """The command that runs the study."""
        folders = ["--results", str(self.results.parent), "--data", str(self.folder / "data")]
        study = ["heads", "--seeds", "4", "--profile", "smoke", "--corpus", str(self.text)]
        return [sys.executable, "-m", "experiments", "run", *study, *options, *folders]

    def begin(self, *options: str) -> tuple[subprocess.Popen[str], list[psutil.Process]]:
        """Start the command and wait until its workers train. Returns the command and workers."""
        process = started(self.command("--checkpoint-seconds", "0", *options))
        while not (workers := self.workers()) and process.poll() is None:
            time.sleep(0.02)
        return process, workers

    def workers(self) -> list[psutil.Process]:
        """The worker processes that are training."""
        workers = []
        for file in self.results.glob("runs/*/worker.json"):
            try:
                workers.append(psutil.Process(int(re.findall(r"\d+", file.read_text())[0])))
            except (OSError, IndexError, psutil.Error):
                continue  # the worker has ended in the meantime
        return workers


def started(command: list[str]) -> subprocess.Popen[str]:
    """Start a command in a process group of its own, which Ctrl-C in a terminal would reach."""
    return subprocess.Popen(
        command,
        env=clean_environment(),
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for a command. Returns its exit status and output."""
    output, _ = process.communicate()
    return process.returncode, output


def compare(case: str, status: int, output: str, wanted: int, pattern: str) -> Outcome:
    """Compare status and output with the wanted status and a pattern of the message."""
    lines = [line for line in output.splitlines() if re.search(pattern, line)]
    expected = status == wanted and bool(lines) and "Traceback" not in output
    return Outcome(case, status, lines[-1] if lines else output.strip()[-300:], expected)


def killed_worker(study: Study) -> Outcome:
    process, workers = study.begin()
    workers[0].kill()
    return compare("a worker is killed", *ended(process), 1, "^failed: .*killed by SIGKILL")


def hung_worker(study: Study) -> Outcome:
    process, workers = study.begin("--run-timeout", "6")
    workers[0].suspend()
    return compare("a worker hangs", *ended(process), 1, "^failed: .*RUN_TIMEOUT=6 seconds")


def interrupted(study: Study, times: int) -> Outcome:
    process, workers = study.begin()
    for _ in range(times):
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.03)
    status, output = ended(process)
    _, alive = psutil.wait_procs(workers, timeout=5)
    outcome = compare(
        f"Ctrl-C, {times} times", status, output, 130, "^stopped; the next call goes on"
    )
    return outcome._replace(expected=outcome.expected and not alive)


def second_call(study: Study) -> Outcome:
    first, _ = study.begin()
    second = ended(started(study.command()))
    outcome = compare("a second call", *second, 2, f"process {first.pid}")
    status, _ = ended(first)
    return outcome._replace(expected=outcome.expected and status == 0)


def killed_study(study: Study) -> Outcome:
    process, _ = study.begin()
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    return compare("all processes are killed", *ended(started(study.command())), 0, "runs trained")


def truncated(study: Study, pattern: str, name: str = "") -> Outcome:
    """Kill the study as soon as a file matches the pattern, and truncate the file, or the file
    called `name` beside it.
    """
    process, _ = study.begin()
    while not (files := sorted(study.folder.glob(pattern))):
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    file = files[0].with_name(name or files[0].name)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    again = ended(started(study.command()))
    kind = re.sub(r"\d+", "N", file.name)
    return compare(f"{kind} is truncated", *again, 0, "^damaged: .*set aside as")


def truncated_study(study: Study) -> Outcome:
    ended(study.begin()[0])
    (study.results / "study.json").write_text("{")
    report = ["report", "--profile", "smoke", "--results", str(study.results.parent)]
    result = ended(started([sys.executable, "-m", "experiments", *report]))
    return compare("study.json is truncated", *result, 2, "^error: .*study.json is damaged")


def on_a_disk(study: Study, case: str, mount: str, repair: str, pattern: str) -> Outcome:
    """Run the study on a disk that is mounted with `mount`; then repair the disk and run again.

    The mount is in a name space of its own, where a user may mount.
    """
    study.results.parent.mkdir()
    shell = f'{mount} && {{ "$@"; first=$?; {repair} && "$@" || exit 99; exit $first; }}'
    disk = ["unshare", "--map-root-user", "--mount", "sh", "-c", shell, str(study.results.parent)]
    return compare(case, *ended(started([*disk, *study.command()])), 2, pattern)


def cases() -> list[Callable[[Study], Outcome]]:
    """All cases that this system can produce."""
    summary = "results/smoke/runs/*/summary.json"
    without_disks: list[Callable[[Study], Outcome]] = [
        killed_worker,
        hung_worker,
        functools.partial(interrupted, times=1),
        functools.partial(interrupted, times=3),
        second_call,
        killed_study,
        truncated_study,
        functools.partial(truncated, pattern="results/smoke/runs/*/checkpoint.json"),
        functools.partial(truncated, pattern=summary),
        functools.partial(truncated, pattern=summary, name="metrics.jsonl"),
        functools.partial(truncated, pattern="data/own/*/train.npy"),
    ]
    mount = ["unshare", "--map-root-user", "--mount", "true"]
    if not shutil.which("unshare") or subprocess.run(mount, check=False).returncode:
        print("left out, because this system cannot mount disks here: full and read-only disks")
        return without_disks
    full_disks = [
        functools.partial(
            on_a_disk,
            case=f"a disk is full {when}",
            mount=f'mount -t tmpfs -o size={size} none "$0"',
            repair='mount -o remount,size=1g "$0"',
            pattern="^error: No space left on device",
        )
        for size, when in {300_000: "while training", 1_000_000: "by the page"}.items()
    ]
    read_only = functools.partial(
        on_a_disk,
        case="a read-only folder",
        mount='mount --bind "$0" "$0" && mount -o remount,bind,ro "$0"',
        repair='mount -o remount,bind,rw "$0"',
        pattern="^error: Read-only file system",
    )
    return [*without_disks, *full_disks, read_only]


def outcomes() -> Iterator[Outcome]:
    """The outcome of every case. A study that cannot finish afterwards is not as expected."""
    with tempfile.TemporaryDirectory(prefix="failures-") as folder:
        text = Path(folder) / "text.txt"
        text.write_text(words())
        for i, case in enumerate(cases()):
            study = Study(Path(folder) / str(i), text)
            outcome = case(study)
            if outcome.status:  # with status 0 the study has finished
                status, output = ended(started(study.command()))
                finished = status == 0 and "Traceback" not in output
                outcome = outcome._replace(expected=outcome.expected and finished)
            yield outcome


def main() -> bool:
    """Print the outcomes as a table. Returns whether all are as expected."""
    expected = True
    # A shell starts background commands with SIGINT ignored, and children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    print("| case | exit status | message | as expected, and the study finishes |")
    print("|---|---|---|---|", flush=True)
    for outcome in outcomes():
        message = outcome.message.replace(tempfile.gettempdir(), "").replace("|", "/")
        verdict = "yes" if outcome.expected else "NO"
        print(f"| {outcome.case} | {outcome.status} | {message} | {verdict} |", flush=True)
        expected &= outcome.expected
    return expected


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
