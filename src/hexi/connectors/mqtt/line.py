"""A line: one connection to a broker, from CONNECT to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar, cast

from hexi.protocols import mqtt
from hexi.protocols.mqtt import Answer, Connack, Disconnect, Hello, Packet, ProtocolError, Publish

PATIENCE = 10.0
"""Seconds for a broker to answer."""

_ROOM = 16 * 1024
"""Bytes of a packet beside its topic and payload: properties, lengths."""


T = TypeVar("T")


class LineError(Exception):
    """The line is no longer, or never was; says why."""


class Line(asyncio.Protocol):
    """Speaks MQTT over one transport; messages go to ``receive``, many at a time."""

    def __init__(self, hello: Hello, longest: int, receive: Callable[[Sequence[Publish]], None]) -> None:
        self._hello = hello
        self.receive = receive
        self._reader = mqtt.Reader(hello.version, longest + 65_535 + _ROOM)
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._connack: asyncio.Future[Connack] = self._loop.create_future()
        self._ended: asyncio.Future[str] = self._loop.create_future()
        self._asked: dict[int, asyncio.Future[Answer]] = {}
        self._number = 0
        self._heard = 0.0
        self._silence = max(1.0, float(hello.keep_alive))

    @property
    def over(self) -> bool:
        """Whether nothing can be said on it any more."""
        return self._ended.done()

    # ---- What the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Introduce ourselves."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are no subclass of it
        self._heard = self._loop.time()
        self._transport.write(mqtt.encode_connect(self._hello))

    def data_received(self, data: bytes) -> None:
        """Take apart what came; messages are handed over together."""
        self._heard = self._loop.time()
        try:
            packets = self._reader.feed(data)
        except ProtocolError as error:
            self.end(f"the broker does not speak MQTT as agreed: {error}")
            return
        messages = [packet for packet in packets if type(packet) is Publish]
        if len(messages) < len(packets):
            for packet in packets:
                self._take(packet)
        if messages:
            self.receive(messages)

    def connection_lost(self, exc: Exception | None) -> None:
        """Everyone who waits for an answer hears that there will be none."""
        self.end(str(exc) if exc else "the broker closed the connection")

    def _take(self, packet: Packet) -> None:
        if isinstance(packet, Connack) and not self._connack.done():
            self._connack.set_result(packet)
        elif isinstance(packet, Answer):
            asked = self._asked.pop(packet.packet, None)
            if asked and not asked.done():
                asked.set_result(packet)
        elif isinstance(packet, Disconnect):
            said = packet.properties.get("reason")
            self.end(f"the broker: {mqtt.reason(packet.code)}" + (f" ({said})" if said else ""))

    # ---- What the session asks

    async def connack(self) -> Connack:
        """The broker's answer to CONNECT; LineError when it is a no, or none comes."""
        answer = await self._wait(self._connack)
        if answer.code:
            raise LineError(f"the broker refuses us: {mqtt.reason(answer.code)}")
        self._silence = float(answer.properties.get("keep_alive") or self._silence)
        return answer

    async def subscribe(self, filters: Sequence[str]) -> list[str]:
        """Listen to topics; returns those that the broker does not let us listen to."""
        number, waiting = self._ask()
        self._write(mqtt.encode_subscribe(self._hello.version, number, filters))
        codes = (await self._wait(waiting)).codes
        return [one for one, code in zip(filters, codes, strict=False) if code >= 0x80]

    async def unsubscribe(self, filters: Sequence[str]) -> None:
        """Listen to some topics no longer."""
        number, waiting = self._ask()
        self._write(mqtt.encode_unsubscribe(self._hello.version, number, filters))
        await self._wait(waiting)

    async def publish(self, message: Publish) -> None:
        """Say something at QoS 1; returns when the broker has it."""
        number, waiting = self._ask()
        self._write(mqtt.encode_publish(self._hello.version, message._replace(qos=1, packet=number)))
        await self._wait(waiting)

    def acknowledge(self, packets: Iterable[int]) -> None:
        """Let the broker forget messages, in one write."""
        if not self.over:
            self._write(mqtt.encode_acknowledgements(packets))

    def pause(self) -> None:
        """Read no further: what comes stays with the broker."""
        if self._transport and not self.over:
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self._transport and not self.over:
            self._transport.resume_reading()

    async def last(self) -> str:
        """Keep the line alive until it ends; returns why it did."""
        while not self._ended.done():
            await asyncio.wait({self._ended}, timeout=self._silence / 2)
            quiet = self._loop.time() - self._heard
            if quiet > 1.5 * self._silence and not self._is_paused():
                self.end(f"nothing heard for {quiet:.0f} s")
            elif not self.over:
                self._write(mqtt.encode_ping())
        return self._ended.result()

    def _is_paused(self) -> bool:
        return self._transport is not None and not self._transport.is_reading()

    async def leave(self, farewell: Publish | None) -> None:
        """Say good-bye: the session stays, the last will is not needed."""
        if self.over:
            return
        if farewell:
            await self.publish(farewell)
        self._write(mqtt.encode_disconnect())
        self.end("we left", politely=True)

    def end(self, why: str, *, politely: bool = False) -> None:
        """Close, now or after what is written."""
        if self._ended.done():
            return
        self._ended.set_result(why)
        if self._transport:
            (self._transport.close if politely else self._transport.abort)()
        waiting: list[asyncio.Future[Any]] = [*self._asked.values(), self._connack]
        for future in waiting:
            if not future.done():
                future.cancel()

    # ---- Means

    def _write(self, data: bytes) -> None:
        if self._transport is None or self.over:
            raise LineError("the line is closed")
        self._transport.write(data)

    def _ask(self) -> tuple[int, asyncio.Future[Answer]]:
        self._number = self._number % 65_535 + 1
        waiting = self._asked[self._number] = self._loop.create_future()
        return self._number, waiting

    async def _wait(self, future: asyncio.Future[T]) -> T:
        """An answer; LineError when the line ends or nothing comes in time."""
        either: set[asyncio.Future[Any]] = {future, self._ended}
        await asyncio.wait(either, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        if future.done() and not future.cancelled():
            return future.result()
        future.cancel()
        raise LineError(self._ended.result() if self.over else "the broker does not answer")
