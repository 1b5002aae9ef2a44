"""Plays simulated days: live against a running platform, or as fast as it goes on a simulated clock."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from heapq import heappop, heappush
from itertools import count, islice
from typing import NamedTuple

import msgspec
import structlog

from hexi.kernel.clock import MINUTE, SECOND, Clock, Duration, Instant, SimClock
from hexi.kernel.ports import StoreError
from hexi.kernel.response import Notice, Receipt
from hexi.kernel.signal import Signal
from hexi.sim.faults import Faults
from hexi.sim.people import People
from hexi.sim.telephones import RINGS_AFTER, handed_over, ringing
from hexi.spine.intake import OverloadedError
from hexi.spine.spine import Job, Spine
from hexi.spine.work import Outcome

Stream = Iterable[tuple[Instant, Signal]]
Item = Signal | Receipt

MOST_PLANNED = 20_000
"""Answers that may be pending; beyond it people stop answering rather than memory filling up."""

MOST_AT_ONCE = 500
BREATH = 0.05
"""Seconds between looks at what is to be sent."""

_log = structlog.get_logger("hexi.sim")


class Agenda:
    """What is to come in later, by time; bounded."""

    def __init__(self, most: int = MOST_PLANNED) -> None:
        self._heap: list[tuple[Instant, int, Item]] = []
        self._serial = count()
        self._most = most
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, at: Instant, item: Item) -> None:
        """Plan an item; when too much is planned it is dropped and counted."""
        if len(self._heap) >= self._most:
            self.dropped += 1
        else:
            heappush(self._heap, (at, next(self._serial), item))

    def due(self, now: Instant) -> Iterator[Item]:
        """Take out what has come by now, in order."""
        while self._heap and self._heap[0][0] <= now:
            yield heappop(self._heap)[2]


class Tally(msgspec.Struct):
    """What a played stretch of time came to."""

    signals: int = 0
    acts: int = 0
    refused: int = 0
    notices: int = 0
    failures: int = 0
    opened: int = 0
    restarts: int = 0


class SimPlayer:
    """Plays traffic through a spine on its ``SimClock``, with people who answer, in steps of time."""

    def __init__(
        self,
        spine: Spine,
        clock: SimClock,
        people: People,
        *,
        faults: Faults | None = None,
        step: Duration = SECOND,
    ) -> None:
        self.spine = spine
        self.tally = Tally()
        self._clock = clock
        self._people = people
        self._faults = faults or Faults()
        self._step = step
        self._agenda = Agenda()
        self._restarts = sorted(self._faults.restarts)
        self._retries_from: Instant | None = None

    def play(self, stream: Stream, until: Instant, restart: Callable[[], Spine] | None = None) -> Tally:
        """Go on until an instant; ``restart`` gives the spine that takes over at each planned restart."""
        for now, signals in _in_steps(stream, self._clock.now(), until, self._step):
            self._clock.set(now)
            self._maybe_restart(now, restart)
            self._take(signals + list(self._agenda.due(now)))
            self._settle(self.spine.tick())
            self._retry(now)
        return self.tally

    def _maybe_restart(self, now: Instant, restart: Callable[[], Spine] | None) -> None:
        while self._restarts and self._restarts[0] <= now:
            self._restarts.pop(0)
            if restart:
                self.spine = restart()
                self.tally.restarts += 1

    def _take(self, items: list[Item]) -> None:
        signals = [item for item in items if isinstance(item, Signal)]
        receipts = [item for item in items if isinstance(item, Receipt)]
        acts = sum(signal.is_act for signal in signals)
        self.tally.acts += acts
        self.tally.signals += len(signals) - acts
        if items:
            self._settle(self.spine.process([Job(signals=signals, receipts=receipts)]))

    def _settle(self, outcome: Outcome) -> None:
        """Hand notices over until nothing more is owed."""
        while True:
            self.tally.opened += len(outcome.opened)
            self.tally.refused += sum(taken.fate == "refused" for taken in outcome.taken)
            if not outcome.notices:
                return
            outcome = self.spine.process([Job(receipts=[self._hand(n) for n in outcome.notices])])

    def _hand(self, notice: Notice) -> Receipt:
        now = self._clock.now()
        receipt = handed_over(notice, now, self._faults)
        self.tally.notices += 1
        if receipt.error:
            self.tally.failures += 1
            return receipt
        rings = ringing(notice, now + RINGS_AFTER)
        if rings:
            self._agenda.add(rings.at, rings)
        for planned in self._people.answers(notice, now):
            self._agenda.add(planned.at, planned.signal)
        return receipt

    def _retry(self, now: Instant) -> None:
        """Every simulated minute, what is still owed: failed attempts, and quiet hours that have ended."""
        if self._retries_from is None or now >= self._retries_from:
            self._retries_from = now + MINUTE
            self._settle(Outcome(notices=self.spine.owed()))


def _in_steps(
    stream: Stream, start: Instant, until: Instant, step: Duration
) -> Iterator[tuple[Instant, list[Item]]]:
    """The end of each step of time with the signals that came in it."""
    coming = iter(stream)
    ahead = next(coming, None)
    for now in range(start + step, until + step, step):
        signals: list[Item] = []
        while ahead and ahead[0] <= now:
            signals.append(ahead[1])
            ahead = next(coming, None)
        yield min(now, until), signals


class Doors(NamedTuple):
    """Where live play goes in: ``intake.submit`` and ``intake.receipt``."""

    submit: Callable[[Sequence[Signal]], Awaitable[object]]
    report: Callable[[Receipt], Awaitable[object]]


class LivePlayer:
    """Plays traffic against a running platform. ``speed`` hurries the traffic; people answer in real time."""

    def __init__(self, clock: Clock, doors: Doors, people: People, speed: float = 1.0) -> None:
        if speed <= 0:
            raise ValueError("the speed of a simulated day is a positive number")
        self.tally = Tally()
        self._clock = clock
        self._doors = doors
        self._people = people
        self._speed = speed
        self._agenda = Agenda()
        self._stopping = asyncio.Event()

    def reached(self, notice: Notice) -> None:
        """A notice has been handed over: it rings, and may be answered; see ``AnsweringChannel``."""
        now = self._clock.now()
        self.tally.notices += 1
        rings = ringing(notice, now + RINGS_AFTER)
        if rings:
            self._agenda.add(rings.at, rings)
        for planned in self._people.answers(notice, now):
            self._agenda.add(planned.at, planned.signal)

    def stop(self) -> None:
        """End ``run`` at its next breath."""
        self._stopping.set()

    async def run(self, stream: Stream) -> Tally:
        """Play until the stream and all answers have ended, or ``stop``; one batch at a time is under way."""
        coming = _Coming(stream, self._clock.now(), self._speed)
        while not self._stopping.is_set():
            await coming.look_ahead()
            now = self._clock.now()
            batch = [*self._agenda.due(now), *coming.due(now)]
            if batch:
                await self._send(batch)
            elif coming.ended and not len(self._agenda):
                break
            else:
                await self._breathe()
        return self.tally

    async def _send(self, batch: list[Item]) -> None:
        now = self._clock.now()
        signals = [
            msgspec.structs.replace(item, received=now, time=now)
            for item in batch
            if isinstance(item, Signal)
        ]
        acts = sum(signal.is_act for signal in signals)
        self.tally.acts += acts
        self.tally.signals += len(signals) - acts
        for lane in (False, True):
            some = [signal for signal in signals if signal.is_act is lane]
            if some:
                await self._insist(partial(self._doors.submit, some))
        for item in batch:
            if isinstance(item, Receipt):
                await self._insist(partial(self._doors.report, item))

    async def _insist(self, hand_in: Callable[[], Awaitable[object]]) -> None:
        """While the platform cannot take it, wait and try again, as a gateway would."""
        while not self._stopping.is_set():
            try:
                await hand_in()
            except (OverloadedError, StoreError) as error:
                _log.warning("sim_waits", reason=str(error))
                await self._breathe(1.0)
            else:
                return

    async def _breathe(self, seconds: float = BREATH) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)


class _Coming:
    """The traffic at its pace. A page ahead is drawn beside the event loop, which it would hold up."""

    def __init__(self, stream: Stream, began: Instant, speed: float) -> None:
        self._stream = iter(stream)
        self._began = began
        self._speed = speed
        self._first: Instant | None = None
        self._ahead: deque[tuple[Instant, Signal]] = deque()
        self.ended = False

    async def look_ahead(self) -> None:
        """Draw another page when none is left."""
        if self._ahead or self.ended:
            return
        page = await asyncio.to_thread(lambda: list(islice(self._stream, MOST_AT_ONCE)))
        self.ended = not page
        if page and self._first is None:
            self._first = page[0][0]
        self._ahead.extend(page)

    def due(self, now: Instant) -> Iterator[Signal]:
        """Take out what is to be sent by now, never beyond the page."""
        while self._ahead and self._when(self._ahead[0][0]) <= now:
            yield self._ahead.popleft()[1]

    def _when(self, at: Instant) -> Instant:
        return self._began + round((at - (self._first or 0)) / self._speed)
