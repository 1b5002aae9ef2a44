"""Promises about conditions in CEL."""

from __future__ import annotations

from collections.abc import Iterator

from hexi.adapters.packs.check.item import Item, Whole
from hexi.adapters.packs.problem import Problem
from hexi.kernel.condition import FUNCTIONS, SIGNAL_NAMES, Condition, unknown_names
from hexi.kernel.text import Text

NAME = Text(zh="名称", en="name")
FUNCTION = Text(zh="函数", en="function")


def when_speaks_of_known_things(item: Item, whole: Whole) -> Iterator[Problem]:
    """A misspelt name would be missing at run time, and so count as true."""
    when = item.scenario.signal.when
    if when is None:
        return
    condition = Condition(when)
    for name in unknown_names(condition, SIGNAL_NAMES):
        yield item.unknown("signal.when", name, SIGNAL_NAMES, NAME)
    functions = FUNCTIONS | whole.predicates
    for name in sorted(condition.functions - functions):
        yield item.unknown("signal.when", name, functions, FUNCTION)
