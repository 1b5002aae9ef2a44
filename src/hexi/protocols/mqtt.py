"""MQTT 3.1.1 and 5.0 at QoS 0 and 1: the packets of both sides, sans-I/O.

After the OASIS standards of both versions (sections 2 and 3). ``Reader`` turns bytes into packets, the
``encode_...`` functions packets into bytes. QoS 2 is not spoken: a subscription at QoS 1 never brings it
(3.8.4), and a commit with a repeat recognised by its identity is what QoS 2 would promise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import IntEnum
from typing import Any, NamedTuple

import msgspec


class Version(IntEnum):
    """The protocol level that CONNECT carries."""

    V311 = 4
    V5 = 5


class ProtocolError(Exception):
    """Bytes that no packet of the protocol can be."""


class Publish(NamedTuple):
    """A message. ``packet`` is its identifier, 0 at QoS 0.

    ``size`` counts the whole payload, which is cut when the packet was longer than the reader's limit.
    """

    topic: str
    payload: bytes
    qos: int = 0
    packet: int = 0
    retain: bool = False
    dup: bool = False
    properties: Mapping[str, Any] = {}
    size: int = 0

    @property
    def is_cut(self) -> bool:
        """Whether only the beginning of the payload was kept."""
        return len(self.payload) < self.size


class Connack(NamedTuple):
    """The answer to CONNECT; ``code`` 0 is yes."""

    session_present: bool
    code: int
    properties: Mapping[str, Any] = {}


class Answer(NamedTuple):
    """SUBACK, UNSUBACK or PUBACK: the answer to the packet with an identifier; from 128 on a code is a no."""

    packet: int
    codes: tuple[int, ...]


class Disconnect(NamedTuple):
    """The other side ends the connection."""

    code: int = 0
    properties: Mapping[str, Any] = {}


class Pong(NamedTuple):
    """The answer to PINGREQ."""


class Request(NamedTuple):
    """What only a client sends, for tests that play a broker: its type and its body."""

    kind: int
    body: bytes


Packet = Publish | Connack | Answer | Disconnect | Pong | Request

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK = 0x10, 0x20, 0x30, 0x40, 0x80, 0x90
UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT = 0xA0, 0xB0, 0xC0, 0xD0, 0xE0

MOST = 268_435_455
"""The longest body that the length field can say (2.1.4)."""

RECEIVE_MAXIMUM = 65_535

_NOTHING: Mapping[str, Any] = {}

REASONS = {
    1: "unacceptable protocol version",
    2: "identifier rejected",
    3: "server unavailable",
    4: "bad user name or password",
    5: "not authorized",
    0x80: "unspecified error",
    0x81: "malformed packet",
    0x82: "protocol error",
    0x83: "implementation specific error",
    0x84: "unsupported protocol version",
    0x85: "client identifier not valid",
    0x86: "bad user name or password",
    0x87: "not authorized",
    0x88: "server unavailable",
    0x89: "server busy",
    0x8A: "banned",
    0x8B: "server shutting down",
    0x8C: "bad authentication method",
    0x8D: "keep alive timeout",
    0x8E: "session taken over",
    0x8F: "topic filter invalid",
    0x90: "topic name invalid",
    0x93: "receive maximum exceeded",
    0x95: "packet too large",
    0x97: "quota exceeded",
    0x98: "administrative action",
    0x9C: "use another server",
    0x9D: "server moved",
    0x9F: "connection rate exceeded",
}


def reason(code: int) -> str:
    """A reason or return code in words."""
    return REASONS.get(code, f"reason 0x{code:02x}")


# ---- Elements (1.5, 2.2.2)


def _length(number: int) -> bytes:
    if number > MOST:
        raise ProtocolError(f"{number} bytes do not fit into a packet")
    said = bytearray()
    while True:
        number, low = number >> 7, number & 127
        said.append(low | 128 if number else low)
        if not number:
            return bytes(said)


def _read_length(data: bytes, at: int) -> tuple[int, int]:
    """A variable byte integer and where it ends; IndexError when the data end before it does."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
        if shift > 21:
            raise ProtocolError("a length is longer than four bytes")


def _binary(value: bytes) -> bytes:
    return len(value).to_bytes(2, "big") + value


def _text(value: str) -> bytes:
    return _binary(value.encode())


def _read_binary(data: bytes, at: int) -> tuple[bytes, int]:
    end = at + 2 + int.from_bytes(data[at : at + 2], "big")
    if end > len(data):
        raise ProtocolError("a field is longer than its packet")
    return data[at + 2 : end], end


def _read_text(data: bytes, at: int) -> tuple[str, int]:
    value, end = _read_binary(data, at)
    try:
        return value.decode(), end
    except UnicodeDecodeError as error:
        raise ProtocolError("a text is not UTF-8") from error


def _read_number(size: int) -> Callable[[bytes, int], tuple[int, int]]:
    def read(data: bytes, at: int) -> tuple[int, int]:
        return int.from_bytes(data[at : at + size], "big"), at + size

    return read


def _read_pair(data: bytes, at: int) -> tuple[tuple[str, str], int]:
    name, at = _read_text(data, at)
    value, at = _read_text(data, at)
    return (name, value), at


