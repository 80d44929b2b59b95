"""`bench`: measure how fast this machine trains."""

import os
import sys

from experiments.benchmarks.throughput import measure
from experiments.cli.options import VARIABLES, CorpusOptions, StudyOptions
from experiments.data.corpus import prepare_corpus
from experiments.errors import UserError


def bench(*, study: StudyOptions = StudyOptions(), corpus: CorpusOptions = CorpusOptions()) -> None:
    """Measure how fast this machine trains. Nothing else may be running."""
    if corpus.tokenizer != "characters":
        raise UserError(
            f"a benchmark is by character: TOKENIZER={corpus.tokenizer} is for training"
        )
    device, folder = study.local_device, study.folder
    corpus.prepare()
    prepare_corpus("tinyshakespeare", corpus.data)
    # The timed calls are of the study that is measured: a variable that chooses another one, as
    # PRECISION does, would make them train.
    for name in VARIABLES:
        os.environ.pop(name, None)
    program = [sys.executable, "-m", "experiments"]
    common = ["--profile", folder.name, "--device", device, "--results", str(study.results)]
    text = ["--corpus", corpus.corpus, "--data", str(corpus.data)]
    calls = [
        ("run, all done", [*program, "run", *common, *text]),
        ("report, all done", [*program, "report", *common]),
    ]
    measure(folder, corpus.data, device, corpus.corpus, calls)
