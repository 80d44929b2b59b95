"""What an ablation file contains: variants, and claims with the rules that judge them."""

import dataclasses
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from experiments.gates import (
    YARDSTICKS,
    Beats,
    Gate,
    SeesTokens,
    Solves,
    Trains,
    UsesContext,
    check_gate,
)
from experiments.metrics import (
    BLOCK_METRICS,
    COST_METRICS,
    COSTS,
    COUNTED_METRICS,
    IDENTITIES,
    LEARNT_METRICS,
    METRICS,
    PROBE_OF,
    TIMED,
)
from experiments.profiles import check_budgets
from experiments.spec import TEXT_TASKS, Probe
from experiments.variant import Times, Variant, check_names, cross, custom, vary, without_each

__all__ = [
    "Ablation",
    "Beats",
    "Claim",
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


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A sentence from the literature and the rule that judges it, both written before the runs.

    `effect` gives a weight to each variant. The effect of a seed is the weighted sum of `metric`
    over the variants, minus `threshold`; the signs are chosen so that a positive effect supports
    the sentence. `METRICS` lists the metrics of variants. `COST_METRICS` lists the metrics that are
    measured without training; their weights are for names of `COSTS`. A claim about one of
    `BLOCK_METRICS` has an effect per block of measurements instead of one per seed.

    With `log`, the natural logarithm of the metric is used and the effect is shown as a ratio. With
    `equal`, the sentence claims that there is no difference beyond `margin`; with `no_worse`, that
    nothing is worse by more than `margin`.

    A claim with one of `COUNTED_METRICS` is counted: its effect is the share of seeds in which the
    weighted sum is positive, and `margin` is a share of seeds. With `seed_margin`, a claim about
    another metric is counted too: a seed counts where its weighted sum is above `seed_margin`. This
    is for networks that end in one of two ways, whose mean says little.

    A claim that needs no training has a `check` instead of an effect: the name of one of
    `IDENTITIES`, which holds or does not hold.

    `requires` lists the gates of the claim: what must hold of its arms for the comparison to mean
    anything. A claim about what networks learn (`LEARNT_METRICS`) needs at least one gate. Where a
    gate does not hold, the claim is not testable at that budget, whatever its effect is.

    `published_effect` is what the source found, in the unit of the effect; the page says where
    twenty seeds could not decide so small an effect. `restated` says what the claim or its rule was
    before a pilot or a review, and why it was changed.

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
    seed_margin: float | None = None
    why_margin: str = ""
    published: str = ""
    published_effect: float | None = None
    restated: str = ""
    requires: Sequence[Gate] = ()

    def __post_init__(self) -> None:
        owner = f"claim '{self.id}'"
        if bool(self.check) == bool(self.effect) or (self.effect and not self.why_margin):
            raise ValueError(f"{owner} needs a check, or an effect with margin and why_margin")
        if not self.said_by:
            raise ValueError(f"{owner} needs said_by: who makes the claim")
        if self.equal and self.no_worse:
            raise ValueError(f"{owner} has equal and no_worse: choose one of them")
        if self.check:
            check_names(owner, "check", [self.check], IDENTITIES)
        check_names(owner, "metric", [self.metric], [*METRICS, *COST_METRICS])
        if self.metric in COST_METRICS:
            check_names(owner, "cost", self.effect, COSTS)
        if self.learnt and not self.requires:
            raise ValueError(
                f"{owner} is about what networks learn, and requires no gate, such as"
                " Beats('an arm', 'bigram')"
            )
        numbers = {"margin": self.margin, "threshold": self.threshold, **self.effect}
        for name in ("published_effect", "seed_margin"):
            if (value := getattr(self, name)) is not None:
                numbers[name] = value
        for name, value in numbers.items():
            if type(value) not in (int, float):
                raise ValueError(f"{owner}: {name} must be a number, not {value!r}")
        if self.effect and not 0 < self.margin < math.inf:
            raise ValueError(f"{owner}: margin={self.margin!r} cannot work: it must be above 0")
        options = self.threshold or self.log or self.equal or self.no_worse
        if self.counted and (self.margin >= 1 or options):
            raise ValueError(
                f"{owner} is counted in seeds: its margin is a share below 1, and threshold, log,"
                " equal and no_worse have no meaning"
            )
        self._check_seed_margin(owner)
        if self.published_effect is not None and (self.counted or self.log or self.check):
            raise ValueError(f"{owner}: published_effect is for claims about a difference")
        one_cost = list(self.effect.values()) == [1] and not self.log
        if self.metric.endswith("_exponent") and not one_cost:
            raise ValueError(
                f"{owner} is about an exponent: its effect is one operation with the weight 1,"
                " without log"
            )

    def _check_seed_margin(self, owner: str) -> None:
        if self.seed_margin is None:
            return
        if not 0 < self.seed_margin < math.inf:
            raise ValueError(f"{owner}: seed_margin={self.seed_margin!r} must be above 0")
        if self.check:
            raise ValueError(f"{owner} has a check, so seed_margin has no meaning")
        if self.metric in (*COUNTED_METRICS, *BLOCK_METRICS, *TIMED):
            raise ValueError(
                f"{owner}: seed_margin is for a metric that has a value per seed; {self.metric} is"
                " counted already, or measured in blocks"
            )

    @property
    def counted(self) -> bool:
        """Whether the claim counts the seeds in which its effect is positive."""
        return self.metric in COUNTED_METRICS or self.seed_margin is not None

    @property
    def margin_in_nats(self) -> float | None:
        """The smallest difference in nats that counts, in a seed if the claim is counted; None for
        effects in another unit.
        """
        if not self.effect or self.log or not METRICS.get(self.metric, "").startswith("nats per"):
            return None
        return self.margin if self.seed_margin is None else self.seed_margin

    @property
    def learnt(self) -> bool:
        """Whether the claim is about what networks learn: its metric is one of `LEARNT_METRICS`."""
        return bool(self.effect) and self.metric in LEARNT_METRICS


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
class Ablation:
    """One comparison of variants.

    `baseline` is the variant that the others are compared with. `probes` are applied to every
    variant's trained network. A `core` ablation is trained with the profile's `seeds` and at all of
    its budgets; any other with `fewer_seeds` and at the first budget. `budgets` replaces this: the
    ablation is trained at those of its numbers that are budgets of the profile, or at the first
    budget where none is.

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
    probes: Sequence[Probe] = ()
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
        check_names("probes", "probe", self.probes, get_args(Probe))
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
            if claim.metric not in COST_METRICS:
                check_names(f"claim '{claim.id}'", "variant", claim.effect, variants)
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
