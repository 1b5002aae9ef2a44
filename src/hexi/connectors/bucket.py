"""Token buckets: how often one sender may come."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from time import monotonic


class Buckets:
    """One bucket a name, of ``burst`` and refilled by ``rate`` a second; the least used are forgotten."""

    def __init__(
        self, rate: float, burst: float, *, most: int = 10_000, timer: Callable[[], float] = monotonic
    ) -> None:
        self.rate = rate
        self.burst = burst
        self._most = most
        self._timer = timer
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, name: str) -> float:
        """Take one; 0 when there was one, else the seconds until there is."""
        now = self._timer()
        level, since = self._levels.get(name, (self.burst, now))
        level = min(self.burst, level + (now - since) * self.rate)
        wait = 0.0 if level >= 1 else (1 - level) / self.rate
        self._levels[name] = (level if wait else level - 1, now)
        self._levels.move_to_end(name)
        if len(self._levels) > self._most:
            self._levels.popitem(last=False)
        return wait
