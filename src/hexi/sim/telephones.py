"""What carries notices to simulated people: it fails while its gateway is down, and it rings."""

from __future__ import annotations

from collections.abc import Callable

from hexi.adapters.channels import OpenChannel
from hexi.kernel.case import Rung
from hexi.kernel.clock import SECOND, Clock, Duration, Instant
from hexi.kernel.response import Notice, Receipt, UndeliveredError
from hexi.sim.faults import Faults

RINGS_AFTER: Duration = 2 * SECOND
"""From the hand-over until the device is known to have it."""

NO_ANSWER = "gateway down"
_RINGING = frozenset({"call", "app"})


def handed_over(notice: Notice, at: Instant, faults: Faults) -> Receipt:
    """What the gateway says at once."""
    if faults.gateway_down(notice.way, at):
        return Receipt(notice_id=notice.id, at=at, error=NO_ANSWER)
    return Receipt(notice_id=notice.id, at=at, rung=Rung.HANDED_OVER)


def ringing(notice: Notice, at: Instant) -> Receipt | None:
    """What is heard of the device a little later, by ways that tell."""
    if notice.way not in _RINGING:
        return None
    return Receipt(notice_id=notice.id, at=at, rung=Rung.ON_DEVICE)


class AnsweringChannel:
    """A channel before another one whose recipients then answer; the demo puts it before the inbox."""

    def __init__(
        self,
        inner: OpenChannel,
        reached: Callable[[Notice], None],
        clock: Clock,
        faults: Faults | None = None,
    ) -> None:
        self._inner = inner
        self._reached = reached
        self._clock = clock
        self._faults = faults or Faults()

    async def send(self, notice: Notice, link: str | None) -> Receipt:
        """Hand over by the inner channel; UndeliveredError while the gateway of the way is down."""
        if self._faults.gateway_down(notice.way, self._clock.now()):
            raise UndeliveredError(NO_ANSWER)
        receipt = await self._inner.send(notice, link)
        self._reached(notice)
        return receipt

    async def close(self) -> None:
        """Let go of the inner channel."""
        await self._inner.close()
