"""Reading what a tracker keeps: a row per run, with the last value of each metric."""

from pathlib import Path

import pandas as pd

from report.adapters.logged_runs import table_of
from report.adapters.mlflow import database_runs
from report.adapters.tensorboard import event_runs
from report.adapters.wandb import offline_runs

DATABASE = ".db"

_KINDS = {
    "*tfevents*": "TensorBoard's event files",
    "*.wandb": "Weights & Biases' offline runs",
    "mlflow.db": "a database of MLflow",
}


def read_tracked(place: Path) -> pd.DataFrame:
    """The runs in one of MLflow's databases, or in a folder of TensorBoard's event files, of
    Weights & Biases' offline runs, or with the file mlflow.db.

    Returns a row per run with the columns `variant`, `seed`, `step` and one per metric. Variant and
    seed are those of the run's config, or else of its name, as in "pre-ln/seed-3".

    Raises:
        ValueError: the folder has no runs of these kinds or of several, the package that reads them
            is not installed, a file is damaged, or a run does not say its variant and seed.
    """
    if place.is_file():
        return table_of(database_runs(place))
    found = {pattern: files for pattern in _KINDS if (files := sorted(place.rglob(pattern)))}
    if len(found) != 1:
        kinds = ", ".join(f"{kind} ({pattern})" for pattern, kind in _KINDS.items())
        number = "none" if not found else "several"
        raise ValueError(f"{place} has {number} of these: {kinds}")
    ((pattern, files),) = found.items()
    if pattern == "*tfevents*":
        return table_of(event_runs(place, files))
    if pattern == "*.wandb":
        return table_of(offline_runs(files))
    return table_of(run for file in files for run in database_runs(file))
