"""Kill small studies fifty times at random moments, and damage their files: `make soak`.

When a study is finished, its tables are compared with those of an undisturbed study: no finished
run may be lost, and no row may differ except in times. Then every case of `tests.failures` follows.
"""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from experiments.records.collect import PROBE_TABLES, read_table
from experiments.records.run_folder import MEASURED
from tests import failures
from tests.helping import TIMED, flipped, words

KILLS = 50
KILLS_OF_A_STUDY = 10  # then the study is run to its end
LONGEST = 12.0  # seconds until a call is killed, at most
ABLATIONS = ("heads", "head-roles", "ladder")  # with probes, and with learning rates to choose
SEEDS = "4"
TABLES = ("runs", "curves", "membership", "tuning", "identities", "theory", *PROBE_TABLES)


def command(folder: Path) -> list[str]:
    folders = ["--results", str(folder / "results"), "--data", str(folder.parent / "data")]
    study = ["--profile", "smoke", "--seeds", SEEDS, "--corpus", str(folder.parent / "text.txt")]
    options = [*study, "--checkpoint-seconds", "0", *folders]
    return [sys.executable, "-m", "experiments", "run", *ABLATIONS, *options]


def started(folder: Path) -> subprocess.Popen[str]:
    folder.mkdir(exist_ok=True)
    return failures.started(command(folder))


def run_to_end(folder: Path) -> str:
    """Run the study in a folder to its end, and return the output."""
    status, output = failures.ended(started(folder))
    if status:
        sys.exit(f"a call ended with status {status}: {output}")
    return output


def summaries(folder: Path) -> dict[str, bytes]:
    """The summaries of the finished runs, by run id."""
    files = (folder / "results" / "smoke" / "runs").glob("*/summary.json")
    return {file.parent.name: file.read_bytes() for file in files}


def differing(one: Path, other: Path) -> Iterator[str]:
    """The tables that differ, each with the number of differing rows."""
    for name in TABLES:
        rows_of_both = [
            plain(read_table(folder / "results" / "smoke", name)) for folder in (one, other)
        ]
        first, second = rows_of_both
        if first != second:
            yield f"{name}: {len(set(first) ^ set(second))} rows"


def plain(table: pd.DataFrame) -> list[str]:
    """The rows of a table as texts in alphabetical order, without times."""
    table = table.drop(columns=list(TIMED & set(table.columns)))
    return sorted(map(repr, table.astype(object).where(table.notna(), None).values.tolist()))


def kill_repeatedly(folder: Path, most: int, chance: random.Random) -> tuple[int, int]:
    """Kill a study at most `most` times. Returns the number of kills and of lost finished runs."""
    kills = lost = 0
    while kills < most:
        before = summaries(folder)
        process = started(folder)
        try:
            process.wait(chance.uniform(0.1, LONGEST))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
            time.sleep(0.2)
            after = summaries(folder)
            lost += sum(after.get(run) != summary for run, summary in before.items())
        else:
            break
        finally:
            if process.stdout:
                process.stdout.close()
    return kills, lost


def flip_bits(folder: Path, chance: random.Random) -> int:
    """Flip a bit in one file of each kind, each in another run. Returns the number of files."""
    runs = sorted((folder / "results" / "smoke" / "runs").iterdir())
    files = [
        next(run.glob(name))
        for run, name in zip(
            chance.sample([run for run in runs if list(run.glob("probes/heads.json"))], 4),
            ("summary.json", "metrics.jsonl", "probes/heads.json", "spec.json"),
            strict=True,
        )
    ]
    files += [folder / "results" / "smoke" / f"{name}.parquet" for name in MEASURED[:2]]
    for file in files:
        content = file.read_bytes()
        place, bit = chance.randrange(len(content)), 1 << chance.randrange(8)
        file.write_bytes(flipped(content, place, bit))
    return len(files)


def main() -> None:
    """Run the test, print the counts, and exit with status 1 if anything was lost or differs."""
    began, chance = time.monotonic(), random.Random(0)
    kills = lost = studies = 0
    differences: list[str] = []
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        root = Path(folder)
        (root / "text.txt").write_text(words())
        run_to_end(root / "undisturbed")
        while kills < KILLS:
            study = root / f"study-{studies}"
            new_kills, new_losses = kill_repeatedly(study, KILLS_OF_A_STUDY, chance)
            kills, lost, studies = kills + new_kills, lost + new_losses, studies + 1
            run_to_end(study)
            differences += differing(root / "undisturbed", study)
            print(
                f"{kills} kills in {studies} studies: {lost} finished runs lost, {differences}",
                flush=True,
            )
        count = flip_bits(study, chance)
        named = run_to_end(study).count("damaged: ")
        differences += differing(root / "undisturbed", study)
        print(
            f"{count} files damaged, {named} of them of runs and named in a message; all made again"
        )
    print(
        f"soak: {kills} kills over {studies} studies, {lost} finished runs lost,"
        f" {len(differences)} tables differing, in {(time.monotonic() - began) / 60:.1f} minutes"
    )
    expected = failures.main()
    sys.exit(1 if lost or differences or named != 4 or not expected else 0)


if __name__ == "__main__":
    main()
