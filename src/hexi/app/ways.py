"""The watch over the ways out: one through which nothing gets any more is a case, not a line in a log."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

import msgspec
import structlog

from hexi.adapters.metrics import Metrics
from hexi.app.roles import Role
from hexi.kernel.clock import HOUR, MINUTE, Duration, Instant
from hexi.kernel.ports import StoreError, Transaction
from hexi.kernel.process import in_step
from hexi.kernel.response import Notice, Receipt
from hexi.kernel.signal import Signal
from hexi.spine.intake import OverloadedError
from hexi.spine.platform import Platform

DOWN, CLEARED = "tech.channel_down", "tech.cleared"

FAILING_FOR: Duration = MINUTE
"""A way is down when nothing has got through for so long,"""
LEAST = 3
"""in at least so many attempts."""

EVERY = 5.0
"""Seconds between looks."""

COUNTED = 10_000
"""Waiting notices that are counted at most when a way goes down."""

_ALONE = "alone"
"""The name of a process that is the only one."""

_log = structlog.get_logger("hexi.ways")
_Marks = dict[str, Instant]
"""The processes for which a way is down, and since when."""


class Run(msgspec.Struct):
    """Attempts of one way that all failed, since the last that got through."""

    since: Instant
    last: Instant
    attempts: int = 0
    address: str = ""
    of_address: bool = True
    """Every failure was final and of one address: that says nothing of the way."""
    error: str = ""

    def note(self, notice: Notice, receipt: Receipt) -> None:
        """One more has failed."""
        address = notice.address or notice.recipient
        self.of_address &= receipt.permanent and self.address in {"", address}
        self.address, self.error = address, receipt.error or ""
        self.attempts += 1
        self.last = receipt.at

    @property
    def is_down(self) -> bool:
        """Whether this is the way's fault, and has gone on for long enough."""
        return not self.of_address and self.attempts >= LEAST and self.last - self.since >= FAILING_FOR


class WayWatch:
    """Looks at what comes of each attempt by ``ways``; ``attempted`` is what ``Senders.watch`` is given.

    Each process marks in the store what is down for it. The first mark tells, and the case is one whoever
    tells; when the last is gone it is cleared. Marks of processes that send no more do not count.
    """

    def __init__(self, platform: Platform, metrics: Metrics, ways: Collection[str]) -> None:
        self._platform = platform
        self._metrics = metrics
        self._ways = ways
        self._runs: dict[str, Run] = {}
        self._passed: set[str] = set()

    def attempted(self, notice: Notice, receipt: Receipt) -> None:
        """A channel was asked to hand a notice over; an exercise says nothing of the way.

        Nor is a way down that was never set up: ``hexi doctor`` names those.
        """
        if notice.drill or notice.way not in self._ways:
            return
        if not receipt.error:
            self._runs.pop(notice.way, None)
            self._passed.add(notice.way)
            return
        self._passed.discard(notice.way)
        run = self._runs.setdefault(notice.way, Run(since=receipt.at, last=receipt.at))
        run.note(notice, receipt)

    async def run(self) -> None:
        """Look until cancelled; while the store takes nothing, what is to be told waits."""
        try:
            while True:
                try:
                    await self._look()
                except (StoreError, OverloadedError) as error:
                    _log.warning("the state of a way out could not be kept", why=str(error))
                await asyncio.sleep(EVERY)
        finally:
            for way in self._runs:
                self._metrics.way_down(way, down=False)

    async def _look(self) -> None:
        for way in list(self._passed):
            await self._gets_through(way)
            self._passed.discard(way)
        for way, run in list(self._runs.items()):
            self._metrics.way_down(way, down=run.is_down)
            if run.is_down:
                await self._is_down(way, run)

    async def _is_down(self, way: str, run: Run) -> None:
        """Told before it is marked: to be told twice is one case, to be marked and not told is none."""
        _, marks = await asyncio.to_thread(self._read, way)
        if self._name in marks:
            return
        if not marks:
            waiting = await asyncio.to_thread(self._waiting, way)
            about = {"error": run.error, "attempts": run.attempts, "since": run.since, "waiting": waiting}
            await self._report(DOWN, way, **about)
        await self._platform.intake.call(lambda tx: self._mark(tx, way, run.since))

    async def _gets_through(self, way: str) -> None:
        self._metrics.way_down(way, down=False)
        is_marked, marks = await asyncio.to_thread(self._read, way)
        if not is_marked:
            return
        if not marks.keys() - {self._name}:
            await self._report(CLEARED, way)
        await self._platform.intake.call(lambda tx: self._mark(tx, way, None))

    @property
    def _name(self) -> str:
        return self._platform.spine.share.name or _ALONE

    def _read(self, way: str) -> tuple[bool, _Marks]:
        """Whether there is any mark, and those that count."""
        with self._platform.store.read() as tx:
            found = _marks(tx, way)
            return bool(found), self._valid(tx, found) if found else {}

    def _waiting(self, way: str) -> int:
        """How many notices wait for a way, those to be tried again included."""
        with self._platform.store.read() as tx:
            owed = tx.notices.waiting(self._platform.clock.now() + HOUR, COUNTED)
            return sum(notice.way == way for notice in owed)

    def _valid(self, tx: Transaction, marks: _Marks) -> _Marks:
        sending = {p.id for p in in_step(tx.processes.all()) if str(Role.SENDERS) in p.playing}
        return {name: since for name, since in marks.items() if name in {*sending, self._name}}

    def _mark(self, tx: Transaction, way: str, since: Instant | None) -> None:
        """Down for this process since then, or not down for it."""
        marks = self._valid(tx, _marks(tx, way))
        marks.pop(self._name, None)
        if since is not None:
            marks[self._name] = since
        tx.settings.put(_key(way), msgspec.json.encode(marks).decode())

    async def _report(self, kind: str, way: str, **data: object) -> None:
        """The platform's own trouble is a signal like any other."""
        now = self._platform.clock.now()
        signal = Signal(
            id=f"{kind}/{way}/{self._name}/{now}",
            source=f"hexi:way/{way}",
            kind=kind,
            received=now,
            subject=f"channel:{way}",
            data={"way": way, **data},
        )
        await self._platform.intake.submit([signal])


def _key(way: str) -> str:
    return f"way/{way}"


def _marks(tx: Transaction, way: str) -> _Marks:
    said = tx.settings.get(_key(way))
    return msgspec.json.decode(said, type=_Marks) if said else {}
