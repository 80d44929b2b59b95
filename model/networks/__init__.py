"""Whole networks, generation with them, and traces of their shapes."""
