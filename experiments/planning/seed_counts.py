"""Numbers of seeds: of a study, of an ablation, and of claims that seeds were added to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from experiments.ablation import Ablation, Claim
from experiments.gates import needs_bigram

Added = Mapping[str, Mapping[str, int]]  # numbers of seeds by claim and budget, a text as in JSON


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
