"""The queue as many screens ask for it at once: drawn once for each state, then handed out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable

from hexi.spine.hub import Hub

_KEPT = 50


class Drawn:
    """Pieces of pages that stay good until any case changes."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._changes = 0
        self._listening: asyncio.Task[None] | None = None
        self._pieces: dict[Hashable, str] = {}
        self._drawing = asyncio.Lock()

    async def get(self, key: Hashable, draw: Callable[[], str]) -> str:
        """The piece; ``draw`` runs in a thread, once, however many wait for it."""
        self._listen()
        found = self._pieces.get((self._changes, key))
        if found is not None:
            return found
        async with self._drawing:
            state = (self._changes, key)
            found = self._pieces.get(state)
            if found is None:
                found = await asyncio.to_thread(draw)
                self._keep(state, found)
        return found

    def _keep(self, state: Hashable, piece: str) -> None:
        if len(self._pieces) >= _KEPT:
            self._pieces.clear()
        self._pieces[state] = piece

    def _listen(self) -> None:
        """A listener that was sent away may have missed changes: what was drawn is forgotten."""
        if self._listening is None or self._listening.done():
            self._pieces.clear()
            self._listening = asyncio.create_task(self._count())

    async def _count(self) -> None:
        async for _ in self._hub.listen():
            self._changes += 1
