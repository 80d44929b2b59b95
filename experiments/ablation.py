"""What an ablation file states: variants as diffs from the base, and claims with their rules."""

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from experiments.spec import Probe, Recipe, fields_for
from model import ModelConfig, parameter_count
from model.accounting import flops_per_token
from model.config import nearest


@dataclass(frozen=True)
class Times:
    """A value given as a multiple of the base's; a whole number stays whole."""

    factor: float

    def of(self, base: float) -> float:
        """The multiple, of the base's own type: a whole number's is cut to a whole number."""
        return type(base)(base * self.factor)


@dataclass(frozen=True)
class Variant:
    """A name and what differs from the profile's base, as `{"model.position": "none"}`.

    Another task, `{"recipe.task": "sort"}`, brings its own vocabulary and classes. Then
    `match_parameters` names one model field that is set so that the number of parameters comes as
    near as it can to the base's. With `match_flops` it takes as many steps as the base's
    arithmetic allows, the warm-up's share of them kept.

    `tuned_for` names a variant of the same ablation, itself or another: this one is trained at the
    learning rate that is best for that one, of the profile's `rates`, by validation loss with
    seeds that no comparison uses.
    """

    name: str
    changes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    match_parameters: str | None = None
    match_flops: bool = False
    tuned_for: str = ""

    def applied_to(self, model: ModelConfig, recipe: Recipe) -> tuple[ModelConfig, Recipe]:
        """The base with this variant's changes.

        Raises:
            ValueError: a field does not exist, or a value cannot work.
            TypeError: a value is of another kind.
        """
        parts: dict[str, dict[str, Any]] = {"model": {}, "recipe": {}}
        base: dict[str, Any] = {"model": model, "recipe": recipe}
        for key, value in self.changes.items():
            part, _, field = key.partition(".")
            _check_field(key, base)
            parts[part][field] = (
                value.of(getattr(base[part], field)) if isinstance(value, Times) else value
            )
        trained = dataclasses.replace(recipe, **parts["recipe"])
        decided = fields_for(trained.task, model.vocab_size)
        changed = dataclasses.replace(model, **decided | parts["model"])
        if changed.custom and (self.match_parameters or self.match_flops):
            raise ValueError(
                f"nothing can be matched: {', '.join(changed.custom.values())} is not counted"
            )
        if self.match_parameters:
            _check_field(f"model.{self.match_parameters}", base)
            changed = _matched(changed, self.match_parameters, parameter_count(model))
        if self.match_flops:
            share = flops_per_token(model) / flops_per_token(changed)
            fewer = {
                name: round(share * getattr(trained, name)) for name in ("steps", "warmup_steps")
            }
            trained = dataclasses.replace(trained, **fewer)
        return changed, trained


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A sentence from the textbooks and the rule that will judge it, both written before the run.

    `effect` gives the weight of each variant; per seed, the effect is the weighted sum of
    `metric` over the variants, less `threshold`, so written that a positive effect is what the
    sentence claims. What a metric is, `METRICS` says, and `COST_METRICS` of what is measured apart
    from training.
    With `log`, the metric's natural logarithm is used, and the effect is shown as a ratio.
    With `equal`, the sentence claims that there is no difference beyond the margin; with
    `no_worse`, that there is none to the worse.

    Where nothing needs training, `check` names an identity of `IDENTITIES` instead, which holds or
    does not.
    """

    id: str
    sentence: str
    said_by: str
    effect: Mapping[str, float] = dataclasses.field(default_factory=dict)
    check: str = ""
    margin: float = 0.0
    metric: str = "val_loss"
    threshold: float = 0.0
    log: bool = False
    equal: bool = False
    no_worse: bool = False
    why_margin: str = ""
    published: str = ""


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """One comparison. `baseline` is the variant that the others are set against; `probes` look at
    every variant's trained network; a `core` ablation gets all of the profile's seeds, any other
    the profile's fewer.
    """

    title: str
    question: str
    baseline: str
    variants: Sequence[Variant]
    claims: Sequence[Claim] = ()
    probes: Sequence[Probe] = ()
    core: bool = False
    limits: str = ""


def vary(field: str, values: Iterable[Any], called: str | None = None) -> list[Variant]:
    """A variant for each value of a field of ModelConfig or Recipe: vary("n_heads", [1, 2]) makes
    heads-1 and heads-2, or with another word before the value, `called`. A value that is a word is
    its variant's name.

    Raises:
        ValueError: there is no such field.
    """
    key = _key(field)
    name = _short(key) if called is None else called
    return [Variant(_named(value, name), {key: value}) for value in values]


def _named(value: Any, field: str) -> str:
    """ "heads-4", "steps-2x", or a word by itself."""
    if isinstance(value, str):
        return (value.partition(":")[2] or value).replace("_", "-")
    told = f"{value.factor:g}x" if isinstance(value, Times) else str(value).lower()
    return f"{field}-{told}" if field else told


def cross(*axes: Sequence[Variant]) -> list[Variant]:
    """Every variant of the first with every one of the next: cross(vary("n_heads", [1, 2]),
    vary("norm", ["layernorm", "rmsnorm"])) makes heads-1-layernorm and three more. A variant
    without a name adds nothing to the others'.

    Raises:
        ValueError: two of them change the same field, or one has more than changes.
    """
    found = []
    for parts in itertools.product(*axes):
        changes: dict[str, Any] = {}
        for part in parts:
            _check_plain(part)
            if twice := changes.keys() & part.changes.keys():
                raise ValueError(f"cross: two axes change {', '.join(sorted(twice))}")
            changes |= part.changes
        found.append(Variant("-".join(part.name for part in parts if part.name), changes))
    return found


def without_each(strong: Variant, weak: Mapping[str, Any] = MappingProxyType({})) -> list[Variant]:
    """A strong variant, and it without each of its changes: what `weak` has instead, or else the
    profile's base. The variants' names say what was taken away.

    Raises:
        ValueError: `weak` has what the strong variant does not change, or it has more than changes.
    """
    _check_plain(strong)
    instead = {_key(field): value for field, value in weak.items()}
    if unused := instead.keys() - strong.changes.keys():
        raise ValueError(
            f"without_each: '{strong.name}' does not change {', '.join(sorted(unused))}"
        )
    found = [strong]
    for key, value in strong.changes.items():
        rest = {name: its for name, its in strong.changes.items() if name != key}
        back = {key: instead[key]} if key in instead else {}
        found.append(Variant(f"{strong.name}-without-{_named(value, _short(key))}", rest | back))
    return found


def _check_plain(variant: Variant) -> None:
    """That it is changes alone, all of which go on to others."""
    if variant != Variant(variant.name, variant.changes):
        raise ValueError(
            f"variant '{variant.name}': a rate or a match is for the variants that come out"
        )


def _short(key: str) -> str:
    """ "kv-heads" for "model.n_kv_heads"."""
    return key.partition(".")[2].removeprefix("n_").replace("_", "-")


def custom(mechanism: Callable[[ModelConfig], Any]) -> str:
    """The value of model.position, model.norm or model.activation for a function of an ablation's
    file that takes the config and returns the part of the network that stands there.
    """
    return f"{mechanism.__module__}:{mechanism.__qualname__}"


def _key(field: str) -> str:
    """ "model.n_heads" for "n_heads"; as it is where it has its part already."""
    names = {
        field.name: f"{part}.{field.name}"
        for part, of in (("recipe", Recipe), ("model", ModelConfig))
        for field in dataclasses.fields(of)
    }
    if field not in names and field not in names.values():
        hint = nearest(field, [*names]) or f": there are {', '.join(names)}"
        raise ValueError(f"no field '{field}'{hint}")
    return names.get(field, field)


def _check_field(key: str, base: Mapping[str, Any]) -> None:
    fields = [f"{part}.{field.name}" for part in base for field in dataclasses.fields(base[part])]
    if key not in fields:
        hint = nearest(key, fields) or f": there are {', '.join(fields)}"
        raise ValueError(f"no field '{key}'{hint}")


def _matched(model: ModelConfig, field: str, parameters: int) -> ModelConfig:
    """`model` with `field` set to the whole number whose parameter count is nearest to the goal."""

    def candidate(value: int) -> ModelConfig:
        change: dict[str, Any] = {field: value}
        return dataclasses.replace(model, **change)

    def excess(value: int) -> int:
        return parameter_count(candidate(value)) - parameters

    return candidate(min(_bracket(excess), key=lambda value: abs(excess(value))))


def _bracket(excess: Callable[[int], int]) -> tuple[int, int]:
    """The neighbouring whole numbers between which an increasing function changes sign."""
    low, high = 1, 2
    while excess(high) < 0:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if excess(middle) < 0 else (low, middle)
    return low, high
