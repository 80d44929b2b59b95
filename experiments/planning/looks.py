"""Looks: the numbers of seeds at which an undecided claim is judged again, and what they add."""

from collections.abc import Mapping
from dataclasses import dataclass

from experiments.ablation import Ablation, Claim
from experiments.gates import needs_bigram

Added = Mapping[str, Mapping[str, int]]  # numbers of seeds by claim and budget, a text as in JSON


def planned_looks(*seeds: int) -> tuple[int, ...]:
    """Numbers of seeds at the looks that follow the first.

    Raises:
        ValueError: the numbers are not above one and increasing.
    """
    if any(n <= before for before, n in zip((1, *seeds), seeds, strict=False)):
        raise ValueError(f"looks={seeds} cannot work: seeds are above one, and more at each look")
    return seeds


# Chosen before any claim was looked at twice: see tests/report/verdicts/test_looks.py.
LOOKS = planned_looks(8, 12, 20)


def look_number(n: int, looks: int) -> int:
    """The number of the look at a claim with `n` added seeds, in a study with so many looks.

    A planned look that was skipped counts, so the level does not depend on which are skipped.
    """
    return looks + sum(planned <= n for planned in LOOKS)


@dataclass(frozen=True)
class SeedCounts:
    """Numbers of seeds in a study.

    seeds: those of core ablations.
    fewer_seeds: those of other ablations.
    added: those of the claims that seeds were added to, by budget.
    """

    seeds: int
    fewer_seeds: int
    added: Added

    def of_ablation(self, ablation: Ablation) -> int:
        """Number of seeds of every variant of an ablation."""
        return self.seeds if ablation.core else self.fewer_seeds

    def of_claim(self, ablation: Ablation, claim: Claim, budget: int) -> int:
        """Number of seeds that a claim is judged with at a budget."""
        further = self.added.get(claim.id, {}).get(str(budget), 0)
        return max(self.of_ablation(ablation), further)

    def of_variant(self, ablation: Ablation, variant: str, budget: int) -> int:
        """Number of seeds of a variant at a budget: the most that one of its claims needs."""
        needed = [
            self.of_claim(ablation, claim, budget)
            for claim in ablation.claims
            if variant in {*claim.effect, *(arm for gate in claim.requires for arm in gate.arms)}
        ]
        return max([self.of_ablation(ablation), *needed])

    def of_bigram(self, ablation: Ablation, budget: int) -> int:
        """Number of seeds of the bigram that an ablation's claims need at a budget."""
        needed = [
            self.of_claim(ablation, claim, budget)
            for claim in ablation.claims
            if claim.metric.endswith("_to_loss") or any(map(needs_bigram, claim.requires))
        ]
        return max(needed, default=0)
