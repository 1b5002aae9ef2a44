"""Hub: screens hear of a change right after its commit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import NamedTuple

BACKLOG = 1_000
"""Changes a listener may lag behind; a slower one is sent away and comes back by itself."""


class Change(NamedTuple):
    """A case has a new version."""

    case_id: str
    version: int


class Hub:
    """Fans changes out to listeners; on the event loop only."""

    def __init__(self) -> None:
        self._listeners: set[asyncio.Queue[Change | None]] = set()

    @property
    def listeners(self) -> int:
        """How many are listening."""
        return len(self._listeners)

    def publish(self, changed: Mapping[str, int]) -> None:
        """Tell everyone; never waits."""
        changes = [Change(case_id, version) for case_id, version in changed.items()]
        for queue in list(self._listeners):
            self._offer(queue, changes)

    def _offer(self, queue: asyncio.Queue[Change | None], changes: Iterable[Change]) -> None:
        try:
            for change in changes:
                queue.put_nowait(change)
        except asyncio.QueueFull:
            self._send_away(queue)

    def _send_away(self, queue: asyncio.Queue[Change | None]) -> None:
        self._listeners.discard(queue)
        while not queue.empty():
            queue.get_nowait()
        queue.put_nowait(None)

    async def listen(self) -> AsyncIterator[Change]:
        """Changes from now on; ends when the listener was too slow or the hub closes."""
        queue: asyncio.Queue[Change | None] = asyncio.Queue(BACKLOG)
        self._listeners.add(queue)
        try:
            while (change := await queue.get()) is not None:
                yield change
        finally:
            self._listeners.discard(queue)

    def refresh(self) -> None:
        """Something may have been missed: listeners are sent away, and look anew when they come back."""
        self.close()

    def close(self) -> None:
        """End every listener."""
        for queue in list(self._listeners):
            self._send_away(queue)
