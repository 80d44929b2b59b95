"""What an ablation file contains: variants, and claims with the rules that judge them."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from experiments.metrics import COST_METRICS, COSTS, IDENTITIES, METRICS
from experiments.spec import Probe
from experiments.variant import Times, Variant, check_names, cross, custom, vary, without_each

__all__ = ["Ablation", "Claim", "Times", "Variant", "cross", "custom", "vary", "without_each"]


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A sentence from the literature and the rule that judges it, both written before the runs.

    `effect` gives a weight to each variant. The effect of a seed is the weighted sum of `metric`
    over the variants, minus `threshold`; the signs are chosen so that a positive effect supports
    the sentence. `METRICS` lists the metrics of runs. `COST_METRICS` lists the metrics that are
    measured without training; their weights are for names of `COSTS`.

    With `log`, the natural logarithm of the metric is used and the effect is shown as a ratio. With
    `equal`, the sentence claims that there is no difference beyond `margin`; with `no_worse`, that
    nothing is worse by more than `margin`.

    A claim that needs no training has a `check` instead of an effect: the name of one of
    `IDENTITIES`, which holds or does not hold.

    Raises:
        ValueError: a name is unknown, a number is not a number, or fields contradict each other.
    """

    id: str
    sentence: str
    said_by: str
    effect: Mapping[str, float] = dataclasses.field(default_factory=dict)
    check: str = ""
    margin: float = 0.0
    metric: str = "val_loss_per_character"
    threshold: float = 0.0
    log: bool = False
    equal: bool = False
    no_worse: bool = False
    why_margin: str = ""
    published: str = ""

    def __post_init__(self) -> None:
        owner = f"claim '{self.id}'"
        if bool(self.check) == bool(self.effect) or (self.effect and not self.why_margin):
            raise ValueError(f"{owner} needs a check, or an effect with margin and why_margin")
        if self.equal and self.no_worse:
            raise ValueError(f"{owner} has equal and no_worse: choose one of them")
        if self.check:
            check_names(owner, "check", [self.check], IDENTITIES)
        check_names(owner, "metric", [self.metric], [*METRICS, *COST_METRICS])
        if self.metric in COST_METRICS:
            check_names(owner, "cost", self.effect, COSTS)
        numbers = {"margin": self.margin, "threshold": self.threshold, **self.effect}
        for name, value in numbers.items():
            if type(value) not in (int, float):
                raise ValueError(f"{owner}: {name} must be a number, not {value!r}")


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """One comparison of variants.

    `baseline` is the variant that the others are compared with. `probes` are applied to every
    variant's trained network. A `core` ablation is trained with the profile's `seeds`, any other
    with `fewer_seeds`.

    Raises:
        ValueError: a name is unknown or used twice, or an entry is not a Variant or a Claim.
    """

    title: str
    question: str
    baseline: str
    variants: Sequence[Variant]
    claims: Sequence[Claim] = ()
    probes: Sequence[Probe] = ()
    core: bool = False
    limits: str = ""

    def __post_init__(self) -> None:
        _check_entries("variants", self.variants, Variant)
        _check_entries("claims", self.claims, Claim)
        variants = [variant.name for variant in self.variants]
        _check_distinct("variants", variants)
        _check_distinct("claims", [claim.id for claim in self.claims])
        check_names("baseline", "variant", [self.baseline], variants)
        check_names("probes", "probe", self.probes, get_args(Probe))
        for variant in self.variants:
            if variant.tuned_for:
                owner = f"tuned_for of variant '{variant.name}'"
                check_names(owner, "variant", [variant.tuned_for], variants)
        for claim in self.claims:
            if claim.metric not in COST_METRICS:
                check_names(f"claim '{claim.id}'", "variant", claim.effect, variants)


def _check_entries(field: str, entries: Iterable[object], kind: type) -> None:
    for entry in entries:
        if isinstance(entry, list):
            raise ValueError(f"{field}: a list in place of a {kind.__name__}: put a star before it")
        if not isinstance(entry, kind):
            raise ValueError(f"{field}: {entry!r:.40} is not a {kind.__name__}")


def _check_distinct(field: str, names: Iterable[str]) -> None:
    for name, count in Counter(names).items():
        if count > 1:
            raise ValueError(f"{field}: '{name}' appears {count} times")