_BYTE, _SHORT, _LONG = _read_number(1), _read_number(2), _read_number(4)
_PROPERTIES: dict[int, tuple[str, Callable[[bytes, int], tuple[Any, int]]]] = {
    0x01: ("payload_format", _BYTE),
    0x02: ("message_expiry", _LONG),
    0x03: ("content_type", _read_text),
    0x08: ("response_topic", _read_text),
    0x09: ("correlation", _read_binary),
    0x0B: ("subscription", _read_length),
    0x11: ("session_expiry", _LONG),
    0x12: ("client_id", _read_text),
    0x13: ("keep_alive", _SHORT),
    0x15: ("auth_method", _read_text),
    0x16: ("auth_data", _read_binary),
    0x1A: ("response_information", _read_text),
    0x1C: ("server_reference", _read_text),
    0x1F: ("reason", _read_text),
    0x21: ("receive_maximum", _SHORT),
    0x22: ("alias_maximum", _SHORT),
    0x23: ("alias", _SHORT),
    0x24: ("maximum_qos", _BYTE),
    0x25: ("retain_available", _BYTE),
    0x26: ("user", _read_pair),
    0x27: ("maximum_packet", _LONG),
    0x28: ("wildcards", _BYTE),
    0x29: ("subscription_identifiers", _BYTE),
    0x2A: ("shared", _BYTE),
}


def _read_properties(data: bytes, at: int) -> tuple[Mapping[str, Any], int]:
    """The properties at a place and where they end; user properties are one mapping under ``user``."""
    length, at = _read_length(data, at)
    end = at + length
    if not length:
        return _NOTHING, end
    if end > len(data):
        raise ProtocolError("the properties are longer than their packet")
    found: dict[str, Any] = {}
    while at < end:
        known = _PROPERTIES.get(data[at])
        if known is None:
            raise ProtocolError(f"there is no property 0x{data[at]:02x}")
        name, read = known
        value, at = read(data, at + 1)
        if name == "user":
            found.setdefault("user", {})[value[0]] = value[1]
        else:
            found[name] = value
    return found, end


# ---- Reading


class Reader:
    """Bytes of one connection to packets. A message whose packet is longer than ``limit`` is cut to it."""

    def __init__(self, version: Version, limit: int = MOST) -> None:
        self._version = version
        self._limit = limit
        self._rest = b""
        self._skip = 0

    def feed(self, data: bytes) -> list[Packet]:
        """Every packet that is whole now; ProtocolError when the other side speaks something else."""
        if self._skip:
            passed = min(self._skip, len(data))
            self._skip -= passed
            data = data[passed:]
        if self._rest:
            data = self._rest + data
        packets: list[Packet] = []
        try:
            rest = self._read(data, packets)
        except IndexError as error:
            raise ProtocolError("a packet is shorter than its fields") from error
        self._rest = data[rest:]
        return packets

    def _read(self, data: bytes, packets: list[Packet]) -> int:
        """Append what is whole; where the rest begins."""
        at, have = 0, len(data)
        while have - at > 1:
            length = data[at + 1]
            start = at + 2
            if length > 127:
                if have - at < 5 and data[-1] > 127:
                    return at  # the length itself is not whole
                length, start = _read_length(data, at + 1)
            end = start + length
            if length > self._limit and have - start >= self._limit:
                packets.append(self._cut(data[at], data[start : start + self._limit], length))
                self._skip = max(0, end - have)
                at = min(end, have)
            elif end > have:
                return at
            else:
                packets.append(self._packet(data[at], data, start, end))
                at = end
        return at

    def _cut(self, head: int, body: bytes, length: int) -> Packet:
        """The beginning of a message; with properties too long to keep, they are taken for payload."""
        if head & 0xF0 != PUBLISH:
            raise ProtocolError(f"a packet of {length} bytes is too long")
        try:
            packet = _read_publish(head, body, 0, len(body), self._version)
        except ProtocolError:
            packet = _read_publish(head, body, 0, len(body), Version.V311)
        return packet._replace(size=length - len(body) + len(packet.payload))

    def _packet(self, head: int, data: bytes, start: int, end: int) -> Packet:
        kind = head & 0xF0
        if kind == PUBLISH:
            return _read_publish(head, data, start, end, self._version)
        body = data[start:end]
        if kind == CONNACK:
            properties = (
                _read_properties(body, 2)[0] if self._version is Version.V5 and end - start > 2 else _NOTHING
            )
            return Connack(bool(body[0] & 1), body[1], properties)
        if kind in {PUBACK, SUBACK, UNSUBACK}:
            return self._answer(kind, body)
        if kind == PINGRESP:
            return Pong()
        if kind == DISCONNECT and self._version is Version.V5:
            return Disconnect(body[0] if body else 0, _read_properties(body, 1)[0] if body[1:] else _NOTHING)
        if kind in {CONNECT, SUBSCRIBE, UNSUBSCRIBE, PINGREQ, DISCONNECT}:
            return Request(kind, body)
        raise ProtocolError(f"a packet of type 0x{kind:02x} was not expected")

    def _answer(self, kind: int, body: bytes) -> Answer:
        packet = int.from_bytes(body[:2], "big")
        if kind == PUBACK:
            return Answer(packet, (body[2] if body[2:] else 0,))
        at = _read_properties(body, 2)[1] if self._version is Version.V5 else 2
        return Answer(packet, tuple(body[at:]))


