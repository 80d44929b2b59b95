"""A run carried out in this process by the worker's recorder, for tests of training."""

import json
import tempfile
from pathlib import Path
from typing import Any

import torch

from experiments.data.corpus import Corpus
from experiments.records.run_folder import RunFolder
from experiments.running.job import Job
from experiments.running.worker import Recorder
from experiments.spec import RunSpec


class NoProgress:
    """Stands in for the pipe to the parent process."""

    def send(self, message: object) -> None:
        """Drop the message."""


def run(spec: RunSpec, corpus: Corpus) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Summary of a run on the processor, and the points of its curves."""
    with tempfile.TemporaryDirectory() as results:
        folder = RunFolder(Path(results), spec.run_id)
        folder.start(spec, {})
        job = Job(corpus, Path(results), {})
        recorder = Recorder(spec, job, folder, {}, NoProgress())  # type: ignore[arg-type]
        summary = recorder.run(torch.device("cpu"))
        points = [json.loads(line) for line in folder.metrics.read_text().splitlines()]
    return summary, points
