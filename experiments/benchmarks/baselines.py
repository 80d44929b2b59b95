"""What the benchmark compares the study's runner with, each in a process of its own.

`python -m experiments.benchmarks.baselines NAME ARGUMENTS` prints what one of them finds as JSON.
"""

import functools
import json
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from experiments.benchmarks.calibration import NANOGPT, NANOGPT_RECIPE, spec_of
from experiments.benchmarks.costs import DTYPES, timed
from experiments.benchmarks.throughput import TO_QUALITY, Row, through_runner
from experiments.data.corpus import prepare_corpus
from experiments.records.provenance import usable_cores
from experiments.spec import TUNING_SEED
from experiments.training.loop import train
from experiments.training.loss import cross_entropy
from model import ModelConfig, build

_ENOUGH = 3.0  # seconds of timing


def plain(device: str) -> Row:
    """nanoGPT's recipe in the loop that everybody writes first: float32, all threads on the one
    training, nothing evaluated; tokens a second of the median step.
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

    tokens_of_one = NANOGPT_RECIPE.batch_size * NANOGPT["context_length"]
    return {"tokens_per_second": tokens_of_one / timed(step, _ENOUGH, torch.device(device))}


def peak(device: str, precision: str) -> Row:
    """Floating-point operations per second of one thread's best square matrix product."""
    torch.set_num_threads(1)
    best = 0.0
    for n in (512, 1024) if device == "cpu" else (4096, 8192):
        a, b = torch.randn(2, n, n, device=device).to(DTYPES[precision])
        seconds = timed(functools.partial(torch.matmul, a, b), _ENOUGH / 3, torch.device(device))
        best = max(best, 2 * n**3 / seconds)
    return {"flops_per_second": best}


def quality(what: str, device: str, data: str) -> Row:
    """One training of TO_QUALITY, and the loss it ends at: in the study's runner, or, of what it is
    compared with, in a process that all cores work for.
    """
    corpus = prepare_corpus("tinyshakespeare", Path(data))
    spec = spec_of(corpus, *TO_QUALITY[what], TUNING_SEED)
    if what == "nanoGPT's recipe":
        torch.set_num_threads(usable_cores())
        summary = train(spec, corpus, torch.device(device), lambda **_: None)
    else:
        _, (summary,) = through_runner([spec], corpus, [device])
    return {"loss": summary["val_loss"]}


YARDSTICKS: dict[str, Callable[..., Row]] = {"plain": plain, "peak": peak, "quality": quality}

if __name__ == "__main__":
    print(json.dumps(YARDSTICKS[sys.argv[1]](*sys.argv[2:])))
