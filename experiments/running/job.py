"""A job: what all runs of a study share besides their specs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.data.corpus import Corpus


@dataclass(frozen=True)
class Job:
    """Corpus, results folder and settings that all runs of a study share.

    environment: versions, code and hardware, for the summaries.
    checkpoint_seconds: least time between two checkpoints of a run.
    run_timeout: seconds after which a run is taken to hang and ended; None for never.
    slots_per_gpu: runs at the same time on each GPU.
    keep_weights: whether the weights of a trained network stay in its run folder.
    member: the name under which this process takes runs, if other processes train runs of the same
        folder.
    """

    corpus: Corpus
    results: Path
    environment: dict[str, Any]
    checkpoint_seconds: float = 10.0
    run_timeout: float | None = None
    slots_per_gpu: int = 1
    keep_weights: bool = False
    member: str = ""
