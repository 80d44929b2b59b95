"""Verdicts: pure functions from tables and claims to estimates and verdicts."""
