"""A sender of MQTT 3.1.1 at QoS 1 that is fast enough to be no part of what is measured.

It keeps every message until its PUBACK, and after a lost connection sends the kept ones again (DUP).
Source: OASIS MQTT 3.1.1, sections 2.2, 3.1, 3.3, 3.4 and 4.4.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

WINDOW = 10_000
"""Messages without an acknowledgement at one time; packet ids end at 65,535."""

_CONNECT, _PUBACK, _DISCONNECT = 0x10, 0x40, b"\xe0\x00"
_QOS1, _DUP = 0x32, 0x08
_HANG_ON = 0.05
"""Seconds between attempts to connect."""


def _length(value: int) -> bytes:
    found = b""
    while True:
        value, digit = divmod(value, 128)
        found += bytes([digit | (0x80 if value else 0)])
        if not value:
            return found


def _text(value: str) -> bytes:
    raw = value.encode()
    return len(raw).to_bytes(2, "big") + raw


def connect_packet(name: str) -> bytes:
    """A persistent session, so that the broker recognises what is sent again; keep-alive 0."""
    body = _text("MQTT") + bytes([4, 0]) + (0).to_bytes(2, "big") + _text(name)
    return bytes([_CONNECT]) + _length(len(body)) + body


def publish_packet(topic: str, payload: bytes) -> bytes:
    """A PUBLISH at QoS 1 whose packet id is two zero bytes behind the topic; see ``numbered``."""
    body = _text(topic) + b"\x00\x00" + payload
    return bytes([_QOS1]) + _length(len(body)) + body


def numbered(packet: bytes, number: int, *, again: bool = False) -> bytes:
    """The packet with its id, marked when it is sent again."""
    at = 1
    while packet[at] & 0x80:
        at += 1
    at += 1
    at += 2 + int.from_bytes(packet[at : at + 2], "big")
    first = packet[0] | (_DUP if again else 0)
    return bytes([first]) + packet[1:at] + number.to_bytes(2, "big") + packet[at + 2 :]


class Link:
    """One connection that comes back by itself; ``told`` hears the name of what was acknowledged."""

    def __init__(self, host: str, port: int, name: str, told: Callable[[str], None]) -> None:
        self._address = (host, port)
        self._hello = connect_packet(name)
        self._told = told
        self._state = threading.Condition()
        self._waiting: deque[tuple[bytes, str]] = deque()
        self._kept: dict[int, tuple[bytes, str]] = {}
        self._number = 0
        self._socket: socket.socket | None = None
        self._closed = False
        self._threads = [
            threading.Thread(target=run, daemon=True) for run in (self._receive_for_ever, self._send_for_ever)
        ]
        for thread in self._threads:
            thread.start()

    def publish(self, packets: Sequence[bytes], names: Sequence[str]) -> None:
        """Queue messages; each name is told once its message was acknowledged."""
        with self._state:
            self._waiting.extend(zip(packets, names, strict=True))
            self._state.notify_all()

    def settle(self, limit: float) -> bool:
        """Whether everything queued has been acknowledged in time."""
        with self._state:
            return self._state.wait_for(lambda: not self._waiting and not self._kept, limit)

    def close(self) -> None:
        """Say goodbye."""
        with self._state:
            self._closed = True
            if self._socket:
                self._drop(self._socket)
            self._state.notify_all()

    def _send_for_ever(self) -> None:
        while True:
            with self._state:
                self._state.wait_for(self._may_send)
                if self._closed:
                    return
                connection, data = self._socket, self._take()
            if connection:
                try:
                    connection.sendall(data)
                except OSError:
                    self._drop(connection)

    def _may_send(self) -> bool:
        ready = self._socket is not None and self._waiting and len(self._kept) < WINDOW
        return bool(self._closed or ready)

    def _take(self) -> bytes:
        parts: list[bytes] = []
        while self._waiting and len(self._kept) < WINDOW and len(parts) < 500:
            self._number = self._number % 65_535 + 1
            while self._number in self._kept:
                self._number = self._number % 65_535 + 1
            self._kept[self._number] = self._waiting.popleft()
            parts.append(numbered(self._kept[self._number][0], self._number))
        return b"".join(parts)

    def _receive_for_ever(self) -> None:
        while not self._closed:
            try:
                connection = self._connect()
            except OSError:
                time.sleep(_HANG_ON)
                continue
            with contextlib.suppress(OSError):
                self._receive(connection)
            self._drop(connection)

    def _connect(self) -> socket.socket:
        connection = socket.create_connection(self._address, 5)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(self._hello)
        answer = connection.recv(4)
        if len(answer) < 4 or answer[3]:
            connection.close()
            raise OSError("the broker refused")
        connection.settimeout(None)
        with self._state:
            kept = b"".join(numbered(p, number, again=True) for number, (p, _) in self._kept.items())
        if kept:
            connection.sendall(kept)
        with self._state:
            self._socket = connection
            self._state.notify_all()
        return connection

    def _receive(self, connection: socket.socket) -> None:
        """A PUBACK is four bytes: 0x40, 2, packet id. Nothing else comes to a sender without keep-alive."""
        rest = b""
        while data := connection.recv(65_536):
            rest += data
            whole = len(rest) - len(rest) % 4
            with self._state:
                for at in range(0, whole, 4):
                    _, name = self._kept.pop(int.from_bytes(rest[at + 2 : at + 4], "big"), (b"", ""))
                    self._told(name)
                self._state.notify_all()
            rest = rest[whole:]

    def _drop(self, connection: socket.socket) -> None:
        with self._state:
            if self._socket is connection:
                self._socket = None
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        connection.close()
