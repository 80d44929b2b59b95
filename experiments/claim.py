"""Claims: a sentence, and the rule by which measured effects judge the sentence."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from experiments.errors import UserError
from experiments.gates import Gate
from experiments.metrics import (
    BLOCK_METRICS,
    COST_METRICS,
    COUNTED_METRICS,
    LEARNT_METRICS,
    METRICS,
    TIMED,
)


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A sentence from the literature and the rule that judges it, both written before the runs.

    `effect` gives a weight to each variant. The effect of a seed is the weighted sum of `metric`
    over the variants, minus `threshold`; the signs are chosen so that a positive effect supports
    the sentence. In an ablation, `metric` is one of `METRICS`, a metric of an `OwnProbe`, or one of
    `COST_METRICS`, which are measured without training; their weights are for names of `COSTS`. A
    claim about one of `BLOCK_METRICS` has an effect per block of measurements instead of one per
    seed. In a table of runs, `metric` is any column.

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
    anything. Where a gate does not hold, the claim is not testable at that budget, whatever its
    effect is. In an ablation, a claim about what networks learn (`LEARNT_METRICS`) needs a gate.

    `published_effect` is what the source found, in the unit of the effect; the page says where
    twenty seeds could not decide so small an effect. `restated` says what the claim or its rule was
    before a pilot or a review, and why it was changed.

    Raises:
        ValueError: a number is not a number, or fields contradict each other.
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
        """True if the claim counts the seeds in which its effect is positive."""
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
        """True if the claim is about what networks learn: its metric is one of `LEARNT_METRICS`."""
        return bool(self.effect) and self.metric in LEARNT_METRICS

    @property
    def unit(self) -> str:
        """The unit of the effect."""
        if self.counted:
            return "share of seeds"
        return f"ratio of {self.metric_words}" if self.log else self.metric_unit

    @property
    def metric_unit(self) -> str:
        """The unit of the metric; the name of a metric that is not ours, in words."""
        return (METRICS | COST_METRICS).get(self.metric, self.metric_words)

    @property
    def metric_words(self) -> str:
        """The name of the metric in words."""
        return self.metric.replace("_", " ").replace(".", " ")


# Numbers of seeds at the looks that follow the first. Chosen before any claim was looked at twice:
# see tests/report/study/test_looks.py.
LOOKS: tuple[int, ...] = (8, 12, 20)


def check_looks(looks: Sequence[int]) -> None:
    """Refuse planned looks that are not whole numbers of seeds, above one and increasing.

    Raises:
        UserError: naming the looks.
    """
    whole = all(type(n) is int for n in looks)
    if not whole or any(n <= before for before, n in zip((1, *looks), looks, strict=False)):
        raise UserError(
            f"LOOKS={tuple(looks)} of experiments/claim.py cannot work: a look has a whole"
            " number of seeds, above one and more than the look before"
        )


def look_number(n: int, looks: int) -> int:
    """The number of the look at a claim with `n` added seeds, in a study with so many looks.

    A planned look that was skipped counts, so the level does not depend on which are skipped.
    """
    return looks + sum(planned <= n for planned in LOOKS)
