"""The system's clock: an anchor in UTC, then monotonic progress."""

from __future__ import annotations

import time

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
