"""Baselines that the benchmark compares the study's runner with. Each runs in its own process.

`python -m experiments.benchmarks.baselines NAME ARGUMENTS` prints the result of a baseline as JSON.
"""

import json
import pickle
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import torch

from experiments.benchmarks.calibration import NANOGPT, NANOGPT_RECIPE, spec_of
from experiments.benchmarks.step_profile import step_profile
from experiments.benchmarks.timing import fastest_matrix_product, median_seconds
from experiments.benchmarks.whole_runs import TO_QUALITY, Row, through_runner
from experiments.data.corpus import prepare_corpus
from experiments.errors import UserError
from experiments.recipe import Precision
from experiments.records.provenance import usable_cores
from experiments.training.evaluate import final_scores
from experiments.training.events import TrainingState
from experiments.training.loop import train
from experiments.training.loss import cross_entropy
from experiments.training.tasks import build_task
from experiments.training.torch_setup import configure_torch
from model import ModelConfig, build

_SECONDS = 3.0  # of timing
_NANOGPT_STEPS = 150


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


def nanogpt(checkout: str, device: str, data: str) -> Row:
    """Tokens per second of nanoGPT itself: its own `train.py`, by the command of its README for a
    processor, of which this takes the first steps. The speed is of the median step.

    A copy of the checkout is trained, so nothing is written into it.

    Raises:
        UserError: `checkout` is not nanoGPT's, or its program fails.
    """
    corpus = prepare_corpus("tinyshakespeare", Path(data))
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name) / "nanoGPT"
        try:
            copy.mkdir()
            for file in ("train.py", "model.py", "configurator.py"):
                shutil.copy(Path(checkout) / file, copy)
            shutil.copytree(Path(checkout) / "config", copy / "config")
        except OSError as error:
            raise UserError(f"NANOGPT={checkout} is no checkout of nanoGPT: {error}") from None
        folder = copy / "data" / "shakespeare_char"
        folder.mkdir(parents=True)
        for split in ("train", "val"):
            corpus.tokens(split).astype(np.uint16).tofile(folder / f"{split}.bin")
        with (folder / "meta.pkl").open("wb") as meta:
            pickle.dump({"vocab_size": len(corpus.vocabulary)}, meta)
        command = [sys.executable, "train.py", "config/train_shakespeare_char.py"]
        command += [f"--device={device}", "--compile=False", "--eval_iters=20", "--log_interval=1"]
        command += ["--block_size=64", "--batch_size=12", "--n_layer=4", "--n_head=4"]
        command += ["--n_embd=128", "--lr_decay_iters=2000", "--dropout=0.0"]
        command += [f"--max_iters={_NANOGPT_STEPS}"]
        done = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)
    milliseconds = [float(time) for time in re.findall(r"time ([\d.]+)ms", done.stdout)]
    if done.returncode or not milliseconds:
        raise UserError(f"nanoGPT's train.py failed: {' '.join(done.stderr.split())[-300:]}")
    tokens_per_step = NANOGPT_RECIPE.batch_size * NANOGPT["context_length"]
    return {"tokens_per_second": 1000 * tokens_per_step / statistics.median(milliseconds)}


def step(shape: str, precision: str, device: str) -> Row:
    """A training step on one thread, divided by kind of operation."""
    configure_torch()
    return step_profile(shape, cast(Precision, precision), torch.device(device), _SECONDS)


def peak(device: str, precision: str) -> Row:
    """Floating-point operations per second of the fastest matrix product on one thread."""
    configure_torch()
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


BASELINES: dict[str, Callable[..., Row]] = {
    "nanogpt": nanogpt,
    "plain": plain,
    "peak": peak,
    "quality": quality,
    "step": step,
}

if __name__ == "__main__":
    try:
        print(json.dumps(BASELINES[sys.argv[1]](*sys.argv[2:])))
    except UserError as error:
        sys.exit(f"error: {error}")
