"""Intake: the one writing thread. It commits whatever has queued while the last commit was flushing."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import structlog

from hexi.kernel.clock import SECOND, Duration, Instant
from hexi.kernel.ports import StoreError, Transaction
from hexi.kernel.response import Notice, Receipt
from hexi.kernel.signal import Lane, Signal
from hexi.spine.hub import Hub
from hexi.spine.spine import Job, Spine
from hexi.spine.work import Outcome, Taken

MOST_AT_ONCE = 1_000
"""Signals in one commit; a cry never waits behind more than one such commit."""

TICK: Duration = 50
"""Least time between looks at what has fallen due: what falls due within it is handled together."""

SWEEP: Duration = 5 * SECOND
"""Time between looks at what this process holds among others and does not know of."""

REST: Duration = 250
"""Time between looks at the outbox, and the longest between looks at what has fallen due."""

BACKLOG = 200_000
"""Bulk signals that may wait; beyond it senders are told to come back later. A cry is never refused."""

T = TypeVar("T")
_log = structlog.get_logger("hexi.intake")


class OverloadedError(Exception):
    """Too much is waiting; the sender keeps its signals and comes back."""


class Watcher(Protocol):
    """Someone who counts; see ``adapters/metrics.py``."""

    def committed(self, jobs: int, seconds: float, outcome: Outcome) -> None:
        """A commit has ended."""
        ...


class _Waiting:
    """A job with the future of whoever handed it in."""

    __slots__ = ("future", "job", "size")

    def __init__(self, job: Job, future: asyncio.Future[Any]) -> None:
        self.job = job
        self.future = future
        self.size = len(job.signals) or 1


class Intake:
    """Hands jobs to the spine in groups, SOS first, and answers after the commit."""

    def __init__(
        self, spine: Spine, hub: Hub, hand: Callable[[Sequence[Notice]], None], watcher: Watcher | None = None
    ) -> None:
        self._spine = spine
        self._hub = hub
        self._hand = hand
        self._watcher = watcher
        self._lanes: dict[Lane, deque[_Waiting]] = {lane: deque() for lane in Lane}
        self._bulk_waiting = 0
        self._wake = threading.Condition()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._owed_at: Instant = 0
        self._sweep_at: Instant = 0
        self._look_at: Instant = 0
        self._recall = True
        self._in_trouble = False
        self.tell: Callable[[Outcome], None] | None = None
        """Told what every commit has led to, where there are other processes."""
        self.last_tick: Instant | None = None

    @property
    def backlog(self) -> int:
        """Signals waiting for their commit."""
        return sum(waiting.size for lane in self._lanes.values() for waiting in list(lane))

    async def start(self) -> None:
        """Begin; notices still owed from before go out with the first tick."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._work, name="hexi-writer", daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        """Commit what is waiting, then end."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        if self._thread:
            await asyncio.to_thread(self._thread.join)

    async def submit(self, signals: Sequence[Signal], link: str | None = None) -> list[Taken]:
        """Take signals; returns after their commit. StoreError or OverloadedError: nothing was taken.

        ``link`` names the uplink they came over, if silence is to be excused while it is down.
        """
        if not signals:
            return []
        taken: list[Taken] = await self._queue(self._lane(signals), Job(signals=signals, link=link))
        return taken

    async def receipt(self, receipt: Receipt) -> None:
        """Note what a channel reports; returns after the commit."""
        await self._queue(Lane.ACT, Job(receipts=[receipt]))

    async def call(self, change: Callable[[Transaction], T]) -> T:
        """Make any other change; returns its result after the commit, or raises what it raised."""
        result: T = await self._queue(Lane.ACT, Job(call=change))
        return result

    def look(self) -> None:
        """Another process has left notices to be sent: look now rather than at the next turn."""
        self._owed_at = self._look_at = 0
        with self._wake:
            self._wake.notify()

    def recall(self) -> None:
        """Something may have been missed of what other processes do; read anew what is remembered of it."""
        self._recall = True
        self.look()

    def _lane(self, signals: Sequence[Signal]) -> Lane:
        catalogue = self._spine.catalogue
        if any(catalogue.is_sos(signal.kind) for signal in signals):
            return Lane.SOS
        return Lane.ACT if signals[0].is_act else Lane.BULK

    def _queue(self, lane: Lane, job: Job) -> asyncio.Future[Any]:
        if self._loop is None or self._stopping:
            raise OverloadedError("the platform is stopping")
        waiting = _Waiting(job, self._loop.create_future())
        with self._wake:
            if lane is Lane.BULK:
                if self._bulk_waiting + waiting.size > BACKLOG:
                    raise OverloadedError(f"{self._bulk_waiting} signals are waiting")
                self._bulk_waiting += waiting.size
            self._lanes[lane].append(waiting)
            self._wake.notify()
        return waiting.future

    def _next(self) -> list[_Waiting]:
        """What goes into the next commit: SOS, then acts and receipts, then bulk, up to the limit."""
        group: list[_Waiting] = []
        size = 0
        for lane in (Lane.SOS, Lane.ACT, Lane.BULK):
            queue = self._lanes[lane]
            while queue and (not group or size + queue[0].size <= MOST_AT_ONCE):
                waiting = queue.popleft()
                size += waiting.size
                group.append(waiting)
                if lane is Lane.BULK:
                    self._bulk_waiting -= waiting.size
        return group

    def _work(self) -> None:
        now = self._spine.clock.now
        while True:
            with self._wake:
                if not any(self._lanes.values()) and not self._stopping:
                    self._wake.wait(max(0, self._look_at - now()) / 1000)
                group = self._next()
            if group:
                self._commit(group)
                self._look_at = min(self._look_at, now() + TICK)
            elif self._stopping:
                return
            if now() >= self._look_at:
                self._look_at = now() + REST
                self._tick()
                self._look_at = min(self._look_at, self._next_look(now()))

    def _next_look(self, now: Instant) -> Instant:
        """When the first deadline falls due, as far as it is known: whoever arms one looks again."""
        due = None if self._in_trouble else self._spine.next_due
        return now + REST if due is None else min(now + REST, max(now + TICK, due))

    def _commit(self, group: list[_Waiting]) -> None:
        began = self._spine.clock.now()
        try:
            outcome = self._spine.process([waiting.job for waiting in group])
        except StoreError as error:
            _log.error("commit failed", kind=error.kind, error=str(error), jobs=len(group))
            self._sweep_at = 0
            self._on_loop(_fail, group, error)
            return
        except Exception as error:  # noqa: BLE001 -- the writer never dies of one group
            _log.exception("commit failed", jobs=len(group))
            self._on_loop(_fail, group, StoreError(str(error), kind="broken"))
            return
        if outcome.trouble:
            _log.error("commit failed in part", kind=outcome.trouble.kind, error=str(outcome.trouble))
            self._sweep_at = 0
        self._on_loop(self._after, group, outcome)
        self._tell(outcome)
        self._watched(len(group), (self._spine.clock.now() - began) / 1000, outcome)

    def _tick(self) -> None:
        """Look, and let everybody know what was done, also when the store failed after a part of it."""
        outcome = Outcome()
        if self._looked(outcome):
            self.last_tick = self._spine.clock.now()
        if outcome.notices or outcome.changed:
            self._on_loop(self._after, [], outcome)
        self._tell(outcome)
        if outcome.lateness:
            self._watched(0, 0.0, outcome)

    def _looked(self, outcome: Outcome) -> bool:
        """Whether the look went through; what it led to is in the outcome either way."""
        try:
            self._look(outcome)
        except StoreError as failed:
            outcome.trouble = failed
        except Exception:  # noqa: BLE001 -- the watcher never switches itself off
            _log.exception("tick failed")
            return False
        error = outcome.trouble
        if error and not self._in_trouble:
            _log.error("tick failed", kind=error.kind, error=str(error))
        self._in_trouble = error is not None
        return error is None

    def _look(self, outcome: Outcome) -> None:
        """What has fallen due, and what is owed."""
        now = self._spine.clock.now()
        if self._recall:
            self._recall = False
            try:
                self._spine.recall()
            except StoreError:
                self._recall = True
                raise
        outcome.add(self._spine.tick())
        if now >= self._owed_at and self._spine.share.sends:
            self._owed_at = now + REST
            outcome.notices += self._spine.owed()
        if now >= self._sweep_at:
            outcome.notices += self._spine.held()
            self._sweep_at = now + SWEEP

    def _tell(self, outcome: Outcome) -> None:
        if self.tell and (outcome.changed or outcome.left or outcome.silent):
            try:
                self.tell(outcome)
            except Exception:  # noqa: BLE001 -- what is told is a hint; the writer never dies of it
                _log.exception("telling failed")

    def _watched(self, jobs: int, seconds: float, outcome: Outcome) -> None:
        if self._watcher:
            try:
                self._watcher.committed(jobs, seconds, outcome)
            except Exception:  # noqa: BLE001 -- counting never stops the work
                _log.exception("watcher failed")

    def _on_loop(self, callback: Callable[..., None], *args: object) -> None:
        if self._loop and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(callback, *args)

    def _after(self, group: list[_Waiting], outcome: Outcome) -> None:
        """On the event loop, after the commit: notices first, then the answers, then the screens."""
        if outcome.notices:
            self._hand(outcome.notices)
        for waiting in group:
            _answer(waiting)
        if outcome.changed:
            self._hub.publish(outcome.changed)


def _answer(waiting: _Waiting) -> None:
    if waiting.future.done():
        return
    if waiting.job.error:
        waiting.future.set_exception(waiting.job.error)
    else:
        waiting.future.set_result(waiting.job.result)


def _fail(group: list[_Waiting], error: Exception) -> None:
    for waiting in group:
        if not waiting.future.done():
            waiting.future.set_exception(error)
