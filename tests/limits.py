"""What a user sees when something is in the way: each case by the real program, on a small study.

Part of `make soak`. After each, the study goes on to its end. A case that the system cannot play
(a full disk needs a file system of our own) is said to be left out.
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


class Seen(NamedTuple):
    """What a case ended with, and whether that is what it should be."""

    case: str
    status: int
    said: str
    right: bool


class Study:
    """A small study in a folder of its own, as a user runs it."""

    def __init__(self, folder: Path, text: Path) -> None:
        self.folder, self.text, self.results = folder, text, folder / "results" / "smoke"
        folder.mkdir()

    def command(self, *options: str) -> list[str]:
        """The words of a call."""
        where = ["--results", str(self.results.parent), "--data", str(self.folder / "data")]
        what = ["heads", "--seeds", "4", "--profile", "smoke", "--corpus", str(self.text)]
        return [sys.executable, "-m", "experiments", "run", *what, *options, *where]

    def begin(self, *options: str) -> tuple[subprocess.Popen[str], list[psutil.Process]]:
        """Start a call, and wait until workers of it are at their runs. Returns it, and them."""
        process = started(self.command("--checkpoint-seconds", "0", *options))
        while not (workers := self.workers()) and process.poll() is None:
            time.sleep(0.02)
        return process, workers

    def workers(self) -> list[psutil.Process]:
        """The processes that train just now."""
        found = []
        for file in self.results.glob("runs/*/worker.json"):
            try:
                found.append(psutil.Process(int(re.findall(r"\d+", file.read_text())[0])))
            except (OSError, IndexError, psutil.Error):
                continue  # over in the meantime
        return found


def started(command: list[str]) -> subprocess.Popen[str]:
    """The call, in a group of its own that a terminal's Ctrl-C would reach."""
    return subprocess.Popen(
        command, env=clean_environment(), start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Its exit status, and all that it said."""
    said, _ = process.communicate()
    return process.returncode, said


def judged(case: str, status: int, said: str, should: int, expected: str) -> Seen:
    """Only the line that tells is kept."""
    lines = [line for line in said.splitlines() if re.search(expected, line)]
    right = status == should and bool(lines) and "Traceback" not in said
    return Seen(case, status, lines[-1] if lines else said.strip()[-300:], right)


def killed_worker(study: Study) -> Seen:
    process, workers = study.begin()
    workers[0].kill()
    return judged("a worker is killed", *ended(process), 1, "^failed: .*killed by SIGKILL")


def hung_worker(study: Study) -> Seen:
    process, workers = study.begin("--run-timeout", "6")
    workers[0].suspend()
    return judged("a worker hangs", *ended(process), 1, "^failed: .*RUN_TIMEOUT=6 seconds")


def interrupted(study: Study, times: int) -> Seen:
    process, workers = study.begin()
    for _ in range(times):
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.03)
    status, said = ended(process)
    _, left = psutil.wait_procs(workers, timeout=5)
    seen = judged(f"Ctrl-C, {times} times", status, said, 130, "^stopped; the next call goes on")
    return seen._replace(right=seen.right and not left)


def second_call(study: Study) -> Seen:
    first, _ = study.begin()
    seen = judged("a second call", *ended(started(study.command())), 2, f"process {first.pid}")
    status, _ = ended(first)
    return seen._replace(right=seen.right and status == 0)


def killed_outright(study: Study) -> Seen:
    process, _ = study.begin()
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    return judged("everything is killed", *ended(started(study.command())), 0, "runs trained")


def spoiled(study: Study, pattern: str, name: str = "") -> Seen:
    """Killed once there is a file of that pattern; then cut it short, or its neighbour `name`."""
    process, _ = study.begin()
    while not (files := sorted(study.folder.glob(pattern))):
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    file = files[0].with_name(name or files[0].name)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    again = ended(started(study.command()))
    what = re.sub(r"\d+", "N", file.name)
    return judged(f"{what} is cut short", *again, 0, "^damaged: .*set aside as")


def spoiled_study(study: Study) -> Seen:
    ended(study.begin()[0])
    (study.results / "study.json").write_text("{")
    words = ["report", "--profile", "smoke", "--results", str(study.results.parent)]
    said = ended(started([sys.executable, "-m", "experiments", *words]))
    return judged("study.json is cut short", *said, 2, "^error: .*study.json is damaged")


def on_a_disk(study: Study, case: str, mount: str, mended: str, expected: str) -> Seen:
    """In a name space of its own, where a user may mount; then mended, and called again."""
    study.results.parent.mkdir()
    shell = f'{mount} && {{ "$@"; first=$?; {mended} && "$@" || exit 99; exit $first; }}'
    disk = ["unshare", "--map-root-user", "--mount", "sh", "-c", shell, str(study.results.parent)]
    return judged(case, *ended(started([*disk, *study.command()])), 2, expected)


def cases() -> list[Callable[[Study], Seen]]:
    """All that this system can play."""
    over = "results/smoke/runs/*/summary.json"
    found: list[Callable[[Study], Seen]] = [
        killed_worker,
        hung_worker,
        functools.partial(interrupted, times=1),
        functools.partial(interrupted, times=3),
        second_call,
        killed_outright,
        spoiled_study,
        functools.partial(spoiled, pattern="results/smoke/runs/*/checkpoint.json"),
        functools.partial(spoiled, pattern=over),
        functools.partial(spoiled, pattern=over, name="metrics.jsonl"),
        functools.partial(spoiled, pattern="data/own/*/train.npy"),
    ]
    mounts = ["unshare", "--map-root-user", "--mount", "true"]
    if not shutil.which("unshare") or subprocess.run(mounts, check=False).returncode:
        print("left out, since nothing can be mounted here: a full disk, a read-only one")
        return found
    sizes = {300_000: "while training", 1_000_000: "by the page"}  # bytes of a disk
    more = 'mount -o remount,size=1g "$0"'
    locked = ("a read-only folder", 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0"')
    unlocked = 'mount -o remount,bind,rw "$0"'
    return [
        *found,
        *(
            functools.partial(
                on_a_disk,
                case=f"a disk is full {when}",
                mount=f'mount -t tmpfs -o size={size} none "$0"',
                mended=more,
                expected="^error: No space left on device",
            )
            for size, when in sizes.items()
        ),
        lambda study: on_a_disk(study, *locked, unlocked, "^error: Read-only file system"),
    ]


def seen() -> Iterator[Seen]:
    """Every case, and whether its study could go on to its end."""
    with tempfile.TemporaryDirectory(prefix="limits-") as folder:
        text = Path(folder) / "text.txt"
        text.write_text(words())
        for i, case in enumerate(cases()):
            study = Study(Path(folder) / str(i), text)
            found = case(study)
            if found.status:  # else it is at its end already
                status, said = ended(started(study.command()))
                found = found._replace(right=found.right and not status and "Trace" not in said)
            yield found


def main() -> bool:
    """Tell what was seen, as a table. Returns whether all was right."""
    right = True
    signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background, a shell is deaf
    print("| what | exit | what the user sees | as it should be, and the study goes on |")
    print("|---|---|---|---|", flush=True)
    for one in seen():
        said = one.said.replace(tempfile.gettempdir(), "").replace("|", "/")
        print(
            f"| {one.case} | {one.status} | {said} | {'yes' if one.right else 'NO'} |", flush=True
        )
        right &= one.right
    return right


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
