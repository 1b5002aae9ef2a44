"""Promises about time."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from hexi.adapters.packs.check.item import Item, Whole
from hexi.adapters.packs.problem import Problem
from hexi.kernel.clock import format_duration
from hexi.kernel.scenario import PROMISES, Severity
from hexi.spine.ask import HARD_CAP


def deadlines_are_in_order(item: Item, _: Whole) -> Iterator[Problem]:
    """Nobody is to arrive before having set off, or close before arriving."""
    given = [(name, length) for name in PROMISES if (length := item.scenario.case.deadlines.get(name))]
    for name, length in item.scenario.case.deadlines.items():
        if length <= 0:
            yield item.wrong(f"case.deadlines.{name}", "应大于零", "must be longer than nothing")
    for (earlier, short), (later, long) in pairwise(given):
        if short > long:
            yield item.wrong(
                f"case.deadlines.{earlier}",
                f"{earlier} {format_duration(short)} 晚于 {later} {format_duration(long)}",
                f"{earlier} {format_duration(short)} comes after {later} {format_duration(long)}",
            )


def steps_come_before_the_end(item: Item, _: Whole) -> Iterator[Problem]:
    """A step that is due after the case should be closed is never of use."""
    closed = item.scenario.case.deadlines.get("closed")
    for number, step in enumerate(item.scenario.response):
        if closed is not None and step.after > closed:
            late, end = format_duration(step.after), format_duration(closed)
            yield item.wrong(
                f"response[{number}].after",
                f"{late} 晚于结案时限 {end}",
                f"{late} is later than the case should be closed ({end})",
            )


def question_is_short(item: Item, _: Whole) -> Iterator[Problem]:
    """Someone who cannot answer is not left waiting."""
    ask = item.scenario.ask
    if ask and not 0 < ask.wait <= HARD_CAP:
        limit = format_duration(HARD_CAP)
        yield item.wrong(
            "ask.wait", f"应在 0 与 {limit} 之间", f"must be longer than nothing and at most {limit}"
        )


def emergency_promises_an_answer(item: Item, _: Whole) -> Iterator[Problem]:
    """An emergency that nobody answers must break a promise, for that is what escalates."""
    case = item.scenario.case
    if case.severity is Severity.EXTREME and not {"acknowledged", "arrived"} & case.deadlines.keys():
        yield item.wrong(
            "case.deadlines",
            "特别紧急的场景要有 acknowledged 或 arrived 时限",
            "an extreme scenario needs a deadline for acknowledged or arrived",
        )
    elif not case.deadlines:
        yield item.doubtful("case", "没有任何时限，不会升级", "no deadline at all, so nothing escalates")
