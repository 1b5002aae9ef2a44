"""Clocks: the machine's own, and the database's, by which several processes agree."""

from __future__ import annotations

import time
from collections import deque

from hexi.kernel.clock import Duration, Instant

_NS = 1_000_000


class SystemClock:
    """``kernel.clock.Clock``: reads the wall clock once and then never goes backwards."""

    def __init__(self) -> None:
        self._anchor_ns = time.time_ns() - time.monotonic_ns()

    def now(self) -> Instant:
        """The present, in milliseconds UTC."""
        return (self._anchor_ns + time.monotonic_ns()) // _NS

    def step(self) -> Duration:
        """How far the wall clock has moved away from this one, in milliseconds; later is positive."""
        return (time.time_ns() - self._anchor_ns - time.monotonic_ns()) // _NS

    def follow(self) -> None:
        """Take on a wall clock that is ahead; one that is behind is never followed."""
        self._anchor_ns = max(self._anchor_ns, time.time_ns() - time.monotonic_ns())


class DatabaseClock:
    """``kernel.clock.Clock``: the database's time, kept between measurements by monotonic progress.

    It never goes backwards: when the database is behind what was thought, this clock goes at half its pace
    until they meet. The machine's own wall clock is not looked at.
    """

    def __init__(self) -> None:
        self._samples: deque[tuple[int, int]] = deque(maxlen=8)
        """(half the round trip, database minus monotonic) of the last measurements, nanoseconds."""
        self._ahead = 0
        """Database minus monotonic as it is believed."""
        self._floor: tuple[int, int] | None = None
        """What was shown, and when, at the last correction: from there on at least half the pace is kept."""
        self._first: int | None = None

    def measure(self, database_ns: int, sent_ns: int, received_ns: int) -> None:
        """The database said this time between two readings of ``time.monotonic_ns``."""
        sample = (received_ns - sent_ns) // 2, database_ns - (sent_ns + received_ns) // 2
        if any(abs(ahead - sample[1]) > error + sample[0] + _SAME_NS for error, ahead in self._samples):
            self._samples.clear()  # it was set: what was measured before says nothing any more
        self._samples.append(sample)
        ahead = min(self._samples)[1]
        if self._first is None:
            self._first = ahead
        else:
            at = time.monotonic_ns()
            self._floor = at, self._read(at)
        self._ahead = ahead

    @property
    def error(self) -> Duration:
        """How far off it may be, in milliseconds, as far as the best recent measurement can tell."""
        return min(self._samples)[0] // _NS + 1 if self._samples else 0

    def _read(self, at: int) -> int:
        if self._floor is None:
            return at + self._ahead
        then, shown = self._floor
        return max(at + self._ahead, shown + (at - then) // 2)

    def now(self) -> Instant:
        """The present, in milliseconds UTC."""
        return self._read(time.monotonic_ns()) // _NS

    def measured(self) -> Instant:
        """The database's own time as last measured, which may go back: what processes judge each other by."""
        return (time.monotonic_ns() + self._ahead) // _NS

    def step(self) -> Duration:
        """How far the database's clock has moved away from steady progress, in milliseconds."""
        return (self._ahead - (self._first or self._ahead)) // _NS


_SAME_NS = 50 * _NS
"""Measurements that differ by more than their errors and this are of a clock that was set."""