def _read_publish(head: int, data: bytes, start: int, end: int, version: Version) -> Publish:
    at = start + 2 + (data[start] << 8 | data[start + 1])
    qos = head >> 1 & 3
    if qos > 1:
        raise ProtocolError("a message of QoS 2 was not asked for")
    try:
        topic = data[start + 2 : at].decode()
    except UnicodeDecodeError as error:
        raise ProtocolError("a topic is not UTF-8") from error
    packet = 0
    if qos:
        packet = data[at] << 8 | data[at + 1]
        at += 2
    properties = _NOTHING
    if version is Version.V5:
        if data[at]:
            properties, at = _read_properties(data[:end], at)
        else:
            at += 1
    if at > end:
        raise ProtocolError("a message is shorter than its fields")
    return Publish(topic, data[at:end], qos, packet, head & 1 != 0, head & 8 != 0, properties, end - at)


# ---- Writing


class Will(NamedTuple):
    """What the broker says for us when we are gone without a word; retained, QoS 1."""

    topic: str
    payload: bytes


class Hello(msgspec.Struct, frozen=True, kw_only=True):
    """What CONNECT says. Seconds; ``session`` is how long the broker keeps it (version 5 alone)."""

    version: Version
    client_id: str
    keep_alive: int = 30
    session: int = 0
    window: int = RECEIVE_MAXIMUM
    clean: bool = False
    user: str | None = None
    password: str | None = None
    will: Will | None = None


def _packet(head: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return bytes((head,)) + _length(len(body)) + body


def _with_length(properties: bytes) -> bytes:
    return _length(len(properties)) + properties


def encode_connect(hello: Hello) -> bytes:
    """CONNECT (3.1)."""
    flags = 0x02 if hello.clean else 0
    parts = [_text(hello.client_id)]
    if hello.will:
        flags |= 0x2C  # a will, QoS 1, retained
        parts += [b"\0"] if hello.version is Version.V5 else []
        parts += [_text(hello.will.topic), _binary(hello.will.payload)]
    if hello.user is not None:
        flags |= 0x80
        parts.append(_text(hello.user))
    if hello.password is not None:
        flags |= 0x40
        parts.append(_text(hello.password))
    head = [_text("MQTT"), bytes((hello.version, flags)), hello.keep_alive.to_bytes(2, "big")]
    if hello.version is Version.V5:
        said = b"\x11" + hello.session.to_bytes(4, "big") + b"\x21" + hello.window.to_bytes(2, "big")
        head.append(_with_length(said))
    return _packet(CONNECT, *head, *parts)


def encode_connack(version: Version, *, session_present: bool = False, code: int = 0) -> bytes:
    """CONNACK (3.2), for tests that play a broker."""
    end = b"\0" if version is Version.V5 else b""
    return _packet(CONNACK, bytes((session_present, code)), end)


def encode_publish(version: Version, message: Publish) -> bytes:
    """PUBLISH (3.3); of the properties, the content type and the user's go out."""
    head = PUBLISH | message.dup << 3 | message.qos << 1 | message.retain
    packet = message.packet.to_bytes(2, "big") if message.qos else b""
    said = _with_length(_encode_properties(message.properties)) if version is Version.V5 else b""
    return _packet(head, _text(message.topic), packet, said, message.payload)


def _encode_properties(properties: Mapping[str, Any]) -> bytes:
    said = b""
    if "content_type" in properties:
        said += b"\x03" + _text(properties["content_type"])
    for name, value in properties.get("user", {}).items():
        said += b"\x26" + _text(name) + _text(value)
    return said


def encode_acknowledgements(packets: Iterable[int]) -> bytes:
    """PUBACK of each identifier (3.4), in order."""
    return b"".join([b"\x40\x02" + packet.to_bytes(2, "big") for packet in packets])


def encode_subscribe(version: Version, packet: int, filters: Sequence[str]) -> bytes:
    """SUBSCRIBE (3.8) at QoS 1; in version 5 retained messages come only to a new subscription."""
    options = b"\x11" if version is Version.V5 else b"\x01"
    return _packet(SUBSCRIBE | 2, _head(version, packet), *(_text(one) + options for one in filters))


def encode_unsubscribe(version: Version, packet: int, filters: Sequence[str]) -> bytes:
    """UNSUBSCRIBE (3.10)."""
    return _packet(UNSUBSCRIBE | 2, _head(version, packet), *map(_text, filters))


def _head(version: Version, packet: int) -> bytes:
    return packet.to_bytes(2, "big") + (b"\0" if version is Version.V5 else b"")


def encode_ping() -> bytes:
    """PINGREQ (3.12)."""
    return b"\xc0\x00"


def encode_disconnect() -> bytes:
    """DISCONNECT (3.14), with nothing to say: the will is discarded, the session stays."""
    return b"\xe0\x00"
