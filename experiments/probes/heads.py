"""Probes of attention heads: where they look, and what is lost without them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from experiments.probes.trained_model import ProbeTables, TrainedModel, validation_losses
from experiments.training.windows import evaluation_starts, windows_at
from model import build
from model.attention import Attention, recorded_attention

_LITTLE_LOSS = 0.02  # nats per token: what may be lost when heads are switched off
_PASSAGE = 96  # tokens
# A weight below is zero: its logarithm would be infinite.
_LEAST_WEIGHT = torch.finfo(torch.float32).tiny


@torch.no_grad()
def heads(subject: TrainedModel) -> ProbeTables:
    """How each head attends, on held-out text: entropy, distance, variance of the logits, the
    weight on the previous token and on the first; and, in a random text that repeats, the weight on
    what followed a token the last time (induction, Olsson 2022).

    Two nulls beside each score: the untrained network's, and the trained network's on the same
    text shuffled; for induction, on a random text that does not repeat.
    """
    model, spec, task = subject
    if not any(isinstance(module, Attention) for module in model.modules()):
        return {}
    context, device = spec.model.context_length, task.device
    starts = evaluation_starts(len(task.tokens["val"]), context, 32).to(device)
    text, _ = windows_at(task.tokens["val"], starts, context)
    random = torch.Generator().manual_seed(0)
    order = torch.stack([torch.randperm(context, generator=random) for _ in text]).to(device)
    size = (len(text), context // 2)
    first, second = (
        torch.randint(spec.model.vocab_size, size, generator=random).to(device) for _ in range(2)
    )
    repeating, not_repeating = torch.cat([first, first], 1), torch.cat([first, second], 1)
    with torch.random.fork_rng():  # what the run draws after us is its own
        torch.manual_seed(spec.seed)
        untrained = build(spec.model).to(device).eval()
    scores = {
        "value": _head_scores(model, text, repeating),
        "untrained": _head_scores(untrained, text, repeating),
        "shuffled": _head_scores(model, text.gather(1, order), not_repeating),
    }
    rows = [
        {"layer": layer, "head": head, "score": score}
        | {kind: found[score][layer, head].item() for kind, found in scores.items()}
        for score, values in scores["value"].items()
        for layer in range(values.shape[0])
        for head in range(values.shape[1])
    ]
    measures = [
        {"measure": f"{score}_excess", "value": (best - scores["untrained"][score].max()).item()}
        for score in ("previous", "first", "induction")
        for best in [scores["value"][score].max()]
    ]
    mean_entropy = scores["value"]["entropy"].mean().item()
    measures.append({"measure": "attention_entropy", "value": mean_entropy})
    return {"heads": rows, "measures": measures}


def _head_scores(model: nn.Module, text: Tensor, repeating: Tensor) -> dict[str, Tensor]:
    """text, repeating: [batch, time]. Each score, [layers, heads], a mean over queries and text."""
    # A token of the second half stood half a text ago; induction looks at the one after that.
    back = text.shape[1] // 2 - 1
    with recorded_attention(model) as recorded:
        model(text)
        found = [_scores(weights) for weights in recorded.values()]  # one layer's at a time
        model(repeating)
        for scores, weights in zip(found, recorded.values(), strict=True):
            scores["induction"] = weights.diagonal(-back, -2, -1)[..., 1:].mean((0, 2))
    return {name: torch.stack([scores[name] for scores in found]) for name in found[0]}


def _scores(weights: Tensor) -> dict[str, Tensor]:
    """weights: [batch, heads, query, key]. Each score, [heads]."""
    time = weights.shape[-1]
    place = torch.arange(time, device=weights.device)
    distance = (place[:, None] - place).clamp(min=0)
    # A weight's logarithm is its logit but for a constant of the row; a row of one has no variance.
    seen = place[:, None] >= place
    counts = seen.sum(-1).clamp(min=2)
    logits = weights.clamp(min=_LEAST_WEIGHT).log().where(seen, 0.0)
    variance = (logits.square().sum(-1) - logits.sum(-1).square() / counts) / counts
    return {
        "entropy": torch.special.entr(weights).sum(-1).mean((0, 2)),
        "logit_variance": variance[..., 1:].mean((0, 2)),
        "distance": (weights * distance).sum(-1).mean((0, 2)),
        "previous": weights.diagonal(-1, -2, -1).mean((0, 2)),
        "first": weights[..., 1:, 0].mean((0, 2)),
    }


@torch.no_grad()
def pruning(subject: TrainedModel) -> ProbeTables:
    """Validation loss with each head switched off; then with more and more of them, the least
    missed first, until the loss has risen by more than a little (Michel 2019).
    """
    model, windows = subject.model, subject.spec.recipe.eval_windows
    attentions = [module for module in model.modules() if isinstance(module, Attention)]
    if not attentions:
        return {}
    places = [(layer, head) for layer, a in enumerate(attentions) for head in range(a.n_heads)]

    def rise(off: list[tuple[int, int]]) -> float:
        with _switched_off(attentions, off):
            return (
                validation_losses(subject, subject.spec.model.context_length, windows).mean().item()
                - whole
            )

    whole = 0.0
    whole = rise([])
    alone = {place: rise([place]) for place in places}
    ranked = sorted(places, key=lambda place: alone[place])
    together = {ranked[n]: rise(ranked[: n + 1]) for n in range(len(ranked))}
    removable = 0
    while removable < len(ranked) and together[ranked[removable]] <= _LITTLE_LOSS:
        removable += 1
    rows = [
        {
            "layer": layer,
            "head": head,
            "rise_alone": alone[layer, head],
            "order": ranked.index((layer, head)) + 1,
            "rise_together": together[layer, head],
        }
        for layer, head in places
    ]
    share = {"measure": "removable_heads", "value": removable / len(places)}
    return {"pruning": rows, "measures": [share]}


@contextmanager
def _switched_off(attentions: list[Attention], off: list[tuple[int, int]]) -> Iterator[None]:
    """Within the block, heads (layer, head) write zeros."""

    def silence(layer: int) -> Callable[[nn.Module, tuple[Tensor]], tuple[Tensor]]:
        silent = [head for each, head in off if each == layer]

        def hook(_: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
            mixed = inputs[0].unflatten(-1, (attentions[layer].n_heads, -1)).clone()
            mixed[..., silent, :] = 0
            return (mixed.flatten(-2),)

        return hook

    hooks = [
        attention.output.register_forward_pre_hook(silence(layer))
        for layer, attention in enumerate(attentions)
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@torch.no_grad()
def atlas(subject: TrainedModel) -> ProbeTables:
    """Where each head looks while reading one passage, always the same: the start of what is
    validated on.
    """
    model, spec, task = subject
    if not any(isinstance(module, Attention) for module in model.modules()):
        return {}
    passage = task.tokens["val"][None, : min(_PASSAGE, spec.model.context_length)].long()
    text = [task.vocabulary[token] for token in passage[0]]
    with recorded_attention(model) as recorded:
        model(passage)
    rows = [
        {
            "layer": layer,
            "head": head,
            "query": query,
            "token": text[query],
            "weights": weights[: query + 1],
        }
        for layer, attention in enumerate(recorded.values())
        for head, queries in enumerate(attention[0].double().round(decimals=4).tolist())
        for query, weights in enumerate(queries)
    ]
    return {"atlas": rows}
