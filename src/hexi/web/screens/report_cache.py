"""Reports that were just counted: a month is thousands of logs, and alarms share the processor."""

from __future__ import annotations

from threading import Lock

from hexi.kernel.clock import MINUTE, Instant
from hexi.kernel.report import Asked, MonthReport
from hexi.spine.platform import Platform
from hexi.spine.report import month_report

KEPT_FOR = MINUTE
"""How old a report may be that is shown again; it says itself as of when it is."""

_MOST = 24


class Reports:
    """Counts one report at a time and keeps the latest for a moment."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._known: dict[tuple[str, str | None], MonthReport] = {}
        self._counting = Lock()

    def get(self, month: str, place: str | None, now: Instant) -> MonthReport:
        """The report of a month and place as of now, or of a moment ago."""
        key = (month, place)
        with self._counting:
            known = self._known.get(key)
            if known is None or now - known.as_of > KEPT_FOR:
                known = self._count(Asked(month, now, place))
                if len(self._known) >= _MOST:
                    self._known.clear()
                self._known[key] = known
            return known

    def _count(self, asked: Asked) -> MonthReport:
        with self._platform.store.read() as tx:
            return month_report(tx, asked)
