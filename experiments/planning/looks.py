"""Looks: the numbers of seeds at which an undecided claim is judged again, and what they add."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from experiments.ablation import Ablation, Claim
from experiments.errors import UserError
from experiments.gates import needs_bigram

Added = Mapping[str, Mapping[str, int]]  # numbers of seeds by claim and budget, a text as in JSON


# Numbers of seeds at the looks that follow the first. Chosen before any claim was looked at twice:
# see tests/report/verdicts/test_looks.py.
LOOKS: tuple[int, ...] = (8, 12, 20)


def check_looks(looks: Sequence[int]) -> None:
    """Refuse planned looks that are not whole numbers of seeds, above one and increasing.

    Raises:
        UserError: naming the looks.
    """
    whole = all(type(n) is int for n in looks)
    if not whole or any(n <= before for before, n in zip((1, *looks), looks, strict=False)):
        raise UserError(
            f"LOOKS={tuple(looks)} of experiments/planning/looks.py cannot work: a look has a whole"
            " number of seeds, above one and more than the look before"
        )


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
    added: those of the claims that seeds were added to, by budget. Where an ablation is not trained
        at such a budget, the arms of the claim alone are.
    budgets: those of the study.
    """

    seeds: int
    fewer_seeds: int
    added: Added
    budgets: Sequence[int]

    def of_ablation(self, ablation: Ablation, budget: int) -> int:
        """Number of seeds of every variant of an ablation at a budget; 0 where none is trained."""
        if budget not in ablation.budgets_of(self.budgets):
            return 0
        return self.seeds if ablation.core else self.fewer_seeds

    def of_claim(self, ablation: Ablation, claim: Claim, budget: int) -> int:
        """Number of seeds that a claim is judged with at a budget."""
        further = self.added.get(claim.id, {}).get(str(budget), 0)
        return max(self.of_ablation(ablation, budget), further)

    def of_variant(self, ablation: Ablation, variant: str, budget: int) -> int:
        """Number of seeds of a variant at a budget: the most that one of its claims needs."""
        needed = [
            self.of_claim(ablation, claim, budget)
            for claim in ablation.claims
            if variant in _arms(claim)
        ]
        return max([self.of_ablation(ablation, budget), *needed])

    def of_bigram(self, ablation: Ablation, budget: int) -> int:
        """Number of seeds of the bigram that an ablation's claims need at a budget."""
        needed = [
            self.of_claim(ablation, claim, budget)
            for claim in ablation.claims
            if claim.metric.endswith("_to_loss") or any(map(needs_bigram, claim.requires))
        ]
        return max(needed, default=0)

    def budgets_of(self, ablation: Ablation, variant: str) -> list[int]:
        """The budgets at which a variant is trained: those of its ablation, and those of claims."""
        of_claims = {
            int(budget)
            for claim in ablation.claims
            if variant in _arms(claim)
            for budget in self.added.get(claim.id, {})
        }
        return sorted({*ablation.budgets_of(self.budgets), *of_claims})


def _arms(claim: Claim) -> set[str]:
    """The variants that a claim weighs, and those of its gates."""
    return {*claim.effect, *(arm for gate in claim.requires for arm in gate.arms)}
