"""Diagram of the base network, with the ablations that change each part."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from IPython.display import HTML

from experiments.ablation import Ablation, Variant
from report.html import render
from report.study.tables import Tables

NETWORK, TASK, TRAINING, NONE = "another network", "task", "training", "nothing"
# The part that each field belongs to. Recipe fields that are not listed belong to TRAINING.
PART_OF = {
    "model.family": NETWORK,
    "model.mlp_window": NETWORK,
    "model.bigram_smoothing": NETWORK,
    "model.vocab_size": TASK,
    "model.n_classes": TASK,
    "recipe.task": TASK,
    "model.context_length": "context",
    "model.d_model": "depth and width",
    "model.n_layers": "depth and width",
    "model.n_heads": "attention",
    "model.n_kv_heads": "attention",
    "model.attention": "attention",
    "model.attention_scale": "attention",
    "model.masking": "attention",
    "model.self_attention": "attention",
    "model.qk_norm": "attention",
    "model.window": "attention",
    "model.sinks": "attention",
    "model.score_cap": "attention",
    "model.d_ff": "feed-forward",
    "model.activation": "feed-forward",
    "model.position": "positions",
    "model.rope_share": "positions",
    "model.norm": "norm",
    "model.norm_placement": "norm",
    "model.residual": "residual path",
    "model.branch_gain": "residual path",
    "model.sublayer": "residual path",
    "model.embedding_scale": "embedding",
    "model.tie_embeddings": "output",
    "model.logit_cap": "output",
    "model.initialisation": TRAINING,
    "model.dropout": TRAINING,
    "model.bias": "feed-forward",
}
_HOTTEST = 40  # % of the colour of the costliest box: more is too dark for text in dark mode
PARTS = [*dict.fromkeys(PART_OF.values()), NONE]


def picture(tables: Tables, costs: Mapping[str, float]) -> HTML:
    """The diagram as HTML, with the ablations of each part beside it.

    Args:
        tables: the tables of the study.
        costs: by part, what its removal costs in nats per character. The more it costs, the darker
            is the part's box; the costliest part's is the darkest.
    """
    base, token = tables.study.base, tables.study.token
    titles = {name: ablation.title for name, ablation in tables.ablations.items()}
    parts = _ablations_by_part(tables)
    most = max([*costs.values(), 0.0]) or 1.0
    heats = {part: _HOTTEST * max(0.0, costs.get(part, 0.0)) / most for part in parts}
    return HTML(render("picture", parts=parts, titles=titles, base=base, token=token, heats=heats))


def drawing(tables: Tables) -> str:
    """The diagram as a standalone SVG, without links."""
    base, token = tables.study.base, tables.study.token
    ablations = _ablations_by_part(tables)
    widths = f"{base.d_model} → {base.hidden_width} → {base.d_model}"
    above = [("output", f"output: logits for the next {token}")]
    layer = [
        ("residual path", "⊕ residual sum"),
        ("feed-forward", f"feed-forward: {widths}"),
        ("norm", f"{base.norm}, {base.norm_placement}"),
        ("", "⊕ residual sum"),
        ("attention", f"causal self-attention: {base.n_heads} heads"),
        ("", f"{base.norm}, {base.norm_placement}"),
        ("depth and width", f"× {base.n_layers} layers, width {base.d_model}"),
    ]
    below = [
        ("positions", f"positions: {base.position}"),
        ("embedding", "token embedding"),
        ("context", f"tokens: {base.context_length} {token}s"),
    ]
    beside = [
        (NETWORK, "a different architecture"),
        (TASK, "training task"),
        (TRAINING, "optimisation and regularisation"),
    ]
    groups: list[list[dict[str, Any]]] = []
    y = 10
    for group, margin in ((above, 10), (layer, 10), (below, 20), (beside, 0)):
        groups.append([])
        for part, label in group:
            lines = textwrap.wrap(" · ".join(ablations.get(part, [])), 62)
            height = max(34, 18 * len(lines) + 4)
            inside = group is layer
            row = {"y": y, "height": height, "label": label, "ablations": lines, "inside": inside}
            groups[-1].append(row)
            y += height + 10
        y += margin
    rows = [row for group in groups for row in group]
    flow = rows[: -len(beside)]
    return str(render("network", "svg", rows=rows, layer=groups[1], flow=flow, height=y))


def _ablations_by_part(tables: Tables) -> dict[str, list[str]]:
    by_part: dict[str, list[str]] = {part: [] for part in PARTS}
    for name in tables.present():
        for part in parts_of(tables.ablations[name], tables):
            by_part[part].append(name)
    return by_part


def parts_of(ablation: Ablation, tables: Tables) -> list[str]:
    """Parts in which the variants of an ablation differ from each other.

    A single variant is compared with the base. For variants of another family, only the family is
    reported.
    """
    changes = []
    for variant in ablation.variants:
        fields = tables.differing(variant)
        # This field only compensates for the parameters that the variant adds or removes.
        fields.pop(f"model.{variant.match_parameters}", None)
        changes.append(fields)
    same_family = [fields for fields in changes if "model.family" not in fields]
    parts = {PART_OF.get(field, TRAINING) for field in _varied(same_family)}
    if len(same_family) < len(changes):
        parts.add(NETWORK)
    if any("recipe.task" in fields for fields in changes):
        parts.add(TASK)
    return [part for part in PARTS if part in parts] or [NONE]


def part_of_pair(tables: Tables, first: Variant, second: Variant) -> str:
    """The part in which two variants differ; of several, the one that `PARTS` names first."""
    fields = [tables.differing(variant) for variant in (first, second)]
    changed = {
        PART_OF.get(field, TRAINING)
        for field in {*fields[0], *fields[1]}
        if fields[0].get(field) != fields[1].get(field)
    }
    return next((part for part in PARTS if part in changed), NONE)


def _varied(changes: Sequence[Mapping[str, Any]]) -> set[str]:
    """Fields whose value is not the same in all variants; for one variant, all changed fields."""
    fields = {field for change in changes for field in change}
    if len(changes) == 1:
        return fields
    unchanged = object()
    return {
        field for field in fields if len({change.get(field, unchanged) for change in changes}) > 1
    }
