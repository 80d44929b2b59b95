"""Probe that lets a network generate text."""

import torch

from experiments.probes.trained_model import ProbeTables, TrainedModel
from model.networks.generation import generate

_TOKENS = 500  # generated per sample


@torch.no_grad()
def samples(trained: TrainedModel) -> ProbeTables:
    """Five hundred tokens generated after a line break, at temperature 1 and greedily."""
    model, _, task = trained
    line_break = task.vocabulary.index("\n") if "\n" in task.vocabulary else 0
    start = torch.tensor([[line_break]], device=task.device)
    rows = []
    for kind, temperature in (("temperature 1", 1.0), ("greedy", 0.0)):
        tokens = generate(
            model, start, _TOKENS, temperature=temperature, cached=bool(model.cacheable)
        )
        rows.append({"kind": kind, "text": task.tokenizer.decode(tokens[0, 1:].tolist())})
    return {"samples": rows}
