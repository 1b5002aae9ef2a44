"""What has been queued for a while may be owed no more: it is taken back before its turn.

A case was closed, somebody stood down or answered, in this process or another. Notices that start at once,
as nearly all do, never come here; what waits is looked up in the store, some hundreds in a statement each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from hexi.kernel.ports import Store, StoreError
from hexi.spine.senders import Senders

EVERY = 0.5
"""Seconds between looks at what is queued."""

AHEAD = 500
"""Notices of each way that are looked up: those whose turn comes first."""

_log = structlog.get_logger("hexi.recall")


class Recall:
    """Takes back from the senders what the store says is not to be sent any more."""

    def __init__(self, store: Store, senders: Senders) -> None:
        self._store = store
        self._senders = senders

    async def run(self) -> None:
        """Look until cancelled; without a store everything that is queued goes out."""
        while True:
            await asyncio.sleep(EVERY)
            try:
                await self._look()
            except StoreError as error:
                _log.warning("what is queued could not be looked up", why=error.kind)

    async def _look(self) -> None:
        queued = self._senders.queued(AHEAD)
        if queued:
            waiting = await asyncio.to_thread(self._still_waiting, queued)
            self._senders.recall(set(queued) - waiting)

    def _still_waiting(self, queued: Sequence[str]) -> set[str]:
        with self._store.read() as tx:
            return tx.notices.still_waiting(queued)
