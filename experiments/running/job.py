"""What the runs of a study are given besides their specs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.data.corpus import Corpus


@dataclass(frozen=True)
class Job:
    """What all runs of a study have in common."""

    corpus: Corpus
    results: Path
    environment: dict[str, Any]
    checkpoint_seconds: float = 10.0  # at least, between two of a run
    run_timeout: float | None = None  # seconds after which a run is taken to hang
    slots_per_gpu: int = 1  # at the same time, on a graphics card
    keep_weights: bool = False  # of a network that is trained, in its run's folder
