"""A link: a broker with one or two sessions, held by one process, whose state everybody can read."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from random import Random
from typing import NamedTuple

import msgspec
import structlog

from hexi.connectors.mqtt.door import Counts, Door
from hexi.connectors.mqtt.mapping import Mapper
from hexi.connectors.mqtt.session import Backoff, Role, Session
from hexi.kernel.clock import SECOND, Instant
from hexi.kernel.ports import StoreError
from hexi.kernel.signal import Signal
from hexi.settings.mqtt import MqttLink
from hexi.spine import uplinks
from hexi.spine.intake import OverloadedError
from hexi.spine.platform import Platform
from hexi.spine.uplinks import Uplink

LOOK_EVERY = 1.0
"""Seconds between looks at the sessions; the store is told when something changes, else every ``BEAT``."""

DOWN, CLEARED = "tech.link_down", "tech.cleared"
_log = structlog.get_logger("hexi.mqtt")


class Whence(NamedTuple):
    """Where a link hangs: the platform, this process's name, who counts, and chance."""

    platform: Platform
    holder: str
    counts: Counts
    random: Random


class Link:
    """Holds the link if no other process does, and tells how it stands."""

    def __init__(self, name: str, settings: MqttLink, whence: Whence) -> None:
        self._settings = settings
        self._whence = whence
        self._platform = whence.platform
        self._mapper = Mapper(name, settings)
        self.name = self._mapper.name
        self._roles = roles_of(name, settings, self._mapper)
        self._sessions: list[Session] = []
        self._running: list[asyncio.Task[None]] = []
        self._state: Uplink | None = None
        self._told = 0
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Go on until cancelled; then leave the broker in peace."""
        try:
            while True:
                try:
                    await self._look()
                except (StoreError, OverloadedError) as error:
                    _log.warning("the state of a link could not be kept", link=self.name, why=str(error))
                except Exception:  # noqa: BLE001 -- a link never gives up
                    _log.exception("looking after a link failed", link=self.name)
                await self._pause()
        finally:
            await asyncio.shield(self._leave())

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(LOOK_EVERY):
                await self._changed.wait()
        except TimeoutError:
            pass
        self._changed.clear()

    # ---- What stands

    @property
    def is_up(self) -> bool:
        """Whether every session listens, or has not been down for longer than its grace."""
        now, grace = asyncio.get_running_loop().time(), self._settings.grace / SECOND
        return all(s.up or (self._was_up and now - s.down_since < grace) for s in self._sessions)

    @property
    def _was_up(self) -> bool:
        return self._state is None or self._state.up

    async def _look(self) -> None:
        """Tell when the link goes down or comes back, keep it, and listen if it is ours."""
        self._count()
        now, up = self._platform.clock.now(), self.is_up
        if self._state and now - self._told < uplinks.BEAT and up is self._state.up:
            return
        before, free = await asyncio.to_thread(self._read, now)
        if before and not free:
            await self._follow(before)
            return
        wanted = self._wanted(before, now, up=up)
        if wanted.up is not (before is None or before.up):
            await self._report(CLEARED if wanted.up else DOWN, wanted)  # first: to be told twice is one case
        after = await self._platform.intake.call(lambda tx: uplinks.hold(tx, self.name, wanted))
        self._told = now
        await self._follow(after)

    def _count(self) -> None:
        counts = self._whence.counts
        counts.mqtt_connected(self.name, sum(s.up for s in self._sessions))
        counts.mqtt_unacknowledged(self.name, sum(s.unacknowledged for s in self._sessions))

    def _read(self, now: Instant) -> tuple[Uplink | None, bool]:
        with self._platform.store.read() as tx:
            state = uplinks.read(tx, self.name)
            return state, uplinks.is_free(tx, state, self._whence.holder, now)

    def _wanted(self, before: Uplink | None, now: Instant, *, up: bool) -> Uplink:
        """What we would have stand; a link that was down is down until it listens again."""
        if before and not before.up and not self._running:
            return msgspec.structs.replace(before, holder=self._whence.holder, beat=now)
        why = "" if up else next((s.why for s in self._sessions if not s.up), "")
        return Uplink(holder=self._whence.holder, beat=now, up=up, since=now, why=why)

    async def _follow(self, state: Uplink) -> None:
        ours = state.holder == self._whence.holder
        self._state = state if ours else None
        if not ours:
            await self._stop()
        elif not self._running:
            self._start()

    async def _report(self, kind: str, state: Uplink) -> None:
        """The link's own trouble is a signal like any other, and one case."""
        signal = Signal(
            id=f"{kind}/{state.beat}",
            source=f"hexi:uplink/{self.name}",
            kind=kind,
            received=state.beat,
            subject=f"link:{self.name}",
            data={"link": self.name, "why": state.why} if state.why else {"link": self.name},
        )
        await self._platform.intake.submit([signal])

    # ---- Listening

    def _start(self) -> None:
        counts = self._whence.counts
        for role in self._roles:
            door = Door(self._platform, self._mapper, counts)
            session = Session(self._settings, role, self._platform, door, counts)
            session.changed = self._changed.set
            self._sessions.append(session)
            self._running.append(asyncio.create_task(session.run(Backoff(self._whence.random))))

    async def _stop(self) -> None:
        for session in self._sessions:
            await session.leave()
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        self._sessions, self._running = [], []

    async def _leave(self) -> None:
        await self._stop()
        self._whence.counts.mqtt_connected(self.name, 0)
        now, holder = self._platform.clock.now(), self._whence.holder
        try:
            await self._platform.intake.call(lambda tx: uplinks.let_go(tx, self.name, holder, now))
        except (StoreError, OverloadedError):
            return


def roles_of(name: str, link: MqttLink, mapper: Mapper) -> Sequence[Role]:
    """The sessions of a link: cries for help have a client identifier, and so a connection, of their own."""
    client_id = link.client_id or f"hexi-{name}"
    state = f"hexi/state/{client_id}" if link.state_topic is None else link.state_topic
    bulk, urgent = mapper.filters(urgent=False), mapper.filters(urgent=True)
    roles = [Role(client_id, bulk, state)] if bulk else []
    if urgent:
        roles.append(Role(f"{client_id}-urgent", urgent, "" if bulk else state))
    return roles
