"""uvicorn's HTTP protocol with patience: by itself it waits for ever for a request to come in whole."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_HEAD = 64 * 1024
"""Bytes of a request's line and headers."""


def is_elsewhere(address: str) -> bool:
    """Whether an address is another machine's; a proxy on this one stands for everybody."""
    try:
        return not ip_address(address).is_loopback
    except ValueError:
        return False


@dataclass
class Bounds:
    """Seconds for a request's head, then for its body; and how many connections one address may hold.

    ``connections`` None: as many as it likes, behind a proxy that counts them.
    """

    connections: int | None
    head: float = 10.0
    body: float = 120.0
    counts: Callable[[str], bool] = is_elsewhere
    held: Counter[str] = field(default_factory=Counter)


class BoundedProtocol(HttpToolsProtocol):
    """One connection. Whoever is too slow or holds too many is cut off without an answer."""

    def __init__(self, bounds: Bounds, **means: Any) -> None:
        super().__init__(**means)
        self._bounds = bounds
        self._alarm: asyncio.TimerHandle | None = None
        self._head = 0
        self._address: str | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Somebody is here: a request's head has to come now."""
        super().connection_made(transport)
        address = self.client[0] if self.client else ""
        most = self._bounds.connections
        if most is not None and self._bounds.counts(address):
            self._address = address
            self._bounds.held[address] += 1
            if self._bounds.held[address] > most:
                transport.abort()
                return
        self._expect(self._bounds.head)

    def connection_lost(self, exc: Exception | None) -> None:
        """Somebody has left."""
        self._relax()
        if self._address is not None:
            self._bounds.held[self._address] -= 1
            if not self._bounds.held[self._address]:
                del self._bounds.held[self._address]
            self._address = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Some of a request. Bytes after an answer begin the next one, which has its own time."""
        if self._alarm is None and (self.cycle is None or self.cycle.response_complete):
            self._expect(self._bounds.head)
        self._head += len(data)
        super().data_received(data)
        if self._head > MOST_HEAD:
            self.transport.abort()

    def on_headers_complete(self) -> None:
        """The head is there; the body has its own time."""
        self._expect(self._bounds.body)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Bytes of a body are bounded by the site, not here."""
        self._head = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._head = 0
        self._relax()
        super().on_message_complete()

    def _expect(self, seconds: float) -> None:
        self._relax()
        self._alarm = self.loop.call_later(seconds, self.transport.abort)

    def _relax(self) -> None:
        if self._alarm:
            self._alarm.cancel()
            self._alarm = None
