"""A session: one client identifier at the broker, connected again and again, listening all the time."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from random import Random
from typing import NamedTuple

import msgspec
import structlog

from hexi.connectors.mqtt.door import Counts, Door
from hexi.connectors.mqtt.flow import Flow
from hexi.connectors.mqtt.line import PATIENCE, Line, LineError
from hexi.kernel.ports import StoreError, Transaction
from hexi.protocols.mqtt import Hello, Publish, Version, Will
from hexi.settings import SettingsError
from hexi.settings.mqtt import MqttLink
from hexi.spine.intake import OverloadedError
from hexi.spine.platform import Platform

SHORTEST, LONGEST = 0.5, 30.0
"""Seconds between attempts to connect: doubled each time, then each spread over its upper half."""

STEADY = 30.0
"""A line that has stood for so long was a good one: the next attempt is made soon."""

SETTLE = 5.0
"""Seconds that a commit is given to end before we leave."""

_DOWN = (LineError, OSError, ssl.SSLError, StoreError, OverloadedError, SettingsError)
_log = structlog.get_logger("hexi.mqtt")


class Role(NamedTuple):
    """What one session of a link is for: its client identifier and what it listens to."""

    client_id: str
    filters: Sequence[str]
    state_topic: str = ""


class _Known(msgspec.Struct, frozen=True):
    """What we remember of our session at the broker: a mark of its own, and what it listens to."""

    mark: str
    filters: list[str]


class Backoff:
    """How long to wait before the next attempt."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._wait = SHORTEST

    def next(self, stood: float) -> float:
        """Seconds to wait, after a line that stood for so many."""
        if stood >= STEADY:
            self._wait = SHORTEST
        wait = self._wait
        self._wait = min(2 * wait, LONGEST)
        return wait * self._random.uniform(0.5, 1.0)


class Session:
    """Connects, listens, and begins again when the line ends."""

    def __init__(self, link: MqttLink, role: Role, platform: Platform, door: Door, counts: Counts) -> None:
        self._link = link
        self._role = role
        self._platform = platform
        self._door = door
        self._counts = counts
        self._loop = asyncio.get_running_loop()
        self._flow: Flow | None = None
        self._line: Line | None = None
        self.changed: Callable[[], None] = lambda: None
        """Called when the session goes up or down."""
        self.up = False
        self.down_since = self._loop.time()
        self.why = "not yet connected"

    @property
    def unacknowledged(self) -> int:
        """Messages that wait for their commit."""
        return self._flow.unacknowledged if self._flow else 0

    async def run(self, backoff: Backoff) -> None:
        """Listen until cancelled."""
        while True:
            began = self._loop.time()
            try:
                self._fell(await self._live())
            except _DOWN as error:
                self._fell(say(error))
            except Exception as error:  # noqa: BLE001 -- whatever a broker says, the link is tried again
                _log.exception("the session failed", link=self._door.name, client_id=self._role.client_id)
                self._fell(f"{type(error).__name__}: {error}")
            await asyncio.sleep(backoff.next(self._loop.time() - began))

    async def _live(self) -> str:
        """One line from its beginning to its end; why it ended."""
        hello, context = await asyncio.to_thread(self._prepare)
        waiting: list[Publish] = []
        line = self._line = Line(hello, self._link.message, waiting.extend)
        try:
            await self._connect(line, context)
            known = await self._settle_in(line)
            self._flow = Flow(self._door, line, known.mark, self._link.window)
            line.receive = self._flow.receive
            if waiting:
                self._flow.receive(waiting)
            await self._announce(line)
            self._rose()
            return await line.last()
        finally:
            line.end("we ended it")

    def _prepare(self) -> tuple[Hello, ssl.SSLContext | None]:
        """Read password and certificates anew each time, so that renewed ones are in force."""
        link, role = self._link, self._role
        will = Will(role.state_topic, b"offline") if role.state_topic else None
        hello = Hello(
            version=Version.V5 if link.version == "5" else Version.V311,
            client_id=role.client_id,
            keep_alive=max(1, link.keep_alive // 1000),
            session=link.session // 1000,
            window=link.window,
            user=link.user,
            password=link.password(),
            will=will,
        )
        return hello, self._context() if link.tls else None

    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self._link.ca) if self._link.ca else None)
        if self._link.cert and self._link.key:
            context.load_cert_chain(self._link.cert, self._link.key)
        return context

    async def _connect(self, line: Line, context: ssl.SSLContext | None) -> None:
        host, port = self._link.where
        try:
            async with asyncio.timeout(PATIENCE):
                await self._loop.create_connection(lambda: line, host, port, ssl=context)
        except TimeoutError as error:
            raise LineError("the broker does not answer") from error

    async def _settle_in(self, line: Line) -> _Known:
        """Take up our session, or begin a new one; it listens to exactly what the settings say."""
        present = (await line.connack()).session_present
        before = await asyncio.to_thread(self._recall) if present else None
        if before and before.filters == list(self._role.filters):
            return before  # to subscribe again would bring every retained message again
        known = _Known(before.mark if before else f"{self._platform.clock.now():x}", list(self._role.filters))
        stale = sorted(set(before.filters) - set(known.filters)) if before else []
        if stale:
            await line.unsubscribe(stale)
        if not before:  # what comes with the subscription has to be recognised when it comes again
            await self._remember(_Known(known.mark, []))
        refused = await line.subscribe(known.filters)
        if refused:
            raise LineError(f"the broker does not let us listen to {', '.join(refused)}")
        await self._remember(known)
        return known

    def _recall(self) -> _Known | None:
        with self._platform.store.read() as tx:
            said = tx.settings.get(self._key)
        return msgspec.json.decode(said, type=_Known) if said else None

    async def _remember(self, known: _Known) -> None:
        said = msgspec.json.encode(known).decode()

        def put(tx: Transaction) -> None:
            tx.settings.put(self._key, said)

        await self._platform.intake.call(put)

    @property
    def _key(self) -> str:
        host, port = self._link.where
        return f"mqtt/{host}:{port}/{self._role.client_id}"

    async def _announce(self, line: Line) -> None:
        if self._role.state_topic:
            await line.publish(Publish(self._role.state_topic, b"online", retain=True))

    async def leave(self) -> None:
        """End in peace: what is being committed is still acknowledged, our last will is not told."""
        line, flow = self._line, self._flow
        if line is None or line.over:
            return
        line.pause()
        if flow:
            await flow.settle(SETTLE)
        topic = self._role.state_topic
        try:
            line.resume()
            await line.leave(Publish(topic, b"offline", retain=True) if topic and self.up else None)
        except LineError:
            return

    def _rose(self) -> None:
        self.up, self.why = True, ""
        _log.info("listening", link=self._door.name, client_id=self._role.client_id)
        self.changed()

    def _fell(self, why: str) -> None:
        if self.up:
            self.down_since = self._loop.time()
        if self.up or why != self.why:  # an attempt that fails as the last one did is counted, not told
            _log.warning("not listening", link=self._door.name, client_id=self._role.client_id, why=why)
        self.up, self.why, self._flow = False, why, None
        self._counts.mqtt_lost(self._door.name)
        self.changed()


def say(error: BaseException) -> str:
    """Why a line could not be had, in words that an operator can act on."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the broker's certificate is not good: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or error}"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error)
