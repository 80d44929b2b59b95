"""A picture of the base network, in which every ablation stands beside the part that it changes."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from IPython.display import HTML

from experiments.ablation import Ablation
from report.html import render
from report.verdicts.tables import Tables

NETWORK, TASK, NONE = "another network", "task", "nothing"
# The part that each field decides; all of the recipe that is not named is how it is trained.
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
    "model.d_ff": "feed-forward",
    "model.activation": "feed-forward",
    "model.position": "positions",
    "model.norm": "norm",
    "model.norm_placement": "norm",
    "model.residual": "residual path",
    "model.embedding_scale": "embedding",
    "model.tie_embeddings": "output",
    "model.initialisation": "training",
    "model.dropout": "training",
    "model.bias": "feed-forward",
}
_BESIDE = (NETWORK, TASK, "training")  # no part that anything flows through
PARTS = tuple(dict.fromkeys((*PART_OF.values(), NONE)))


def picture(tables: Tables) -> HTML:
    """The base network, read upwards, with links to the sections of the page."""
    return HTML(render("picture", **_base_and_parts(tables)))


def drawing(tables: Tables) -> str:
    """The same as an SVG by itself, with names in place of links."""
    found = _base_and_parts(tables)
    base = found["base"]
    boxes = [
        ("output", f"output: logits of the next {found['token']}", False),
        ("residual path", "⊕ residual sum", True),
        ("feed-forward", f"feed-forward, {base.d_model} to {base.hidden_width} and back", True),
        ("norm", f"{base.norm}, {base.norm_placement}", True),
        ("", "⊕ residual sum", True),
        ("attention", f"causal self-attention, {base.n_heads} heads", True),
        ("", f"{base.norm}, {base.norm_placement}", True),
        ("depth and width", f"{base.n_layers} such layers, width {base.d_model}", True),
        ("positions", f"positions: {base.position}", False),
        ("embedding", "token embedding", False),
        ("context", f"tokens: {base.context_length} {found['token']}s", False),
        ("another network", "in place of all of it", False),
        ("task", "what it is trained for", False),
        ("training", "how it is trained", False),
    ]
    rows: list[dict[str, Any]] = []
    y = 10
    for part, words, inside in boxes:
        y += 10 * (bool(rows) and inside != rows[-1]["inside"]) + 20 * (part == NETWORK)
        marks = textwrap.wrap(" · ".join(found["parts"].get(part, [])), 62)
        height = max(34, 18 * len(marks) + 4)
        rows.append({"y": y, "height": height, "words": words, "marks": marks, "inside": inside})
        y += height + 10
    layer = [row for row in rows if row["inside"]]
    flow = [row for row, (part, _, _) in zip(rows, boxes, strict=True) if part not in _BESIDE]
    return str(render("network", suffix="svg", rows=rows, layer=layer, flow=flow, height=y))


def _base_and_parts(tables: Tables) -> dict[str, Any]:
    """The base network, what its tokens are, and the ablations, by part and with their titles."""
    parts: dict[str, list[str]] = {part: [] for part in PARTS}
    titles = {}
    for name in tables.present():
        ablation = tables.ablations[name]
        titles[name] = ablation.title
        for part in parts_of(ablation, tables):
            parts[part].append(name)
    base = tables.study.base
    return {"parts": parts, "titles": titles, "base": base, "token": tables.study.token}


def parts_of(ablation: Ablation, tables: Tables) -> list[str]:
    """The parts in which an ablation's variants differ from each other, or, of a single one, from
    the base. What a network of another kind differs in besides is not told.
    """
    changed = [
        # what only keeps the parameters equal is not what is asked about
        {k: v for k, v in tables.differing(each).items() if k != f"model.{each.match_parameters}"}
        for each in ablation.variants
    ]
    alike = [fields for fields in changed if "model.family" not in fields]
    found = {PART_OF.get(field, "training") for field in _varied(alike)}
    if len(alike) < len(changed):
        found.add(NETWORK)
    if any("recipe.task" in fields for fields in changed):
        found.add(TASK)
    return [part for part in PARTS if part in found] or [NONE]


def _varied(changed: Sequence[Mapping[str, Any]]) -> set[str]:
    """The fields that are not the same in all variants; of a single one, all that it changes."""
    fields = {field for each in changed for field in each}
    if len(changed) == 1:
        return fields
    same = object()
    return {
        field
        for field in fields
        if any(each.get(field, same) != changed[0].get(field, same) for each in changed)
    }
