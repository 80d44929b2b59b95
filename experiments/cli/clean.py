"""`clean`: delete results."""

import shutil
from pathlib import Path

from experiments.cli.options import ProfileName, Results, check_known
from experiments.profiles import PROFILES
from experiments.running.lock import results_lock


def clean(*, profile: ProfileName = "auto", results: Results = Path("results")) -> None:
    """Delete the results of the profile that is named."""
    check_known("profile to delete", [profile], PROFILES)
    folder = results / profile
    if folder.exists():
        with results_lock(folder), results_lock(folder / "by-hand"):
            shutil.rmtree(folder)
        print(f"deleted {folder}")
