"""The flow of one line: messages in groups into the intake, acknowledged in order after the commit."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine, Sequence
from typing import Any, NamedTuple

import structlog

from hexi.connectors.mqtt.door import Door
from hexi.connectors.mqtt.line import Line
from hexi.connectors.mqtt.mapping import Arrival
from hexi.connectors.mqtt.paths import UnreadableError
from hexi.kernel.ports import StoreError
from hexi.kernel.signal import Signal
from hexi.kernel.text import Text
from hexi.protocols.mqtt import Publish
from hexi.spine.intake import MOST_AT_ONCE, OverloadedError

AT_ONCE = 2
"""Groups on their way: one is being committed, one is ready for the next commit."""

FIRST_WAIT, LONGEST_WAIT = 0.2, 10.0
"""Seconds between attempts when the store cannot take anything."""

_log = structlog.get_logger("hexi.mqtt")


class Unreadable(NamedTuple):
    """A message that means nothing to us, and why."""

    message: Publish
    reason: Text


class _Group(NamedTuple):
    """What goes into one call: signals, the messages to acknowledge, and those for quarantine."""

    signals: list[Signal]
    packets: list[int]
    unreadable: list[Unreadable]


def _why(error: Exception) -> Text:
    if isinstance(error, UnreadableError):
        return error.reason
    _log.error("a message could not be read", exc_info=error)
    what = f"{type(error).__name__}: {error}"[:200]
    return Text(zh=f"读取时出错：{what}", en=f"reading it failed: {what}")


class Flow:
    """Messages of one line. Nothing is acknowledged that is not committed."""

    def __init__(self, door: Door, line: Line, session: str, window: int) -> None:
        self._door = door
        self._line = line
        self._session = session
        self._window = window
        self._waiting: deque[tuple[int, list[Signal]]] = deque()
        self._order: deque[int] = deque()
        """Packet identifiers as they came: the protocol wants them acknowledged in this order (4.6.0)."""
        self._done: set[int] = set()
        self._bulk = 0
        self._held = 0
        self._paused = False
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def unacknowledged(self) -> int:
        """Messages that the broker still keeps for us."""
        return len(self._order)

    def receive(self, messages: Sequence[Publish]) -> None:
        """Take messages in; a cry goes on at once and alone."""
        arrival = Arrival(self._door.now(), self._session)
        self._order.extend(message.packet for message in messages if message.qos)
        self._held += len(messages)
        self._door.received(len(messages))
        unreadable: list[Unreadable] = []
        for message in messages:
            try:
                signals = self._door.read(message, arrival)
            except Exception as error:  # noqa: BLE001 -- whatever a message brings, the others go on
                bad, beside = Unreadable(message, _why(error)), getattr(error, "readable", ())
                if beside:  # perhaps a cry
                    self._begin(self._commit(_Group(list(beside), [message.packet], [bad])))
                else:
                    unreadable.append(bad)
                continue
            if self._door.is_cry(signals):
                self._begin(self._commit(_Group(signals, [message.packet], [])))
            else:
                self._waiting.append((message.packet, signals))
        if unreadable:
            packets = [one.message.packet for one in unreadable]
            self._begin(self._commit(_Group([], packets, unreadable)))
        self._next()
        self._brake()

    def _next(self) -> None:
        while self._waiting and self._bulk < AT_ONCE:
            self._bulk += 1
            self._begin(self._commit_bulk(self._group()))

    def _group(self) -> _Group:
        """What has come in meanwhile, up to what one commit takes."""
        signals: list[Signal] = []
        packets: list[int] = []
        waiting = self._waiting
        while waiting and (not packets or len(signals) + len(waiting[0][1]) <= MOST_AT_ONCE):
            packet, found = waiting.popleft()
            packets.append(packet)
            signals += found
        return _Group(signals, packets, [])

    async def _commit_bulk(self, group: _Group) -> None:
        try:
            await self._commit(group)
        finally:
            self._bulk -= 1
            self._next()

    async def _commit(self, group: _Group) -> None:
        """Until it is durable, or the line has ended: then the broker delivers it again."""
        wait = FIRST_WAIT
        while not await self._attempt(group):
            await asyncio.sleep(wait)
            wait = min(2 * wait, LONGEST_WAIT)
            if self._line.over:
                return
        self._held -= len(group.packets)
        self._acknowledge(group.packets)
        self._brake()

    async def _attempt(self, group: _Group) -> bool:
        try:
            await self._door.submit(group.signals)
            if group.unreadable:
                await self._door.quarantine(group.unreadable)
        except Exception as error:  # noqa: BLE001 -- what is not taken is not acknowledged, and tried again
            known = isinstance(error, StoreError | OverloadedError)
            _log.warning(
                "not acknowledged", link=self._door.name, why=str(error), exc_info=None if known else error
            )
            return False
        return True

    def _acknowledge(self, packets: Sequence[int]) -> None:
        order, done = self._order, self._done
        done.update(packets)
        done.discard(0)  # QoS 0 wants no answer
        ready: list[int] = []
        while order and order[0] in done:
            packet = order.popleft()
            done.discard(packet)
            ready.append(packet)
        if ready:
            self._line.acknowledge(ready)

    def _brake(self) -> None:
        """A broker that sends on beyond the window (3.1.1 knows none, nor does QoS 0) is made to wait."""
        if self._held > 2 * self._window and not self._paused:
            self._paused = True
            self._line.pause()
        elif self._paused and self._held <= self._window:
            self._paused = False
            self._line.resume()

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settle(self, seconds: float) -> None:
        """Wait for what is being committed, so that it can still be acknowledged."""
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=seconds)
