"""Conditions in CEL, the Common Expression Language, over a signal or a case.

A condition never loses a signal: an error or a missing value counts as true and is flagged.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import cel

SIGNAL_NAMES = frozenset({"data", "signal", "subject", "device", "place", "local"})
"""What a scenario's ``when`` may speak of."""


FUNCTIONS = frozenset(
    {
        *("size", "has", "type", "dyn", "bool", "bytes", "double", "int", "string", "uint"),
        *("contains", "startsWith", "endsWith", "matches", "duration", "timestamp"),
        *("getFullYear", "getMonth", "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear"),
        *("getHours", "getMinutes", "getSeconds", "getMilliseconds"),
    }
)
"""The functions of CEL itself; a pack's predicates come beside them."""


class Verdict(NamedTuple):
    """Whether a condition holds, and the error that made it hold by default."""

    holds: bool
    error: str | None = None


class Condition:
    """A compiled CEL expression."""

    __slots__ = ("_program", "functions", "names", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        try:
            self._program = cel.compile(text)
        except ValueError as error:
            raise ValueError(f"not a condition: {text!r}: {error}") from error
        self.names = frozenset(self._program.variables())
        self.functions = frozenset(name for name in self._program.functions() if name.isidentifier())

    def judge(self, context: cel.Context | Mapping[str, Any]) -> Verdict:
        """Evaluate; what cannot be decided holds, with the error beside it."""
        try:
            result = self._program.execute(context if isinstance(context, cel.Context) else dict(context))
        except Exception as error:  # noqa: BLE001 -- CEL raises a different one for every way to be wrong
            return Verdict(holds=True, error=f"{type(error).__name__}: {error}")
        if isinstance(result, bool):
            return Verdict(holds=result)
        return Verdict(holds=True, error=f"gives {type(result).__name__}, not true or false")


def unknown_names(condition: Condition, allowed: frozenset[str]) -> list[str]:
    """Names the condition uses that will not be there; comprehension variables pass with one letter."""
    return sorted(name for name in condition.names - allowed if len(name) > 1)
