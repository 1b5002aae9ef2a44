"""Receiving ends for webhooks: raw HTTP servers that keep a log and misbehave as told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httptools
import msgspec


@dataclass
class Call:
    """One request as it arrived; ``at`` is the machine's monotonic clock, the same in every process."""

    headers: dict[str, str]
    body: bytes
    at: float

    @property
    def json(self) -> dict[str, Any]:
        return msgspec.json.decode(self.body)


@dataclass(frozen=True)
class Answer:
    """What to answer, after how many seconds; ``None`` for never."""

    status: int = 200
    after: float | None = 0.0
    body: bytes = b"{}"
    headers: tuple[tuple[str, str], ...] = ()

    def encode(self) -> bytes:
        headers = {"Content-Length": str(len(self.body)), **dict(self.headers)}
        lines = [f"HTTP/1.1 {self.status} X", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + self.body


@dataclass
class Receiver:
    """A server's log and manners; ``behave`` gets the number of the call, from 1."""

    behave: Callable[[int], Answer]
    url: str = ""
    calls: list[Call] = field(default_factory=list)
    connections: set[asyncio.Transport] = field(default_factory=set)

    def idempotency_keys(self) -> list[str]:
        return [call.headers["idempotency-key"] for call in self.calls]


class _Connection(asyncio.Protocol):
    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.receiver.connections.add(transport)
        self.parser = httptools.HttpRequestParser(self)
        self.headers: dict[str, str] = {}
        self.body = b""

    def connection_lost(self, exc: Exception | None) -> None:
        self.receiver.connections.discard(self.transport)

    def data_received(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.transport.write(Answer(400).encode())
            self.transport.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode().lower()] = value.decode()

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.receiver.calls.append(Call(self.headers, self.body, time.monotonic()))
        self.headers, self.body = {}, b""
        answer = self.receiver.behave(len(self.receiver.calls))
        if answer.after is not None:
            asyncio.get_running_loop().call_later(answer.after, self._answer, answer)

    def _answer(self, answer: Answer) -> None:
        if not self.transport.is_closing():
            self.transport.write(answer.encode())


@asynccontextmanager
async def receiving(behave: Callable[[int], Answer] | None = None) -> AsyncIterator[Receiver]:
    """A receiver on a free port of this machine for as long as the block lasts."""
    receiver = Receiver(behave or (lambda _: Answer()))
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(receiver), "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    receiver.url = f"http://{host}:{port}/in"
    try:
        yield receiver
    finally:
        server.close()
        for connection in list(receiver.connections):
            connection.abort()
        await server.wait_closed()
