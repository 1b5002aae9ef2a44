"""The days of the signals on PostgreSQL: the next ones are there before their first signal."""

from __future__ import annotations

import asyncio

import structlog

from hexi.adapters.sql.days import Days

EVERY = 600.0
"""Seconds between looks; days are made some ahead, so one that fails is made by a later look."""

_log = structlog.get_logger("hexi.days")


class DayKeeper:
    """Makes the next days and lets go of past ones that are empty; on SQLite there is nothing to do."""

    def __init__(self, days: Days | None) -> None:
        self._days = days

    async def run(self) -> None:
        """Go on until cancelled; one look that fails does not stop the next."""
        while self._days:
            try:
                await asyncio.to_thread(self._look, self._days)
            except Exception:  # noqa: BLE001 -- see above
                _log.exception("the days of the signals could not be made")
            await asyncio.sleep(EVERY)

    def _look(self, days: Days) -> None:
        for name in days.make_ahead():
            _log.info("a day of signals is ready", name=name)
        for name in days.sweep():
            _log.info("a past day of signals is gone", name=name)
