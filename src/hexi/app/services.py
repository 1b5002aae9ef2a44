"""Services: what runs beside the writer goes on, whatever happens to it."""

from __future__ import annotations

import asyncio
from typing import Protocol

import structlog

AGAIN = 5.0
"""Seconds until a service that failed is begun again."""

_log = structlog.get_logger("hexi.services")


class Service(Protocol):
    """Something that goes on until it is cancelled."""

    async def run(self) -> None:
        """Go on until cancelled, or until there is nothing to do for good."""
        ...


async def keep_going(service: Service, again: float = AGAIN, after: asyncio.Task[None] | None = None) -> None:
    """Run a service until cancelled; one that fails is logged and begun anew, never silently gone.

    ``after`` is its last run, cancelled and perhaps still ending: no service runs twice at once.
    """
    if after:
        await _ended(after)
    while True:
        try:
            return await service.run()
        except Exception:  # noqa: BLE001 -- no service may die for good of one fault
            _log.exception("a service failed", service=type(service).__name__)
        await asyncio.sleep(again)


async def _ended(last: asyncio.Task[None]) -> None:
    """Wait for a run that was cancelled; when we are cancelled too, not before it has ended."""
    try:
        await asyncio.wait([last])
    except asyncio.CancelledError:
        await asyncio.wait([last])
        raise


class Running:
    """The services that run now, and those that are still ending what they had begun."""

    def __init__(self) -> None:
        self._now: dict[int, asyncio.Task[None]] = {}
        self._leaving: dict[int, asyncio.Task[None]] = {}

    def begin(self, number: int, service: Service) -> None:
        """Let one run, as soon as its last run has ended; one that runs goes on."""
        if number not in self._now:
            after = self._leaving.pop(number, None)
            self._now[number] = asyncio.create_task(keep_going(service, after=after))

    def end(self, number: int) -> None:
        """Let one end in its own time."""
        if number in self._now:
            task = self._leaving[number] = self._now.pop(number)
            task.cancel()

    async def stop(self) -> None:
        """End them all; returns when they have ended."""
        for number in list(self._now):
            self.end(number)
        await asyncio.gather(*self._leaving.values(), return_exceptions=True)
