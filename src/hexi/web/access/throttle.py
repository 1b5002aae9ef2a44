"""Growing waits after failed log-ins, per login and per address. In memory and bounded."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from time import monotonic

FREE = 3
"""Failures that cost no wait."""

LONGEST = 900.0
FORGET = 1_800.0
"""Seconds: the longest wait, and how long a failure is remembered."""

OFFICE = 5
"""An address may stand for a whole office behind one gateway, and fail so many times as often."""


class Throttle:
    """Counts attempts that have not succeeded, by name.

    Each one after the free ones doubles the wait, from two seconds; from ``limit`` on it is the longest.
    """

    def __init__(
        self, limit: int = 10, *, most: int = 10_000, timer: Callable[[], float] = monotonic
    ) -> None:
        self._limit = limit
        self._most = most
        self._timer = timer
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def begin(self, login: str, address: str) -> float:
        """Seconds to wait, or 0: then the attempt counts as failed until ``succeeded`` is called.

        Counting before the password is looked at leaves no gap for a thousand guesses at once.
        """
        names = self._names(login, address)
        wait = max(self._wait(name, times) for name, times in names.items())
        if not wait:
            for name in names:
                self._count(name)
        return wait

    def succeeded(self, login: str, address: str) -> None:
        """The right person came: their failures are forgotten, and this attempt of the address."""
        by_login, by_address = self._names(login, address)
        self._failures.pop(by_login, None)
        count, since = self._failures.get(by_address, (1, 0.0))
        self._failures[by_address] = (count - 1, since)

    def _names(self, login: str, address: str) -> dict[str, int]:
        return {f"login {login[:100]}": 1, f"address {address}": OFFICE}

    def _wait(self, name: str, times: int) -> float:
        count, since = self._failures.get(name, (0, 0.0))
        age = self._timer() - since
        free, limit = min(FREE, self._limit) * times, self._limit * times
        if count < free or age > FORGET:
            return 0.0
        wait = LONGEST if count >= limit else 2.0 ** (count - free + 1)
        return max(0.0, min(LONGEST, wait) - age)

    def _count(self, name: str) -> None:
        count, since = self._failures.pop(name, (0, 0.0))
        known = count if self._timer() - since <= FORGET else 0
        self._failures[name] = (known + 1, self._timer())
        if len(self._failures) > self._most:
            self._failures.popitem(last=False)
