"""Reading a tracker's folder: a row per run, with the last value of each metric."""

from pathlib import Path

import pandas as pd

from report.adapters.logged_runs import table_of
from report.adapters.tensorboard import event_runs
from report.adapters.wandb import offline_runs


def read_folder(folder: Path) -> pd.DataFrame:
    """The runs in a folder of TensorBoard's event files or of Weights & Biases' offline runs.

    Returns a row per run with the columns `variant`, `seed`, `step` and one per metric. Variant and
    seed are those of the run's config, or else of its name, as in "pre-ln/seed-3".

    Raises:
        ValueError: the folder has no runs of these kinds or of both, the package that reads them is
            not installed, a file is damaged, or a run does not say its variant and seed.
    """
    events = [*folder.rglob("*tfevents*")]
    offline = [*folder.rglob("*.wandb")]
    if bool(events) == bool(offline):
        kinds = "both" if events else "neither"
        raise ValueError(
            f"{folder} has {kinds} TensorBoard's event files (*tfevents*)"
            f" {'and' if events else 'nor'} Weights & Biases' offline runs (*.wandb)"
        )
    runs = event_runs(folder, events) if events else offline_runs(offline)
    return table_of(runs)
