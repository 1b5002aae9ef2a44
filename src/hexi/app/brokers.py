"""Brokers: every MQTT link of the settings, listened to until the platform stops."""

from __future__ import annotations

import asyncio
from random import SystemRandom

import structlog

from hexi.adapters.metrics import Metrics
from hexi.app.member import Member
from hexi.connectors.mqtt.link import Link, Whence
from hexi.kernel.ports import StoreError
from hexi.settings import Settings
from hexi.spine import uplinks
from hexi.spine.intake import OverloadedError
from hexi.spine.platform import Platform

AGAIN = 1.0
"""Seconds until the links are declared again, when the store could not take it."""

_log = structlog.get_logger("hexi.mqtt")


class Brokers:
    """A service; see ``compose``."""

    def __init__(
        self, platform: Platform, settings: Settings, metrics: Metrics, member: Member | None
    ) -> None:
        self._platform = platform
        whence = Whence(platform, member.name if member else uplinks.ALONE, metrics, SystemRandom())
        self._links = [Link(name, link, whence) for name, link in settings.mqtt.items()]

    async def run(self) -> None:
        """Listen to all of them until cancelled."""
        await self._declare()
        async with asyncio.TaskGroup() as group:
            for link in self._links:
                group.create_task(link.run())

    async def _declare(self) -> None:
        """Say which links there are; the devices of one that is gone wait for it no longer."""
        names = [link.name for link in self._links]
        while True:
            try:
                await self._platform.intake.call(lambda tx: uplinks.declare(tx, names))
            except (StoreError, OverloadedError) as error:
                _log.warning("the links could not be declared", why=str(error))
                await asyncio.sleep(AGAIN)
            else:
                return
