"""The judge: a webhook receiver in a process of its own, whose log decides every heat.

It can be shut (connections are refused) and opened again on the same port, as a gateway that is down is.
All instants are the machine's monotonic clock, which is the same in every process.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import re
import threading
import time
from collections import defaultdict
from collections.abc import Iterable
from multiprocessing.connection import Connection
from typing import Any, NamedTuple, cast

import httptools
import uvloop

HOST = "127.0.0.1"
SECOND = "#2"
"""What the text of an escalation has behind the id."""

_ID = re.compile(rb"RACE-\d{6}(?:#2)?")
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


class Arrival(NamedTuple):
    """One id in one call: when, and under which idempotency key ("" for none)."""

    id: str
    at: float
    key: str


class _Connection(asyncio.Protocol):
    def __init__(self, court: _Court) -> None:
        self._court = court

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's own class is no subclass
        self._court.connections.add(self.transport)
        self._parser: Any = httptools.HttpRequestParser(self)
        self._body, self._key = b"", ""

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._court.connections.discard(self.transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.transport.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"idempotency-key":
            self._key = value.decode()

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        at = time.monotonic()
        ids = dict.fromkeys(_ID.findall(self._body))
        for found in ids:
            if found + SECOND.encode() in ids:
                continue  # the name of whom the second call is about
            self._court.log.append(Arrival(found.decode(), at, self._key))
        self._body, self._key = b"", ""
        if self._court.hangs:
            return
        self.transport.write(_ANSWER)
        if not self._parser.should_keep_alive():
            self.transport.close()


class _Court:
    """What runs in the judge's process."""

    def __init__(self, pipe: Connection) -> None:
        self.log: list[Arrival] = []
        self.connections: set[asyncio.Transport] = set()
        self.hangs = False
        self._pipe = pipe
        self._port = 0
        self._server: asyncio.Server | None = None

    async def sit(self) -> None:
        """Answer what is asked until told to end."""
        await self._open()
        self._pipe.send(self._port)
        while (asked := await asyncio.to_thread(self._pipe.recv)) != "end":
            self._pipe.send(await self._do(*asked))

    async def _do(self, verb: str, start: int) -> object:
        if verb == "shut":
            self._shut()
        elif verb == "open":
            await self._open()
        elif verb in {"hang", "answer"}:
            self.hangs = verb == "hang"
        return self.log[start:] if verb == "log" else len(self.log)

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), HOST, self._port, backlog=4096)
        self._port = self._server.sockets[0].getsockname()[1]

    def _shut(self) -> None:
        if self._server:
            self._server.close()
        for connection in list(self.connections):
            connection.abort()


def _sit(pipe: Connection) -> None:
    uvloop.run(_Court(pipe).sit())


class Judge:
    """The court as the race sees it."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_sit, args=(theirs,), daemon=True)
        self._process.start()
        self._lock = threading.Lock()
        self.port: int = self._pipe.recv()
        self._arrivals: list[Arrival] = []

    @property
    def url(self) -> str:
        """Where calls go."""
        return f"http://{HOST}:{self.port}/in"

    def arrivals(self, ids: Iterable[str]) -> dict[str, list[Arrival]]:
        """Every arrival of these ids so far, in order."""
        with self._lock:
            self._arrivals += self._ask("log", len(self._arrivals))
        wanted = set(ids)
        found: defaultdict[str, list[Arrival]] = defaultdict(list)
        for arrival in self._arrivals:
            if arrival.id in wanted:
                found[arrival.id].append(arrival)
        return found

    def count(self) -> int:
        """How many arrivals there are."""
        with self._lock:
            return int(self._ask("count", 0))

    def shut(self) -> None:
        """Refuse connections and drop those that are open."""
        with self._lock:
            self._ask("shut", 0)

    def hang(self, *, on: bool) -> None:
        """Take calls and do not answer them; what comes meanwhile is in the log all the same."""
        with self._lock:
            self._ask("hang" if on else "answer", 0)

    def since(self, start: int) -> list[Arrival]:
        """What has come after the first so many."""
        with self._lock:
            self._arrivals += self._ask("log", len(self._arrivals))
            return self._arrivals[start:]

    def open(self) -> None:
        """Listen again on the same port."""
        with self._lock:
            self._ask("open", 0)

    def wait(self, ids: Iterable[str], idle: float, limit: float) -> dict[str, list[Arrival]]:
        """Until all ids have come, nothing at all has come for ``idle`` seconds, or the limit is over."""
        wanted = set(ids)
        last, since, until = -1, time.monotonic(), time.monotonic() + limit
        while True:
            count, now = self.count(), time.monotonic()
            if count != last:
                last, since = count, now
                found = self.arrivals(wanted)
            if len(found) == len(wanted) or now - since > idle or now > until:
                return found
            time.sleep(0.02)

    def close(self) -> None:
        """End the process."""
        self._pipe.send("end")
        self._process.join(10)

    def _ask(self, verb: str, start: int) -> Any:
        self._pipe.send((verb, start))
        return self._pipe.recv()
