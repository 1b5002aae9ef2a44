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


async def keep_going(service: Service, again: float = AGAIN) -> None:
    """Run a service until cancelled; one that fails is logged and begun anew, never silently gone."""
    while True:
        try:
            return await service.run()
        except Exception:  # noqa: BLE001 -- no service may die for good of one fault
            _log.exception("a service failed", service=type(service).__name__)
        await asyncio.sleep(again)
