"""What is looked at in a language model besides its loss, each probe by its name.

A probe takes a trained network and gives rows for tables, which `schema.COLUMNS` describes. The
table "measures" takes its single numbers, which a claim can be about by `ablation.METRICS`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from experiments.batches import evaluation_starts, windows_at
from experiments.loss import cross_entropy
from experiments.spec import RunSpec
from experiments.tasks import Batch, LanguageModelling
from model import build
from model.attention import Attention, recorded_attention
from model.generation import generate
from model.stack import Stack

Found = dict[str, list[dict[str, Any]]]

_AT_ONCE = 8192  # tokens that are evaluated at once
_LITTLE = 0.02  # nats per token: what counts as little loss when heads are switched off
_SAMPLE = 500  # tokens
_PASSAGE = 96  # tokens
_LEAST = torch.finfo(torch.float32).tiny  # a weight below is zero: its logarithm would be infinite


class Subject(NamedTuple):
    """A trained network, and what it was trained on."""

    model: nn.Module
    spec: RunSpec
    task: LanguageModelling


@torch.no_grad()
def positions(subject: Subject) -> Found:
    """Validation loss by position in the context."""
    recipe, context = subject.spec.recipe, subject.spec.model.context_length
    mean = _losses(subject, context, recipe.final_eval_windows).mean(dim=0)
    rows = [{"position": i, "loss": loss} for i, loss in enumerate(mean.tolist())]
    return {"positions": rows}


@torch.no_grad()
def lengths(subject: Subject) -> Found:
    """Validation loss at 1, 2, 4 and 8 times the training length, on as many tokens each, whole and
    beyond the training length; null where the network cannot read so far.
    """
    rows: list[dict[str, Any]] = []
    context = subject.spec.model.context_length
    for multiple in (1, 2, 4, 8):
        row: dict[str, Any] = {"multiple": multiple, "length": multiple * context}
        windows = max(1, subject.spec.recipe.final_eval_windows // multiple)
        try:
            losses = _losses(subject, multiple * context, windows)
        except ValueError:  # learned positions end, and the network says so
            losses = torch.empty(0, 0)
        if losses.numel():
            row["loss"] = losses.mean().item()
            row["loss_beyond"] = losses[:, context:].mean().item() if multiple > 1 else None
        rows.append(row)
    measures = [
        {"measure": f"loss_beyond_{row['multiple']}x", "value": row["loss_beyond"]}
        for row in rows
        if row.get("loss_beyond") is not None
    ]
    return {"lengths": rows, "measures": measures}


@torch.no_grad()
def heads(subject: Subject) -> Found:
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
    logits = weights.clamp(min=_LEAST).log().where(seen, 0.0)
    variance = (logits.square().sum(-1) - logits.sum(-1).square() / counts) / counts
    return {
        "entropy": torch.special.entr(weights).sum(-1).mean((0, 2)),
        "logit_variance": variance[..., 1:].mean((0, 2)),
        "distance": (weights * distance).sum(-1).mean((0, 2)),
        "previous": weights.diagonal(-1, -2, -1).mean((0, 2)),
        "first": weights[..., 1:, 0].mean((0, 2)),
    }


@torch.no_grad()
def pruning(subject: Subject) -> Found:
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
                _losses(subject, subject.spec.model.context_length, windows).mean().item() - whole
            )

    whole = 0.0
    whole = rise([])
    alone = {place: rise([place]) for place in places}
    ranked = sorted(places, key=lambda place: alone[place])
    together = {ranked[n]: rise(ranked[: n + 1]) for n in range(len(ranked))}
    removable = 0
    while removable < len(ranked) and together[ranked[removable]] <= _LITTLE:
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
def samples(subject: Subject) -> Found:
    """Five hundred tokens after a line break, drawn at temperature 1 and greedily."""
    model, spec, task = subject
    line_break = task.vocabulary.index("\n") if "\n" in task.vocabulary else 0
    start = torch.tensor([[line_break]], device=task.device)
    cached = spec.model.masking == "before_softmax"
    rows = []
    for kind, temperature in (("temperature 1", 1.0), ("greedy", 0.0)):
        tokens = generate(model, start, _SAMPLE, temperature=temperature, cached=cached)
        rows.append({"kind": kind, "text": task.tokenizer.decode(tokens[0, 1:].tolist())})
    return {"samples": rows}


@torch.no_grad()
def atlas(subject: Subject) -> Found:
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


def layers(model: nn.Module, step: int, batch: Batch) -> list[dict[str, Any]]:
    """By layer and sublayer, on one batch: the size of what it writes (root mean square), and the
    norm of the loss's gradient by its last matrix (Xiong 2020, theorem 1). Leaves no gradients.
    """
    if not isinstance(model, Stack):
        return []
    sublayers = [
        (layer, part, getattr(module, part).inner)
        for layer, module in enumerate(model.layers)
        for part in ("attention", "feed_forward")
    ]
    sizes: list[float] = []

    def measure(_: nn.Module, inputs: Any, output: Tensor) -> None:
        sizes.append(output.detach().float().square().mean().sqrt().item())

    hooks = [inner.register_forward_hook(measure) for _, _, inner in sublayers]
    loss = cross_entropy(model(*batch.inputs), batch.targets)
    gradients = torch.autograd.grad(loss, [inner.output.weight for _, _, inner in sublayers])
    for hook in hooks:
        hook.remove()
    return [
        {
            "step": step,
            "layer": layer,
            "part": part,
            "output_rms": size,
            "gradient_norm": gradient.norm().item(),
        }
        for (layer, part, _), size, gradient in zip(sublayers, sizes, gradients, strict=True)
    ]


def of_layers(rows: list[dict[str, Any]]) -> Found:
    """What `layers` gave along a training, with the gradient of the last layer at its start."""
    feed_forward = [row for row in rows if row["step"] == 0 and row["part"] == "feed_forward"]
    measures = [
        {"measure": "last_layer_gradient", "value": row["gradient_norm"]}
        for row in feed_forward[-1:]
    ]
    return {"layers": rows, "measures": measures}


def _losses(subject: Subject, length: int, windows: int) -> Tensor:
    """Loss of each token of fixed validation windows of any length: [windows, length]."""
    tokens = subject.task.tokens["val"]
    starts = evaluation_starts(len(tokens), length, windows).to(tokens.device)
    found = []
    for some in starts.split(max(1, _AT_ONCE // length)):
        inputs, targets = windows_at(tokens, some, length)
        logits = subject.model(inputs).float()
        found.append(cross_entropy(logits, targets, reduction="none").view(targets.shape))
    return torch.cat(found)


PROBES: dict[str, Callable[[Subject], Found]] = {
    "positions": positions,
    "lengths": lengths,
    "heads": heads,
    "pruning": pruning,
    "samples": samples,
    "atlas": atlas,
}
