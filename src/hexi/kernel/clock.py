"""Time by argument: instants, durations and the clock port.

An instant is whole milliseconds since 1970-01-01T00:00:00Z, a duration whole milliseconds.
Whole numbers compare, store and index exactly on every database.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

Instant = int
Duration = int

SECOND: Duration = 1000
MINUTE: Duration = 60 * SECOND
HOUR: Duration = 60 * MINUTE
DAY: Duration = 24 * HOUR

LOCAL = ZoneInfo("Asia/Shanghai")
"""The district's time zone; by-day figures and opening hours use it."""

_UNITS = {"ms": 1, "s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


class Clock(Protocol):
    """Tells the present instant; never goes backwards within a process."""

    def now(self) -> Instant:
        """The present, in milliseconds UTC."""
        ...


class SimClock:
    """A clock that moves only when told to: tests and simulated days."""

    def __init__(self, start: Instant) -> None:
        self._now = start

    def now(self) -> Instant:
        """The instant the simulation stands at."""
        return self._now

    def advance(self, by: Duration) -> Instant:
        """Move forward by a duration and return the new present."""
        if by < 0:
            raise ValueError("a simulated clock does not go back")
        self._now += by
        return self._now

    def set(self, at: Instant) -> None:
        """Move forward to an instant; an earlier one is ignored."""
        self._now = max(self._now, at)


def parse_duration(text: str) -> Duration:
    """Read ``"90s"``, ``"15m"``, ``"1h30m"``; raise ValueError with the allowed form."""
    compact = text.replace(" ", "")
    parts = _PART.findall(compact)
    if not parts or "".join(n + u for n, u in parts) != compact:
        raise ValueError(f"not a duration: {text!r} (write 90s, 15m, 4h, 1h30m, 2d)")
    return round(sum(float(number) * _UNITS[unit] for number, unit in parts))


def format_duration(length: Duration) -> str:
    """The shortest form that ``parse_duration`` reads back: ``"1h30m"``."""
    if length == 0:
        return "0s"
    left, parts = length, []
    for unit in ("d", "h", "m", "s", "ms"):
        count, left = divmod(left, _UNITS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)


def to_datetime(at: Instant, zone: ZoneInfo | None = None) -> datetime:
    """The instant as an aware datetime, UTC unless a zone is given."""
    moment = datetime.fromtimestamp(at // 1000, UTC) + timedelta(milliseconds=at % 1000)
    return moment.astimezone(zone) if zone else moment


def from_datetime(moment: datetime) -> Instant:
    """Milliseconds UTC of an aware datetime."""
    if moment.tzinfo is None:
        raise ValueError("a time needs its zone, such as 2026-05-01T08:00:00+08:00")
    return round(moment.timestamp() * 1000)


def parse_instant(text: str) -> Instant:
    """Read an RFC 3339 time with its offset."""
    return from_datetime(datetime.fromisoformat(text))


def format_instant(at: Instant) -> str:
    """RFC 3339 in UTC with milliseconds and a ``Z``."""
    return to_datetime(at).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def local_day(at: Instant) -> str:
    """The district's calendar day of an instant, ``"2026-05-01"``."""
    return to_datetime(at, LOCAL).date().isoformat()


def parse_time_of_day(text: str) -> time:
    """Read ``"05:00"``; ``"24:00"`` is not a time of day."""
    return time.fromisoformat(text)


def next_local(after: Instant, at: time) -> Instant:
    """The first instant later than ``after`` at which the district's clocks show ``at``."""
    moment = to_datetime(after, LOCAL)
    candidate = moment.replace(hour=at.hour, minute=at.minute, second=at.second, microsecond=0)
    if from_datetime(candidate) <= after:
        candidate += timedelta(days=1)
    return from_datetime(candidate)
