"""Senders: hand notices to channels, each in a task of its own, SOS first, and report what came of it.

They keep no state but what is on its way. What is lost with the process is in the outbox and comes
again through ``hand``; a notice keeps its id, by which the far side recognises a repeat.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from heapq import heappop, heappush, nsmallest
from itertools import chain, count

import msgspec
import structlog

from hexi.kernel.clock import HOUR, SECOND, Clock, Duration, format_duration
from hexi.kernel.ports import Channel, StoreError
from hexi.kernel.response import Notice, Receipt, UndeliveredError
from hexi.kernel.signal import Lane
from hexi.spine.links import LIFE, Links

log = structlog.get_logger(__name__)

Report = Callable[[Receipt], Awaitable[object]]
Attempted = Callable[[Notice, Receipt], None]

RETELL = (0.25, 2.0)
"""Seconds before a receipt is told again to a store that could not take it, and at most."""

_RANKS = {Lane.SOS: 0, Lane.ACT: 1, Lane.BULK: 2}
_SHARES = 8
"""An eighth of a trunk is kept free for SOS, and an eighth is all that one address may fill."""


class Trunk(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of one way out. ``rate``: most starts a second; ``timeout``: of one attempt."""

    at_once: int = 64
    rate: float | None = None
    timeout: Duration = 10 * SECOND


class _Pace:
    """Lets at most ``rate`` starts into any second, or one into several seconds."""

    def __init__(self, rate: float | None) -> None:
        starts = max(1, int(rate)) if rate else 0
        self._window = starts / rate if rate else 0.0
        self._recent: deque[float] = deque(maxlen=starts)

    def wait(self, now: float) -> float:
        """Seconds until the next start is allowed; 0 when it is now."""
        full = self._recent.maxlen and len(self._recent) == self._recent.maxlen
        return max(0.0, self._recent[0] + self._window - now) if full else 0.0

    def note(self, now: float) -> None:
        self._recent.append(now)


_Waiting = tuple[int, int, Notice]


