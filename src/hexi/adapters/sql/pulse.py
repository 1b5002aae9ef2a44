"""A process's pulse on PostgreSQL: its heartbeat, the database's time, and what processes tell each other.

One connection of its own, in one thread: neither a busy event loop nor a long commit delays a heartbeat.
What is told is a hint and may be lost with its sender; who listens looks anew when anybody has died or when
the connection was away.
"""

from __future__ import annotations

import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Protocol

import structlog
from sqlalchemy import text

from hexi.adapters.clock import DatabaseClock
from hexi.adapters.sql.store import SqlStore
from hexi.adapters.sql.transaction import SqlTransaction
from hexi.kernel.clock import SECOND
from hexi.kernel.process import BEAT, Process

CHANNEL = "hexi"
AGAIN_AFTER = 0.25
"""Seconds between attempts to reach the database again."""

_TIME = text("SELECT CAST(EXTRACT(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)")
_TELL = text(f"SELECT pg_notify('{CHANNEL}', :message)")

_log = structlog.get_logger("hexi.pulse")


class Member(Protocol):
    """Whose pulse it is. Called in the pulse's own thread."""

    def beat(self, processes: list[Process]) -> Process | None:
        """Everyone as they stand; returns what to write of oneself, None for nothing."""
        ...

    def left_over(self) -> list[str]:
        """Who is dead and would not seem so by its heartbeat."""
        ...

    def told(self, message: str) -> None:
        """A process has told something, perhaps this one."""
        ...

    def connected(self) -> None:
        """From now on nothing is missed; before, something may have been."""
        ...


def measure(tx: SqlTransaction, clock: DatabaseClock) -> None:
    """Ask the database for the time, and let the clock know."""
    sent = time.monotonic_ns()
    micros = tx.link.value(_TIME)
    clock.measure(micros * 1_000, sent, time.monotonic_ns())


class Pulse:
    """The thread. ``start`` and ``stop`` once each."""

    def __init__(self, store: SqlStore, clock: DatabaseClock, member: Member) -> None:
        self._store = store
        self._clock = clock
        self._member = member
        self._mine: str | None = None
        self._outbound: deque[str] = deque(maxlen=1_000)
        self._wake, self._woken = socket.socketpair()
        self._woken.settimeout(0.0)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="hexi-pulse", daemon=True)

    def start(self) -> None:
        """Begin to beat and to listen."""
        self._thread.start()

    def stop(self) -> None:
        """Leave, so that nobody waits for this process to be dead."""
        self._stopping.set()
        self._poke()
        if self._thread.ident:
            self._thread.join()
        self._wake.close()
        self._woken.close()

    def tell(self, messages: Sequence[str]) -> None:
        """Let the other processes know soon; from any thread, never waits."""
        self._outbound.extend(messages)
        self._poke()

    def _poke(self) -> None:
        try:
            self._wake.send(b".")
        except OSError:
            return

    def _run(self) -> None:
        lost = False
        while not self._stopping.is_set():
            try:
                with self._store.alone() as tx:
                    tx.link.plain(f"LISTEN {CHANNEL}")
                    tx.link.plain("SET synchronous_commit = off")
                    self._outbound.clear()
                    self._member.connected()
                    if lost:
                        _log.info("the database is back")
                    lost = False
                    self._live(tx)
            except Exception as error:  # noqa: BLE001 -- whatever it was, the pulse goes on
                if not lost:
                    _log.warning("the database is away", error=f"{type(error).__name__}: {error}")
                lost = True
                self._stopping.wait(AGAIN_AFTER)

    def _live(self, tx: SqlTransaction) -> None:
        due = 0.0
        with selectors.DefaultSelector() as both:
            both.register(self._woken, selectors.EVENT_READ)
            both.register(tx.link.driver.fileno(), selectors.EVENT_READ)
            while not self._stopping.is_set():
                both.select(max(0.0, due - time.monotonic()))
                self._drain()
                self._send(tx)
                for notify in tx.link.driver.notifies(timeout=0):
                    self._member.told(notify.payload)
                if time.monotonic() >= due:
                    due = time.monotonic() + BEAT / SECOND
                    self._beat(tx)
        if self._mine:
            tx.processes.leave(self._mine)

    def _drain(self) -> None:
        try:
            self._woken.recv(4_096)
        except BlockingIOError:
            return

    def _send(self, tx: SqlTransaction) -> None:
        while self._outbound:
            tx.link.run(_TELL, message=self._outbound.popleft())

    def _beat(self, tx: SqlTransaction) -> None:
        measure(tx, self._clock)
        me = self._member.beat(tx.processes.all())
        if me is not None:
            self._mine = me.id
            tx.processes.put(me)
        for identity in self._member.left_over():
            tx.processes.leave(identity)
