"""What a flow asks of the platform: read, take, quarantine, count."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from hexi.connectors.http import trouble
from hexi.connectors.mqtt.mapping import QUARANTINED, Mapper, keep_message
from hexi.kernel.clock import MINUTE, Instant
from hexi.kernel.ports import Quarantined, Transaction
from hexi.kernel.signal import Signal
from hexi.spine.platform import Platform

if TYPE_CHECKING:
    from hexi.connectors.mqtt.flow import Unreadable

REPORTED_EVERY = MINUTE
"""A link that goes on sending what cannot be read adds to its case this often."""


class Counts(Protocol):
    """Someone who counts; see ``adapters/metrics.py``."""

    def mqtt_received(self, link: str, count: int) -> None:
        """Messages have come."""
        ...

    def mqtt_connected(self, link: str, connections: int) -> None:
        """So many of the link's connections stand now."""
        ...

    def mqtt_lost(self, link: str) -> None:
        """A connection has ended, or an attempt has failed."""
        ...

    def mqtt_unacknowledged(self, link: str, messages: int) -> None:
        """So many messages wait for their commit."""
        ...

    def quarantined(self, link: str) -> None:
        """A message could not be decoded."""
        ...


class Door:
    """The way of one link's messages into the platform."""

    def __init__(self, platform: Platform, mapper: Mapper, counts: Counts) -> None:
        self._platform = platform
        self._mapper = mapper
        self._counts = counts
        self._reported: Instant = 0
        self.name = mapper.name
        self.read = mapper.read
        self.now = platform.clock.now

    def received(self, count: int) -> None:
        """Messages have come."""
        self._counts.mqtt_received(self.name, count)

    def is_cry(self, signals: Sequence[Signal]) -> bool:
        """Whether one of them is a cry for help."""
        is_sos = self._platform.spine.catalogue.is_sos
        return any(is_sos(signal.kind) for signal in signals)

    async def submit(self, signals: Sequence[Signal]) -> None:
        """Take signals; returns after the commit. StoreError or OverloadedError: nothing was taken."""
        await self._platform.intake.submit(signals, link=self.name)

    async def quarantine(self, unreadable: Sequence[Unreadable]) -> None:
        """Keep messages as they came, and let the one folded case of this link know."""
        now = self.now()
        rows = [
            Quarantined(
                id=0,
                received=now,
                link=self.name,
                content_type=QUARANTINED,
                reason=f"{one.message.topic}: {one.reason.en}",
                raw=keep_message(one.message, now),
            )
            for one in unreadable
        ]

        def keep(tx: Transaction) -> None:
            for row in rows:
                tx.quarantine.add(row)

        kept = self._platform.intake.call(keep)
        if now - self._reported >= REPORTED_EVERY:
            first = unreadable[0]
            item = (QUARANTINED, first.reason, first.message.payload)
            reported = self._platform.intake.submit([trouble(self.name, now, item)])
            failed, untold = await asyncio.gather(kept, reported, return_exceptions=True)
            if isinstance(failed, BaseException):
                raise failed
            self._reported = self._reported if isinstance(untold, BaseException) else now
        else:
            await kept
        for _ in rows:
            self._counts.quarantined(self.name)
