"""Fixtures of the tests of commands that add seeds."""

from decidable import finished, program

__all__ = ["finished", "program"]
