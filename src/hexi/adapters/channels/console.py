"""The console channel: one line a notice, for development and demonstrations."""

from __future__ import annotations

import asyncio

from rich.console import Console
from rich.text import Text

from hexi.kernel.case import Rung
from hexi.kernel.clock import Clock, format_instant
from hexi.kernel.response import Notice, Receipt


class ConsoleChannel:
    """Prints notices, personal text included: not for a real district."""

    def __init__(self, clock: Clock, console: Console | None = None) -> None:
        self._clock = clock
        self._console = console or Console()

    async def send(self, notice: Notice, link: str | None) -> Receipt:
        """L1 when the line is written. In a thread, since a full pipe would stop the loop."""
        at = self._clock.now()
        line = f"{format_instant(at)} {notice.way} -> {notice.name} ({notice.role}): {notice.text}"
        text = Text(" ".join(part for part in (line, link) if part))
        await asyncio.to_thread(self._console.print, text, soft_wrap=True)
        return Receipt(notice_id=notice.id, at=at, rung=Rung.HANDED_OVER)

    async def close(self) -> None:
        """Nothing is held."""
