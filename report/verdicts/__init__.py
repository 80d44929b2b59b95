"""Verdicts: pure functions from claims, and effects or a table of runs, to estimates and verdicts.

`judge` is what other projects use.
"""

from experiments.claim import Claim
from experiments.gates import Beats, SeesTokens, Solves
from report.verdicts.runs import judge

__all__ = ["Beats", "Claim", "SeesTokens", "Solves", "judge"]
