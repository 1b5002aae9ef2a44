"""The in-app inbox: the stored notice is the message, and screens hear of it with its case."""

from __future__ import annotations

from hexi.kernel.case import Rung
from hexi.kernel.clock import Clock
from hexi.kernel.response import Notice, Receipt


class InboxChannel:
    """Hands over by what the commit has already done. That it was seen is told later, by the screen."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def send(self, notice: Notice, link: str | None) -> Receipt:  # noqa: ARG002 - the screen has buttons
        """L1 at once: the row lies in the recipient's inbox."""
        return Receipt(notice_id=notice.id, at=self._clock.now(), rung=Rung.HANDED_OVER)

    async def close(self) -> None:
        """Nothing is held."""
