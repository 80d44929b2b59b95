"""What an ablation file states: variants as diffs from the base, and claims with their rules."""

import dataclasses
import difflib
import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from experiments.errors import UserError
from experiments.spec import Probe, Recipe, fields_for
from model import ModelConfig, parameter_count
from model.accounting import flops_per_token


@dataclass(frozen=True)
class Times:
    """A value given as a multiple of the base's; a whole number stays whole."""

    factor: float

    def of(self, base: float) -> float:
        """The multiple, of the base's own type."""
        return type(base)(base * self.factor)


@dataclass(frozen=True)
class Variant:
    """A name and what differs from the profile's base, as `{"model.position": "none"}`.

    Another task, `{"recipe.task": "sort"}`, brings its own vocabulary and classes. Then
    `match_parameters` names one model field that is set so that the number of parameters comes as
    near as it can to the base's. With `match_flops` it takes as many steps as the base's
    arithmetic allows, the warm-up's share of them kept.

    `rate_of` names a variant of the same ablation, itself or another: this one is trained at the
    learning rate that is best for that one, of the profile's `rates`, by validation loss with
    seeds that no comparison uses.
    """

    name: str
    changes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    match_parameters: str | None = None
    match_flops: bool = False
    rate_of: str = ""

    def applied_to(self, model: ModelConfig, recipe: Recipe) -> tuple[ModelConfig, Recipe]:
        """The base with this variant's changes.

        Raises:
            ValueError: a field does not exist, or a value cannot work.
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


# What a claim can be about, and its unit: columns of the table `runs`, and the table `measures`.
METRICS = {
    "val_loss": "nats per character",
    "val_accuracy": "share of targets",
    "val_exact_match": "share of sequences",
    "tokens_per_second": "tokens per second",
    **{f"loss_beyond_{n}x": "nats per character" for n in (2, 4, 8)},
    "previous_excess": "attention weight",
    "first_excess": "attention weight",
    "induction_excess": "attention weight",
    "removable_heads": "share of heads",
    "last_layer_gradient": "norm",
    "attention_entropy": "nats",
    # of training until the worse of the compared runs' lowest validation losses is reached
    "seconds_to_loss": "seconds",
    "tokens_to_loss": "tokens",
    "flops_to_loss": "floating-point operations",
}

# What a claim can be about that was measured apart from any training, by `experiments/costs.py`:
# then `effect` weighs things of COSTS instead of variants.
COST_METRICS = {
    "time_exponent": "power of the length",
    "memory_exponent": "power of the length",
    "measured_seconds": "seconds",
}
COSTS = (
    "attention reference",
    "attention fused",
    "model reference",
    "model fused",
    "layernorm",
    "rmsnorm",
    "generation multi-head",
    "generation grouped",
    "generation multi-query",
)

# What `experiments/identities.py` checks.
IDENTITIES = (
    "permutation",
    "mask-place",
    "head-cost",
    "base-size",
    "base-size-untied",
    "score-variance",
    "kv-cache",
)


def load_ablations() -> dict[str, Ablation]:
    """Every file of `experiments/ablations`, by name: `heads.py` is "heads".

    Raises:
        UserError: a file cannot be imported, states no ABLATION, or contradicts itself.
    """
    package = importlib.import_module("experiments.ablations")
    ablations = {}
    for module in sorted(pkgutil.iter_modules(package.__path__), key=lambda found: found.name):
        name = module.name.replace("_", "-")
        try:
            stated = importlib.import_module(f"experiments.ablations.{module.name}").ABLATION
        except Exception as error:
            raise UserError(f"ablation '{name}' cannot be read: {error}") from None
        _check_names(name, stated)
        ablations[name] = stated
    claims = [claim.id for ablation in ablations.values() for claim in ablation.claims]
    for twice in {claim for claim in claims if claims.count(claim) > 1}:
        raise UserError(f"claim '{twice}' stands in more than one place: a claim has one home")
    return ablations


def nearest(name: str, allowed: Sequence[str]) -> str:
    """ ", did you mean 'x'?" where something allowed is near to `name`, else nothing."""
    near = difflib.get_close_matches(name, allowed, n=1)
    return f", did you mean '{near[0]}'?" if near else ""


def _check_names(name: str, ablation: Ablation) -> None:
    variants = [variant.name for variant in ablation.variants]
    for twice in {variant for variant in variants if variants.count(variant) > 1}:
        raise UserError(f"ablation '{name}': two variants are called '{twice}'")
    for claim in ablation.claims:
        if claim.check and claim.check not in IDENTITIES:
            hint = nearest(claim.check, IDENTITIES) or f": there are {', '.join(IDENTITIES)}"
            raise UserError(
                f"ablation '{name}': claim '{claim.id}' names no identity '{claim.check}'{hint}"
            )
        if bool(claim.check) == bool(claim.effect) or (claim.effect and not claim.why_margin):
            raise UserError(
                f"ablation '{name}': claim '{claim.id}' needs a check, or an effect with its margin"
                " and the reason for it"
            )
        if claim.equal and claim.no_worse:
            raise UserError(
                f"ablation '{name}': claim '{claim.id}' is equal, or no worse: not both"
            )
        metrics = [*METRICS, *COST_METRICS]
        if claim.metric not in metrics:
            hint = nearest(claim.metric, metrics) or f": there are {', '.join(metrics)}"
            raise UserError(
                f"ablation '{name}': claim '{claim.id}' names no metric '{claim.metric}'{hint}"
            )
    for probe in ablation.probes:
        if probe not in get_args(Probe):
            hint = nearest(probe, get_args(Probe)) or f": there are {', '.join(get_args(Probe))}"
            raise UserError(f"ablation '{name}': there is no probe '{probe}'{hint}")
    named = {"the baseline": [ablation.baseline]}
    named |= {f"variant '{v.name}'": [v.rate_of] for v in ablation.variants if v.rate_of}
    costs = [claim for claim in ablation.claims if claim.metric in COST_METRICS]
    named |= {f"claim '{c.id}'": list(c.effect) for c in ablation.claims if c not in costs}
    for who, uses in named.items():
        for variant in uses:
            if variant not in variants:
                hint = nearest(variant, variants) or f": it has {', '.join(variants)}"
                raise UserError(f"ablation '{name}': {who} names no variant '{variant}'{hint}")
    for claim in costs:
        for cost in claim.effect:
            if cost not in COSTS:
                hint = nearest(cost, COSTS) or f": there are {', '.join(COSTS)}"
                raise UserError(f"ablation '{name}': claim '{claim.id}': no cost '{cost}'{hint}")


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
