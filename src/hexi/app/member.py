"""Membership: this process among the others on one PostgreSQL.

It shows that it lives, hears what the others have done, and decides what it plays: its roles, or, standing
by, those that nobody else plays.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Sequence
from hashlib import sha256

import msgspec
import structlog

from hexi.adapters.clock import DatabaseClock
from hexi.adapters.sql import SqlStore
from hexi.adapters.sql.pulse import Pulse
from hexi.app.roles import Role
from hexi.kernel.clock import Instant
from hexi.kernel.ports import StoreError
from hexi.kernel.process import (
    DEAF_AFTER,
    GIVE_BACK_AFTER,
    Process,
    Sight,
    covered,
    hears_since,
    living,
    to_play,
)
from hexi.kernel.text import Text
from hexi.spine import hints
from hexi.spine.hub import Hub
from hexi.spine.platform import Platform
from hexi.spine.work import Outcome

JOIN_WITHIN = 15.0
"""Seconds until the first heartbeat must have been written."""

REMEMBERED = 3_600_000
"""Milliseconds for which a process that died is still shown."""

_log = structlog.get_logger("hexi.member")


class OtherSecretError(Exception):
    """The processes of one installation must sign with one secret."""

    def __init__(self, other: Process) -> None:
        super().__init__(f"{other.host} signs with another secret")
        self.text = Text(
            zh=f"{other.host} 上的进程（{other.pid}）用另一个密钥签名："
            "请让所有进程的 secret_file 是同一个密钥",
            en=f"a process on {other.host} ({other.pid}) signs with another secret: "
            "let secret_file of all processes hold the same one",
        )


class Member:
    """One process. ``play`` is called on the event loop with the roles to play from now on."""

    def __init__(
        self, platform: Platform, store: SqlStore, clock: DatabaseClock, me: Process, play: Play
    ) -> None:
        self._platform = platform
        self._clock = clock
        self._play = play
        self._me = me
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pulse = Pulse(store, clock, self)
        self._joined = threading.Event()
        self._refused: OtherSecretError | None = None
        self._sight = Sight()
        self._left_over: list[str] = []
        self._alive: set[str] = set()
        self._covered_since: Instant | None = None
        self.processes: Sequence[Process] = ()
        """Everyone, as the last heartbeat saw them."""

    @property
    def name(self) -> str:
        """What this process holds notices under."""
        return self._me.id

    async def join(self) -> None:
        """Show that this process is here; OtherSecretError when it may not be."""
        self._loop = asyncio.get_running_loop()
        self._platform.intake.tell = self._tell
        self._pulse.start()
        joined = await asyncio.to_thread(self._joined.wait, JOIN_WITHIN)
        if self._refused:
            raise self._refused
        if not joined:
            raise StoreError("no heartbeat could be written", kind="broken")

    async def leave(self) -> None:
        """Let go of everything at once, rather than be found dead."""
        await asyncio.to_thread(self._pulse.stop)

    def living(self) -> list[Process]:
        """The processes that live, this one included."""
        return living(self.processes, self._clock.measured())

    # -- in the pulse's thread

    def beat(self, processes: list[Process]) -> Process | None:
        """Look at the others, decide what to play, and say what to write of oneself."""
        now, elapsed = self._clock.measured(), _elapsed()
        alive = self._sight.look(processes, now, elapsed)
        others = [p for p in alive if p.id != self._me.id]
        left = self._sight.left_over(processes, now, elapsed)
        self._left_over = [identity for identity in left if identity != self._me.id]
        if not self._joined.is_set() and not self._may_join(others):
            return None
        before = self._me
        self._me = self._next(processes, others, now)
        self.processes = [*(p for p in processes if p.id != self._me.id), self._me]
        if self._me.playing != before.playing or not self._joined.is_set():
            self._on_loop(self._play, self._me.playing)
        self._watch_hearing(now)
        self._platform.spine.means.memory.alive_since = min([now, *(p.seen_at for p in others)])
        self._watch_deaths({p.id for p in others})
        self._joined.set()
        return self._me

    def _may_join(self, others: Sequence[Process]) -> bool:
        strange = next((p for p in others if p.secret != self._me.secret), None)
        if strange is not None:
            self._refused = OtherSecretError(strange)
            self._joined.set()
        return strange is None

    def _next(self, processes: Sequence[Process], others: Sequence[Process], now: Instant) -> Process:
        """This process with its next heartbeat. A standby rests again when its roles were long covered."""
        playing = to_play(self._me, others)
        if self._me.standby and playing and playing == self._me.playing and covered(self._me, others):
            self._covered_since = self._covered_since or _elapsed()
            if _elapsed() - self._covered_since >= GIVE_BACK_AFTER:
                playing = ()
        else:
            self._covered_since = None
        if playing != self._me.playing:
            _log.info("plays", roles=" ".join(playing) or "nothing", standby=self._me.standby)
        me = msgspec.structs.replace(self._me, playing=playing, seen_at=now)
        return msgspec.structs.replace(me, hears_since=hears_since(me, processes, now, Role.INTAKE))

    def _watch_hearing(self, now: Instant) -> None:
        """Silence counts from when signals were taken without a gap, whichever process took them."""
        known = [p.hears_since for p in self.processes if p.hears_since and p.seen_at > now - DEAF_AFTER]
        self._platform.spine.means.memory.ready_at = min(known, default=now)

    def _watch_deaths(self, alive: set[str]) -> None:
        """What a process did last, it may not have told any more."""
        if self._alive - alive:
            self._look_anew()
        self._alive = alive

    def left_over(self) -> list[str]:
        """Who is dead and would not seem so by its heartbeat, as the last look found it."""
        return self._left_over

    def connected(self) -> None:
        """What was told while there was no connection has been missed."""
        self._look_anew()

    def _look_anew(self) -> None:
        self._platform.intake.recall()
        self._on_loop(self._platform.hub.refresh)

    def told(self, message: str) -> None:
        """Another process has done something."""
        hint = hints.read(message)
        if hint is None or hint.by == self._me.id:
            return
        if hint.left:
            self._platform.intake.look()
        if hint.changed:
            self._on_loop(_publish, self._platform.hub, hint.changed)
        if hint.silent:
            self._platform.spine.means.memory.silent.update(hint.silent)
        if hint.anew:
            self._look_anew()

    def _on_loop(self, call: Callable[..., None], *args: object) -> None:
        if self._loop and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call, *args)

    # -- in the writer's thread

    def _tell(self, outcome: Outcome) -> None:
        self._pulse.tell([hints.write(hint) for hint in hints.hints_of(self._me.id, outcome)])


Play = Callable[[tuple[str, ...]], None]


def _elapsed() -> Instant:
    """This process's own steady time, in milliseconds."""
    return time.monotonic_ns() // 1_000_000


def _publish(hub: Hub, changed: dict[str, int]) -> None:
    hub.publish(changed)


def this_process(roles: Sequence[Role], secret: str, now: Instant, *, standby: bool, version: str) -> Process:
    """The row of the process that asks."""
    return Process(
        id=f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}",
        host=socket.gethostname(),
        pid=os.getpid(),
        roles=tuple(roles),
        playing=() if standby else tuple(roles),
        standby=standby,
        version=version,
        secret=sha256(b"hexi.process\0" + secret.encode()).hexdigest()[:16],
        started=now,
        seen_at=now,
    )
