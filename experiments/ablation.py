"""Ablations: the variants that a file compares, and its claims about them."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from experiments.claim import Claim
from experiments.gates import (
    YARDSTICKS,
    Beats,
    SeesTokens,
    Solves,
    Trains,
    UsesContext,
    check_gate,
)
from experiments.identity import mechanism_fingerprint
from experiments.metrics import (
    COST_METRICS,
    COSTS,
    IDENTITIES,
    METRICS,
    PROBE_OF,
)
from experiments.profiles import check_budgets
from experiments.recipe import TEXT_TASKS
from experiments.spec import Probe
from experiments.variant import Times, Variant, check_names, cross, custom, vary, without_each

__all__ = [
    "Ablation",
    "Beats",
    "Claim",
    "OwnProbe",
    "SeesTokens",
    "Solves",
    "Times",
    "Trains",
    "UsesContext",
    "Variant",
    "cross",
    "custom",
    "vary",
    "without_each",
]


# Groups of ablations, in the order of the page, with their headings.
GROUPS = {
    "trainable": "What keeps a stack trainable",
    "order": "Order and masks",
    "attention": "Attention",
    "details": "Parts that are often changed",
    "others": "Against other networks and sizes",
    "tasks": "Encoders, decoders and tasks",
    "yours": "Yours",
}


@dataclass(frozen=True, kw_only=True)
class OwnProbe:
    """A measurement of one's own of every variant's trained network.

    `measure` is a function of the ablation's file. It is called with the network, its `RunSpec` and
    its task, and returns a dictionary. A number in the dictionary is a metric. A list of numbers is
    a line of the probe's figure, drawn against 0, 1, 2, …; a dictionary from numbers to numbers is
    a line against its keys. `x` and `y` are the labels of the figure's axes.

    `metrics` names the numbers that are returned. A claim is about one of them with
    metric="<name of the function>.<name of the number>".

    Raises:
        ValueError: a name is empty, has a dot, or is used twice.
    """

    measure: Callable[..., Mapping[str, Any]]
    metrics: Sequence[str] = ()
    x: str = "place"
    y: str = "value"

    def __post_init__(self) -> None:
        names = list(self.metrics)
        if isinstance(self.metrics, str) or not all(isinstance(name, str) for name in names):
            raise ValueError(f"metrics={self.metrics!r} of a probe must be a list of names")
        if len({*names}) < len(names) or not all(name and "." not in name for name in names):
            raise ValueError(f"metrics={names} of a probe must be different names without a dot")

    @property
    def reference(self) -> str:
        """The module and the name of the function, as `custom` writes them."""
        return custom(self.measure)

    @property
    def name(self) -> str:
        """The reference with the fingerprint of its file, so an edited probe measures again."""
        return f"{self.reference}@{mechanism_fingerprint(self.measure.__module__)}"

    @property
    def measured(self) -> list[str]:
        """The metrics as claims name them."""
        return [f"{self.measure.__qualname__}.{name}" for name in self.metrics]


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """One comparison of variants.

    `baseline` is the variant that the others are compared with. `probes` are applied to every
    variant's trained network; each is the name of a built-in probe or an `OwnProbe`. A `core`
    ablation is trained with the profile's `seeds` and at all of its budgets; any other with
    `fewer_seeds` and at the first budget. `budgets` replaces this: the ablation is trained at those
    of its numbers that are budgets of the profile, or at the first budget where none is.

    The page shows the ablation in its `group`, one of `GROUPS`, and ablations with the same
    `section` in one section. `why` says in two sentences what is expected and for what reason, and
    `equation` is a formula for it, in LaTeX. `removals` names parts of the network, each with the
    variant that has the part and the variant that lacks it. `peeking` lists variants that see the
    tokens they predict, so that their loss cannot be compared.

    Raises:
        ValueError: a name is unknown or used twice, an entry is not a Variant or a Claim, or the
            budgets are not whole, positive and increasing.
    """

    title: str
    question: str
    baseline: str
    variants: Sequence[Variant]
    claims: Sequence[Claim] = ()
    probes: Sequence[Probe | OwnProbe] = ()
    core: bool = False
    budgets: Sequence[int] | None = None
    limits: str = ""
    group: str = "yours"
    section: str = ""
    why: str = ""
    equation: str = ""
    removals: Mapping[str, tuple[str, str]] = dataclasses.field(default_factory=dict)
    peeking: Sequence[str] = ()

    def __post_init__(self) -> None:
        _check_entries("variants", self.variants, Variant)
        _check_entries("claims", self.claims, Claim)
        variants = [variant.name for variant in self.variants]
        _check_distinct("variants", variants)
        _check_distinct("claims", [claim.id for claim in self.claims])
        check_names("baseline", "variant", [self.baseline], variants)
        own = self.own_probes
        _check_distinct("probes", [probe.reference for probe in own])
        named = [probe for probe in self.probes if not isinstance(probe, OwnProbe)]
        check_names("probes", "probe", named, get_args(Probe))
        check_names("group", "group", [self.group], GROUPS)
        check_names("peeking", "variant", self.peeking, variants)
        for part, arms in self.removals.items():
            check_names(f"removals: '{part}'", "variant", arms, variants)
            if len(arms) != 2 or arms[0] == arms[1]:
                raise ValueError(
                    f"removals: '{part}' needs the variant with it, and one without it"
                )
        fixed = {variant.name for variant in self.variants if variant.fixed_rate}
        for variant in self.variants:
            if variant.tuned_for:
                owner = f"tuned_for of variant '{variant.name}'"
                check_names(owner, "variant", [variant.tuned_for], variants)
                if variant.tuned_for in fixed:
                    raise ValueError(
                        f"{owner}: '{variant.tuned_for}' has a fixed rate, never tuned"
                    )
        for claim in self.claims:
            _check_measured(claim, variants, [each for probe in own for each in probe.measured])
            if claim.metric.endswith("_to_loss"):  # the loss is a bigram's, on text
                for arm in claim.effect:
                    self._check_text(claim, arm)
            if not isinstance(claim.requires, Sequence):
                raise ValueError(f"claim '{claim.id}': requires must be a list of gates")
            for gate in claim.requires:
                check_gate(f"claim '{claim.id}'", gate, variants)
                if isinstance(gate, Beats) and gate.yardstick in YARDSTICKS:
                    self._check_text(claim, gate.arm)
                if isinstance(gate, UsesContext) and "positions" not in self.probes:
                    raise ValueError(
                        f"claim '{claim.id}': UsesContext needs the ablation's probe 'positions'"
                    )
            probe = PROBE_OF.get(claim.metric)
            if probe and probe not in self.probes:
                raise ValueError(
                    f"claim '{claim.id}': the metric {claim.metric} needs the ablation's probe"
                    f" '{probe}'"
                )
        if self.budgets is not None:
            check_budgets("budgets", self.budgets)

    @property
    def own_probes(self) -> list[OwnProbe]:
        """The probes of one's own."""
        return [probe for probe in self.probes if isinstance(probe, OwnProbe)]

    @property
    def probe_names(self) -> list[str]:
        """The names of the probes, as a run's `probes` holds them."""
        return [probe.name if isinstance(probe, OwnProbe) else probe for probe in self.probes]

    def _check_text(self, claim: Claim, arm: str) -> None:
        """Refuse an arm whose loss has another unit than the yardsticks, nats per character."""
        (variant,) = (variant for variant in self.variants if variant.name == arm)
        task = variant.changes.get("recipe.task", "language")
        if task not in TEXT_TASKS:
            raise ValueError(
                f"claim '{claim.id}': the yardsticks are losses on text, and the task of '{arm}' is"
                f" {task}: use Trains or Solves"
            )

    def budgets_of(self, budgets: Sequence[int]) -> list[int]:
        """The budgets of a profile at which the ablation is trained."""
        if self.budgets is None:
            return list(budgets if self.core else budgets[:1])
        return [budget for budget in budgets if budget in self.budgets] or list(budgets[:1])


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


def _check_measured(claim: Claim, variants: list[str], own: list[str]) -> None:
    """Refuse a claim about what no study measures, and one about learning that has no gate."""
    owner = f"claim '{claim.id}'"
    if claim.check:
        check_names(owner, "check", [claim.check], IDENTITIES)
    probe, _, number = claim.metric.partition(".")
    named = [name.removeprefix(f"{probe}.") for name in own if name.startswith(f"{probe}.")]
    if named and number not in named:
        raise ValueError(
            f"{owner}: the metrics= of the probe '{probe}' are {', '.join(named)}, and not"
            f" '{number}'"
        )
    check_names(owner, "metric", [claim.metric], [*METRICS, *COST_METRICS, *own])
    if claim.metric in COST_METRICS:
        check_names(owner, "cost", claim.effect, COSTS)
    else:
        check_names(owner, "variant", claim.effect, variants)
    if claim.learnt and not claim.requires:
        raise ValueError(
            f"{owner} is about what networks learn, and requires no gate, such as"
            " Beats('an arm', 'bigram')"
        )
