"""Baselines that the benchmark compares the study's runner with. Each runs in its own process.

`python -m experiments.benchmarks.baselines NAME ARGUMENTS` prints the result of a baseline as JSON.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from experiments.benchmarks.calibration import NANOGPT, NANOGPT_RECIPE, spec_of
from experiments.benchmarks.timing import fastest_matrix_product, median_seconds
from experiments.benchmarks.whole_runs import TO_QUALITY, Row, through_runner
from experiments.data.corpus import prepare_corpus
from experiments.records.provenance import usable_cores
from experiments.training.evaluate import final_scores
from experiments.training.events import TrainingState
from experiments.training.loop import train
from experiments.training.loss import cross_entropy
from experiments.training.tasks import build_task
from model import ModelConfig, build

_SECONDS = 3.0  # of timing


def plain(device: str) -> Row:
    """Tokens per second of nanoGPT's recipe in a minimal training loop.

    The loop is in float32, uses all threads and evaluates nothing. The speed is of the median step.
    """
    torch.set_num_threads(usable_cores())
    model = build(ModelConfig(vocab_size=65, **NANOGPT)).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=NANOGPT_RECIPE.learning_rate)
    shape = (NANOGPT_RECIPE.batch_size, NANOGPT["context_length"] + 1)
    tokens = torch.randint(65, shape, device=device)

    def step() -> None:
        loss = cross_entropy(model(tokens[:, :-1]), tokens[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), NANOGPT_RECIPE.gradient_clip)
        optimizer.step()

    tokens_per_step = NANOGPT_RECIPE.batch_size * NANOGPT["context_length"]
    seconds = median_seconds(step, _SECONDS, torch.device(device))
    return {"tokens_per_second": tokens_per_step / seconds}


def peak(device: str, precision: str) -> Row:
    """Floating-point operations per second of the fastest matrix product on one thread."""
    torch.set_num_threads(1)
    sizes = (512, 1024) if device == "cpu" else (4096, 8192)
    _, _, speed = fastest_matrix_product(sizes, precision, _SECONDS / 3, torch.device(device))
    return {"flops_per_second": speed}


def quality(what: str, device: str, data: str) -> Row:
    """Final validation loss of a training of `TO_QUALITY`.

    nanoGPT's recipe is trained in this process with all cores, other recipes in the study's runner.
    """
    corpus = prepare_corpus("tinyshakespeare", Path(data))
    spec = spec_of(corpus, *TO_QUALITY[what], seed=0)
    if what == "nanoGPT's recipe":
        torch.set_num_threads(usable_cores())
        place = torch.device(device)
        task, state = build_task(spec, corpus, place), TrainingState.initial(spec, place)
        for _ in train(spec, task, state):
            pass
        summary = final_scores(spec, task, state.model)
    else:
        _, (summary,) = through_runner([spec], corpus, [device])
    return {"loss": summary["val_loss"]}


BASELINES: dict[str, Callable[..., Row]] = {"plain": plain, "peak": peak, "quality": quality}

if __name__ == "__main__":
    print(json.dumps(BASELINES[sys.argv[1]](*sys.argv[2:])))
