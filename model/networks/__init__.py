"""Whole networks, what they generate and what they consist of."""
