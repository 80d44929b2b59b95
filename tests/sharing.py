"""Four processes share a small study, and are killed at random moments: part of `make soak`.

Each killed process is started again. At the end every run must have been trained once, or once more
for each kill that interrupted it, and the tables must equal those of a study by one process.
"""

import contextlib
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests import soak
from tests.failures import started
from tests.helping import words

PROCESSES = 4
KILLS = 20
LONGEST = 2.0  # seconds until the next kill once a run has finished, at most


def command(folder: Path) -> list[str]:
    """The call of `work` on the study that `tests.soak` trains by `run`."""
    run = soak.command(folder)
    place = run.index("run")
    return [*run[:place], "work", *run[place + 1 :], "--jobs", "1"]


def share(folder: Path, processes: int, kills: int, chance: random.Random) -> list[str]:
    """Train a study by several processes with kills at random moments. Returns what went wrong."""
    folder.mkdir()
    running = [started(command(folder)) for _ in range(processes)]
    for _ in range(kills):
        finished = len(soak.summaries(folder))
        while len(soak.summaries(folder)) == finished:
            time.sleep(0.1)
        time.sleep(chance.uniform(0, LONGEST))
        place = chance.randrange(processes)
        with contextlib.suppress(ProcessLookupError):  # it has finished
            os.killpg(running[place].pid, signal.SIGKILL)
        running[place].communicate()
        running[place] = started(command(folder))
    ends = [(process.communicate()[0], process.returncode) for process in running]
    problems = [f"status {status}: {output}" for output, status in ends if status]
    leases = Counter(file.stem for file in (folder / "results" / "smoke" / "leases").glob("*.*"))
    more = sum(leases.values()) - len(leases)
    print(f"{len(leases)} runs, taken over {more} times after {kills} kills", flush=True)
    if more > kills:
        problems.append(f"{more} runs were taken again after {kills} kills")
    return problems


def main() -> None:
    """Run the test, print the counts, and exit with status 1 if anything differs."""
    with tempfile.TemporaryDirectory(prefix="sharing-") as folder:
        root = Path(folder)
        (root / "text.txt").write_text(words())
        soak.run_to_end(root / "undisturbed")
        problems = share(root / "shared", PROCESSES, KILLS, random.Random(0))
        soak.run_to_end(root / "shared")  # measures costs, and writes the tables
        problems += soak.differing(root / "undisturbed", root / "shared")
    print("\n".join(problems) or "every run once, and equal tables")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