class _Line:
    """The queue before one way: who starts next, and when."""

    def __init__(
        self, trunk: Trunk, start: Callable[[Notice], None], is_recalled: Callable[[str], bool]
    ) -> None:
        self.trunk = trunk
        self._start = start
        self._is_recalled = is_recalled
        self._kept_free = trunk.at_once // _SHARES
        self._per_address = max(1, trunk.at_once // _SHARES)
        self._pace = _Pace(trunk.rate)
        self._queue: list[_Waiting] = []
        self._parked: dict[str, list[_Waiting]] = {}
        self._busy: Counter[str] = Counter()
        self._numbers = count()
        self._alarm: asyncio.TimerHandle | None = None

    def put(self, notice: Notice) -> None:
        heappush(self._queue, (_RANKS[notice.lane], next(self._numbers), notice))

    def pump(self) -> None:
        """Start whatever may start now."""
        while self._queue and self._has_room(self._queue[0][0]):
            notice = self._queue[0][2]
            if self._is_recalled(notice.id):
                heappop(self._queue)
                self._unpark(_address(notice))
            elif self._busy[_address(notice)] >= self._per_address:
                self._park(heappop(self._queue))
            elif self._must_pause():
                return
            else:
                self._begin(heappop(self._queue)[2])

    def ended(self, notice: Notice) -> None:
        """A slot is free, and the first that waits for the same address may try again."""
        address = _address(notice)
        self._busy[address] -= 1
        if not self._busy[address]:
            del self._busy[address]
        self._unpark(address)
        self.pump()

    def next_up(self, most: int) -> list[str]:
        """What has not started yet, the first to start at the head."""
        parked = chain.from_iterable(self._parked.values())
        return [notice.id for *_, notice in nsmallest(most, chain(self._queue, parked))]

    def clear(self) -> None:
        """Forget what has not started; the outbox remembers it."""
        self._queue.clear()
        self._parked.clear()
        if self._alarm:
            self._alarm.cancel()

    def _has_room(self, rank: int) -> bool:
        return self._busy.total() < self.trunk.at_once - (0 if rank == 0 else self._kept_free)

    def _park(self, waiting: _Waiting) -> None:
        heappush(self._parked.setdefault(_address(waiting[2]), []), waiting)

    def _unpark(self, address: str) -> None:
        """The first that waits for an address may try again."""
        if parked := self._parked.get(address):
            heappush(self._queue, heappop(parked))
        else:
            self._parked.pop(address, None)

    def _must_pause(self) -> bool:
        loop = asyncio.get_running_loop()
        seconds = self._pace.wait(loop.time())
        if seconds and (self._alarm is None or self._alarm.when() <= loop.time()):
            self._alarm = loop.call_later(seconds, self.pump)
        return seconds > 0

    def _begin(self, notice: Notice) -> None:
        self._busy[_address(notice)] += 1
        self._pace.note(asyncio.get_running_loop().time())
        self._start(notice)


def _address(notice: Notice) -> str:
    return notice.address or notice.recipient


class Senders:
    """Everything on its way to people. One queue a way, so that no way waits for another."""

    def __init__(
        self,
        channels: Mapping[str, Channel],
        report: Report,
        clock: Clock,
        links: Links,
        trunks: Mapping[str, Trunk] | None = None,
    ) -> None:
        limits = trunks or {}
        self._channels = channels
        self._report = report
        self._clock = clock
        self._links = links
        self._lines = {
            way: _Line(limits.get(way, Trunk()), self._start, self._is_recalled) for way in channels
        }
        self._on_the_way: set[str] = set()
        self._recalled: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._running = False
        self._stopped = False
        self._watching: list[Attempted] = []

    def watch(self, *attempted: Attempted) -> None:
        """From now on, tell those who watch of every attempt and what came of it."""
        self._watching += attempted

    async def run(self) -> None:
        """Begin to send; what was handed over before goes out now."""
        self._running = True
        for line in self._lines.values():
            line.pump()

    def hand(self, notices: Sequence[Notice]) -> None:
        """Take committed notices. One that is already on its way is left alone."""
        if self._stopped:
            return
        for notice in notices:
            if notice.id not in self._on_the_way:
                self._on_the_way.add(notice.id)
                self._enqueue(notice)
        if self._running:
            for way in dict.fromkeys(notice.way for notice in notices):
                if line := self._lines.get(way):
                    line.pump()

    async def stop(self, limit: Duration = 5 * SECOND) -> None:
        """Take nothing more and give what is on its way until the limit; the rest stays in the outbox."""
        self._stopped = True
        for line in self._lines.values():
            line.clear()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=limit / SECOND)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def queued(self, most: int) -> list[str]:
        """What has not started yet, at most so many of each way."""
        return [identity for line in self._lines.values() for identity in line.next_up(most)]

    def recall(self, dropped: Iterable[str]) -> None:
        """These are not owed any more: whichever of them has not started never will."""
        self._recalled |= self._on_the_way.intersection(dropped)
        for line in self._lines.values() if self._running else ():
            line.pump()

    def _is_recalled(self, identity: str) -> bool:
        if identity not in self._recalled:
            return False
        self._recalled.discard(identity)
        self._on_the_way.discard(identity)
        return True

    @property
    def on_the_way(self) -> int:
        """How many notices are queued or being sent."""
        return len(self._on_the_way)

    def _enqueue(self, notice: Notice) -> None:
        if line := self._lines.get(notice.way):
            line.put(notice)
        else:
            self._spawn(notice.id, self._refuse(notice))

    def _start(self, notice: Notice) -> None:
        self._spawn(notice.id, self._deliver(notice))

    def _spawn(self, notice_id: str, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)

        def done(ended: asyncio.Task[None]) -> None:
            self._tasks.discard(ended)
            self._on_the_way.discard(notice_id)
            self._recalled.discard(notice_id)

        task.add_done_callback(done)

    async def _refuse(self, notice: Notice) -> None:
        await self._tell(notice, self._failed(notice, f"no channel for way {notice.way!r}", permanent=True))

    async def _deliver(self, notice: Notice) -> None:
        line = self._lines[notice.way]
        try:
            receipt = await self._attempt(notice, line.trunk.timeout)
        finally:
            line.ended(notice)
        await self._tell(notice, receipt)

    async def _attempt(self, notice: Notice, limit: Duration) -> Receipt:
        try:
            async with asyncio.timeout(limit / SECOND):
                return await self._channels[notice.way].send(notice, self._link(notice))
        except UndeliveredError as error:
            failed = self._failed(notice, str(error), permanent=error.permanent)
            return msgspec.structs.replace(failed, evidence=error.evidence)
        except TimeoutError:
            return self._failed(notice, f"no answer within {format_duration(limit)}")
        except Exception as error:  # noqa: BLE001 - no fault of a channel may stop the others
            return self._failed(notice, f"the channel failed: {type(error).__name__}")

    async def _tell(self, notice: Notice, receipt: Receipt) -> None:
        for attempted in self._watching:
            attempted(notice, receipt)
        if receipt.error:
            log.warning("notice_undelivered", notice=receipt.notice_id, error=receipt.error)
        wait = RETELL[0]
        while not await self._told(receipt):
            await asyncio.sleep(wait)
            wait = min(2 * wait, RETELL[1])

    async def _told(self, receipt: Receipt) -> bool:
        """Whether the receipt needs no further word: what was sent is not sent again for want of a store."""
        try:
            await self._report(receipt)
        except StoreError:
            return False
        except Exception as error:  # noqa: BLE001 - the row still waits, so the notice comes again
            log.error("receipt_not_stored", notice=receipt.notice_id, error=type(error).__name__)  # noqa: TRY400
        return True

    def _link(self, notice: Notice) -> str:
        # Counted from t0, so that a second attempt carries the same body under the same key.
        expires = max(notice.t0 + LIFE, self._clock.now() + HOUR)
        return self._links.sign(notice.id, notice.case_id, notice.recipient, notice.role, expires)

    def _failed(self, notice: Notice, error: str, *, permanent: bool = False) -> Receipt:
        return Receipt(notice_id=notice.id, at=self._clock.now(), error=error, permanent=permanent)
