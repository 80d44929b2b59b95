"""Kill small studies at random moments, fifty times, and spoil their files: `make soak`.

Each study is compared, when it is over, with one that nobody disturbed: no finished run may be
lost, and no row may differ, times aside. Then every limit is met once. It stops by itself.
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
from tests import limits
from tests.helping import TIMED, flipped, words

KILLS = 50
KILLS_OF_A_STUDY = 10  # then it goes on to its end
LONGEST = 12.0  # seconds that a call is left alone
ABLATIONS = ("heads", "head-roles", "ladder")  # with probes, with learning rates to choose
SEEDS = "4"
TABLES = ("runs", "curves", "membership", "tuning", "identities", "theory", *PROBE_TABLES)


def command(folder: Path) -> list[str]:
    where = ["--results", str(folder / "results"), "--data", str(folder.parent / "data")]
    what = ["--profile", "smoke", "--seeds", SEEDS, "--corpus", str(folder.parent / "text.txt")]
    often = ["--checkpoint-seconds", "0"]
    return [sys.executable, "-m", "experiments", "run", *ABLATIONS, *what, *often, *where]


def started(folder: Path) -> subprocess.Popen[str]:
    folder.mkdir(exist_ok=True)
    return limits.started(command(folder))


def to_its_end(folder: Path) -> str:
    process = started(folder)
    said, _ = process.communicate()
    if process.returncode:
        sys.exit(f"a call ended with status {process.returncode}: {said}")
    return said


def finished(folder: Path) -> dict[str, bytes]:
    files = (folder / "results" / "smoke" / "runs").glob("*/summary.json")
    return {file.parent.name: file.read_bytes() for file in files}


def differing(one: Path, other: Path) -> Iterator[str]:
    """The tables that differ, with how many rows."""
    for name in TABLES:
        both = [plain(read_table(folder / "results" / "smoke", name)) for folder in (one, other)]
        if both[0] != both[1]:
            rows = len(set(both[0]) ^ set(both[1]))
            yield f"{name}: {rows} rows"


def plain(table: pd.DataFrame) -> list[str]:
    kept = table.drop(columns=list(TIMED & set(table.columns)))
    return sorted(map(repr, kept.astype(object).where(kept.notna(), None).values.tolist()))


def killed_again_and_again(folder: Path, left: int, chance: random.Random) -> tuple[int, int]:
    """Kills up to `left` times, until the study is over. Returns the kills and what was lost."""
    kills = lost = 0
    while kills < left:
        before = finished(folder)
        process = started(folder)
        try:
            process.wait(chance.uniform(0.1, LONGEST))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
            time.sleep(0.2)
            after = finished(folder)
            lost += sum(after.get(run) != summary for run, summary in before.items())
        else:
            break
        finally:
            if process.stdout:
                process.stdout.close()
    return kills, lost


def spoiled(folder: Path, chance: random.Random) -> int:
    """Spoil one file of each kind, in a run of its own. Returns how many."""
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
    """Soak, tell the counts, and leave with status 1 where anything was lost or differs."""
    began, chance = time.monotonic(), random.Random(0)
    kills = lost = studies = 0
    wrong: list[str] = []
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        root = Path(folder)
        (root / "text.txt").write_text(words())
        to_its_end(root / "undisturbed")
        while kills < KILLS:
            study = root / f"study-{studies}"
            more, gone = killed_again_and_again(study, KILLS_OF_A_STUDY, chance)
            kills, lost, studies = kills + more, lost + gone, studies + 1
            to_its_end(study)
            wrong += differing(root / "undisturbed", study)
            print(
                f"{kills} kills in {studies} studies: {lost} finished runs lost, {wrong}",
                flush=True,
            )
        count = spoiled(study, chance)
        said = to_its_end(study)
        named = said.count("damaged: ")
        wrong += differing(root / "undisturbed", study)
        print(f"{count} files spoiled, of them {named} of runs and named, all redone")
    print(
        f"soak: {kills} kills over {studies} studies, {lost} finished runs lost,"
        f" {len(wrong)} tables differing, in {(time.monotonic() - began) / 60:.1f} minutes"
    )
    right = limits.main()
    sys.exit(1 if lost or wrong or named != 4 or not right else 0)


if __name__ == "__main__":
    main()
