"""Variants as differences from the base, and functions that make several of them at once."""

import bisect
import dataclasses
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from experiments.recipe import Recipe, fields_for
from model import ModelConfig, parameter_count
from model.accounting import flops_per_token
from model.config import nearest

# The full name of every field that a variant can change, by its short name.
_FULL_NAMES = {
    field.name: f"{part}.{field.name}"
    for part, config in (("model", ModelConfig), ("recipe", Recipe))
    for field in dataclasses.fields(config)
}
_LARGEST_FIELD = 2**20  # that match_parameters tries


@dataclass(frozen=True)
class Times:
    """A field's value, as a multiple of the base's value."""

    factor: float

    def of(self, base: float) -> float:
        """The multiple of `base`, of the same type: an int is truncated to an int."""
        return type(base)(base * self.factor)


@dataclass(frozen=True)
class Variant:
    """A named difference from the profile's base, such as `{"model.position": "none"}`.

    Changing `recipe.task` also sets the vocabulary size and the number of classes of that task.

    `match_parameters` names a model field that is then set to the whole number which brings the
    parameter count nearest to the base's. With `match_flops`, the number of steps is set so that
    training costs as many FLOPs as training the base, and the warm-up keeps its share of the steps.

    The learning rate is chosen by trials: see `experiments/planning/rates.py`. `tuned_for` names a
    variant of the same ablation, which may be this one: this variant is then trained at the rate
    that is best for the named variant. With `fixed_rate`, the variant is trained at the rate of its
    file.

    Raises:
        ValueError: `changes` or `match_parameters` names a field that does not exist.
    """

    name: str
    changes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    match_parameters: str | None = None
    match_flops: bool = False
    tuned_for: str = ""
    fixed_rate: bool = False

    def __post_init__(self) -> None:
        owner = f"variant '{self.name}'"
        if not isinstance(self.changes, Mapping):
            raise ValueError(
                f"{owner}: changes must be {{'model.field': value}}, not {self.changes!r:.40}"
            )
        check_names(owner, "field", self.changes, _FULL_NAMES.values())
        if self.fixed_rate and self.tuned_for:
            raise ValueError(f"{owner} has tuned_for and fixed_rate: choose one of them")
        if self.match_parameters:
            fields = [field.name for field in dataclasses.fields(ModelConfig)]
            check_names(owner, "field", [self.match_parameters], fields)

    def applied_to(self, model: ModelConfig, recipe: Recipe) -> tuple[ModelConfig, Recipe]:
        """The network and the recipe of this variant, given those of the base.

        Raises:
            ValueError: a value cannot work.
            TypeError: a value is of the wrong type.
        """
        changes: dict[str, dict[str, Any]] = {"model": {}, "recipe": {}}
        base = {"model": model, "recipe": recipe}
        for key, value in self.changes.items():
            part, _, field = key.partition(".")
            if isinstance(value, Times):
                value = value.of(getattr(base[part], field))
            changes[part][field] = value
        new_recipe = dataclasses.replace(recipe, **changes["recipe"])
        task_fields = fields_for(new_recipe.task, model.vocab_size)
        new_model = dataclasses.replace(model, **task_fields | changes["model"])
        if self.match_parameters:
            new_model = _matched(new_model, self.match_parameters, parameter_count(model))
        if self.match_flops:
            ratio = flops_per_token(model) / flops_per_token(new_model)
            new_recipe = dataclasses.replace(
                new_recipe,
                steps=round(ratio * new_recipe.steps),
                warmup_steps=round(ratio * new_recipe.warmup_steps),
            )
        return new_model, new_recipe


def vary(field: str, values: Iterable[Any], called: str | None = None) -> list[Variant]:
    """One variant for each value of a field of ModelConfig or Recipe.

    `vary("n_heads", [1, 2])` makes the variants heads-1 and heads-2; `called` replaces the word
    before the value. A value that is a string is itself the name of the variant.

    Raises:
        ValueError: there is no such field.
    """
    key = _full_name(field)
    prefix = _short_name(key) if called is None else called
    return [Variant(_variant_name(prefix, value), {key: value}) for value in values]


