"""Opening hours and shifts, in the weekday-and-time part of the OSM opening_hours syntax."""

from __future__ import annotations

import re
from datetime import time
from typing import NamedTuple

from hexi.kernel.clock import LOCAL, MINUTE, Instant, to_datetime

_DAYS = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")
_RULE = re.compile(r"(?:([A-Z][a-z](?:[-,][A-Z][a-z])*)\s+)?(\d\d:\d\d)-(\d\d:\d\d)")


class Span(NamedTuple):
    """Open on some weekdays (0 = Monday) from one minute of the day to another; may pass midnight."""

    days: frozenset[int]
    start: int
    end: int

    def covers(self, weekday: int, minute: int) -> bool:
        """Whether a minute of a weekday lies inside."""
        if self.start < self.end:
            return weekday in self.days and self.start <= minute < self.end
        late = weekday in self.days and minute >= self.start
        early = (weekday - 1) % 7 in self.days and minute < self.end
        return late or early


Hours = tuple[Span, ...]
ALWAYS: Hours = (Span(frozenset(range(7)), 0, 24 * 60),)


def parse_hours(text: str) -> Hours:
    """Read ``"24/7"``, ``"08:00-20:00"`` or ``"Mo-Fr 08:00-18:00; Sa 09:00-12:00"``."""
    if text.strip() == "24/7":
        return ALWAYS
    return tuple(_parse_rule(rule.strip()) for rule in text.split(";") if rule.strip())


def _parse_rule(rule: str) -> Span:
    match = _RULE.fullmatch(rule)
    if not match:
        raise ValueError(f"not opening hours: {rule!r} (write Mo-Fr 08:00-18:00)")
    days, start, end = match.groups()
    return Span(_parse_days(days) if days else frozenset(range(7)), _minute(start), _minute(end))


def _parse_days(text: str) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        a, b = _DAYS.index(first), _DAYS.index(last or first)
        found.update(range(a, b + 1) if a <= b else (*range(a, 7), *range(b + 1)))
    return frozenset(found)


def _minute(text: str) -> int:
    if text == "24:00":
        return 24 * 60
    at = time.fromisoformat(text)
    return at.hour * 60 + at.minute


def is_open(hours: Hours, at: Instant) -> bool:
    """Whether an instant lies inside, by the district's clocks."""
    moment = to_datetime(at, LOCAL)
    minute = moment.hour * 60 + moment.minute
    return any(span.covers(moment.weekday(), minute) for span in hours)


def closes_at(hours: Hours, at: Instant) -> Instant:
    """The first whole minute, within a week, at which it is no longer open; ``at`` itself if it is closed."""
    minute = at - at % MINUTE
    for ahead in range(7 * 24 * 60):
        if not is_open(hours, minute + ahead * MINUTE):
            return max(at, minute + ahead * MINUTE)
    return at
