"""A picture of the base network, in which every ablation stands beside the part that it changes."""

from collections.abc import Mapping, Sequence
from typing import Any

from IPython.display import HTML

from experiments.ablation import Ablation
from report.markup import render
from report.tables import Tables

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
PARTS = tuple(dict.fromkeys((*PART_OF.values(), NONE)))


def picture(tables: Tables) -> HTML:
    """The base network, read upwards, with links to the sections of the page."""
    parts: dict[str, list[str]] = {part: [] for part in PARTS}
    titles = {}
    for name in tables.present():
        ablation = tables.ablations[name]
        titles[name] = ablation.title
        for part in parts_of(ablation, tables):
            parts[part].append(name)
    base = tables.study.profile.base_model(tables.study.vocab_size)
    token = tables.study.token
    return HTML(render("picture", parts=parts, titles=titles, base=base, token=token))


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