def cross(*axes: Sequence[Variant]) -> list[Variant]:
    """Every combination of one variant from each axis.

    `cross(vary("n_heads", [1, 2]), vary("norm", ["layernorm", "rmsnorm"]))` makes
    heads-1-layernorm and three more. A variant with an empty name adds nothing to the new names.

    Raises:
        ValueError: two axes change the same field, or a variant has more than changes.
    """
    combinations = []
    for parts in itertools.product(*axes):
        changes: dict[str, Any] = {}
        for part in parts:
            _check_only_changes(part)
            if shared := changes.keys() & part.changes.keys():
                raise ValueError(f"cross: two axes change {', '.join(sorted(shared))}")
            changes |= part.changes
        name = "-".join(part.name for part in parts if part.name)
        combinations.append(Variant(name, changes))
    return combinations


def without_each(strong: Variant, weak: Mapping[str, Any] = MappingProxyType({})) -> list[Variant]:
    """A variant, and the same variant without each of its changes in turn.

    A field whose change is taken away has the value that `weak` gives it, or else the value of the
    profile's base. The names of the new variants say what was taken away.

    Raises:
        ValueError: `weak` has a field that `strong` does not change, or `strong` has more than
            changes.
    """
    _check_only_changes(strong)
    weak_values = {_full_name(field): value for field, value in weak.items()}
    if unused := weak_values.keys() - strong.changes.keys():
        fields = ", ".join(sorted(unused))
        raise ValueError(f"without_each: '{strong.name}' does not change {fields}")
    variants = [strong]
    for key, value in strong.changes.items():
        changes = {other: strong.changes[other] for other in strong.changes if other != key}
        if key in weak_values:
            changes[key] = weak_values[key]
        name = f"{strong.name}-without-{_variant_name(_short_name(key), value)}"
        variants.append(Variant(name, changes))
    return variants


def custom(mechanism: Callable[..., Any]) -> str:
    """The value of a field that selects a function or a class of one's own, in an ablation's file.

    `ModelConfig` and `Recipe` say which fields take one, and what it is called with.
    """
    return f"{mechanism.__module__}:{mechanism.__qualname__}"


def _full_name(field: str) -> str:
    """The full name of a field: "model.n_heads" for "n_heads" or "model.n_heads"."""
    full_name = _FULL_NAMES.get(field, field)
    if full_name not in _FULL_NAMES.values():
        hint = nearest(field, [*_FULL_NAMES]) or f": there are {', '.join(_FULL_NAMES)}"
        raise ValueError(f"no field '{field}'{hint}")
    return full_name


def _short_name(key: str) -> str:
    """The part of a field's name that variants are named by: "kv-heads" for "model.n_kv_heads"."""
    return key.partition(".")[2].removeprefix("n_").replace("_", "-")


def _variant_name(prefix: str, value: Any) -> str:
    """The name of a variant with this value: "heads-4", "steps-2x", or a string value by itself."""
    if isinstance(value, str):
        return (value.partition(":")[2] or value).replace("_", "-")
    text = f"{value.factor:g}x" if isinstance(value, Times) else str(value).lower()
    return f"{prefix}-{text}" if prefix else text


def _check_only_changes(variant: Variant) -> None:
    if variant != Variant(variant.name, variant.changes):
        raise ValueError(
            f"variant '{variant.name}': tuned_for, fixed_rate, match_parameters and match_flops are"
            " for the variants that result"
        )


def check_names(owner: str, kind: str, names: Iterable[object], allowed: Iterable[str]) -> None:
    """Refuse names that are not allowed.

    Raises:
        ValueError: naming the owner, the first such name and the nearest allowed name.
    """
    allowed = [*allowed]
    for name in names:
        if name not in allowed:
            hint = nearest(name, allowed) or f": there are {', '.join(allowed)}"
            raise ValueError(f"{owner}: no {kind} '{name}'{hint}")


def _matched(model: ModelConfig, field: str, parameters: int) -> ModelConfig:
    """`model` with `field` set to the whole number that brings its parameter count nearest."""

    def candidate(value: int) -> ModelConfig:
        change: dict[str, Any] = {field: value}
        return dataclasses.replace(model, **change)

    def count(value: int) -> int:
        return parameter_count(candidate(value))

    # The parameter count grows with the field, so the nearest value is one of two neighbours.
    above = 1 + bisect.bisect_left(range(1, _LARGEST_FIELD), parameters, key=count)
    neighbours = (max(1, above - 1), above)
    return candidate(min(neighbours, key=lambda value: abs(count(value) - parameters)))
