"""Probes of attention heads: which positions a head attends to."""

import torch
from torch import Tensor, nn

from experiments.probes.trained_model import ProbeTables, TrainedModel
from experiments.training.windows import evaluation_starts, windows_at
from model import build
from model.attention import Attention, recorded_attention

_WINDOWS = 32  # of held-out text
_PASSAGE = 96  # tokens of the atlas
# Smaller weights count as this, since the logarithm of zero is infinite.
_LEAST_WEIGHT = torch.finfo(torch.float32).tiny
_ROLES = ("previous", "first", "induction")


@torch.no_grad()
def heads(trained: TrainedModel) -> ProbeTables:
    """Scores of every head on held-out text, beside two null values of each score.

    The scores are the entropy of the weights, the mean distance, the variance of the logits, and
    the weights on the previous token, on the first token and, in random text that repeats, on the
    token after the previous occurrence of the query's token (induction, Olsson 2022).

    The null values are the score of the untrained network ("untrained") and the score of the
    trained network on shuffled text, for induction on random text that does not repeat
    ("shuffled").
    """
    model, spec, task = trained
    if not any(isinstance(module, Attention) for module in model.modules()):
        return {}
    context, device = spec.model.context_length, task.device
    starts = evaluation_starts(len(task.tokens["val"]), context, _WINDOWS).to(device)
    text, _ = windows_at(task.tokens["val"], starts, context)
    random = torch.Generator().manual_seed(0)
    order = torch.stack([torch.randperm(context, generator=random) for _ in text]).to(device)
    size = (len(text), context // 2)
    first, second = (
        torch.randint(spec.model.vocab_size, size, generator=random).to(device) for _ in range(2)
    )
    repeating, not_repeating = torch.cat([first, first], 1), torch.cat([first, second], 1)
    with torch.random.fork_rng():  # a probe must not advance the random state of the training
        torch.manual_seed(spec.seed)
        untrained = build(spec.model).to(device).eval()
    scores = {
        "value": head_scores(model, text, repeating),
        "untrained": head_scores(untrained, text, repeating),
        "shuffled": head_scores(model, text.gather(1, order), not_repeating),
    }
    rows = [
        {"layer": layer, "head": head, "score": score}
        | {kind: by_score[score][layer, head].item() for kind, by_score in scores.items()}
        for score, values in scores["value"].items()
        for layer in range(values.shape[0])
        for head in range(values.shape[1])
    ]
    value, null = scores["value"], scores["untrained"]
    measures = [
        {"measure": f"{role}_excess", "value": (value[role].max() - null[role].max()).item()}
        for role in _ROLES
    ]
    measures += [
        {"measure": name, "value": scores["entropy"].mean().item()}
        for name, scores in (("attention_entropy", value), ("initial_attention_entropy", null))
    ]
    even = torch.arange(1, context + 1).log().mean().item()  # entropy of even attention
    measures.append({"measure": "broadest_head", "value": value["entropy"].max().item() / even})
    return {"heads": rows, "measures": measures}


def head_scores(model: nn.Module, text: Tensor, repeating: Tensor) -> dict[str, Tensor]:
    """Scores by name, each [layers, heads]: a mean over queries and windows.

    text, repeating: token ids [batch, time]. The second half of `repeating` equals the first half.
    """
    # The previous occurrence is half a window back; induction attends to the token after that one.
    distance = text.shape[1] // 2 - 1
    with recorded_attention(model) as recorded:
        model(text)
        by_layer = [_layer_scores(weights) for weights in recorded.values()]
        model(repeating)
        for scores, weights in zip(by_layer, recorded.values(), strict=True):
            scores["induction"] = weights.diagonal(-distance, -2, -1)[..., 1:].mean((0, 2))
    return {name: torch.stack([scores[name] for scores in by_layer]) for name in by_layer[0]}


def _layer_scores(weights: Tensor) -> dict[str, Tensor]:
    """Scores of the heads of a layer, each [heads]. weights: [batch, heads, query, key]."""
    time = weights.shape[-1]
    place = torch.arange(time, device=weights.device)
    distance = (place[:, None] - place).clamp(min=0)
    # The logarithm of a weight is its logit up to a constant of the row, so both have the same
    # variance. The first row has one key, and so no variance.
    visible = place[:, None] >= place
    counts = visible.sum(-1).clamp(min=2)
    logits = weights.clamp(min=_LEAST_WEIGHT).log().where(visible, 0.0)
    variance = (logits.square().sum(-1) - logits.sum(-1).square() / counts) / counts
    return {
        "entropy": torch.special.entr(weights).sum(-1).mean((0, 2)),
        "logit_variance": variance[..., 1:].mean((0, 2)),
        "distance": (weights * distance).sum(-1).mean((0, 2)),
        "previous": weights.diagonal(-1, -2, -1).mean((0, 2)),
        "first": weights[..., 1:, 0].mean((0, 2)),
    }


@torch.no_grad()
def atlas(trained: TrainedModel) -> ProbeTables:
    """Attention weights of every head on the first tokens of the validation split."""
    model, spec, task = trained
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
