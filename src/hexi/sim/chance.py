"""Randomness by name: the same names always give the same numbers, whatever else is drawn."""

from __future__ import annotations

from math import exp
from random import Random


def chance(*names: object) -> Random:
    """A generator of its own for one thing of the simulation."""
    return Random("/".join(str(name) for name in names))  # noqa: S311 -- it has to repeat, not to hide


def lognormal(random: Random, median: float, spread: float) -> float:
    """A positive number: half lie below the median, two thirds within a factor ``e ** spread``."""
    return median * exp(random.gauss(0.0, spread))
