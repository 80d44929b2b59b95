"""The tables of a study, and the verdicts on its claims."""
