"""CloudEvents 1.0 in and out: structured, batch and binary mode, and one event a line.

Sans-I/O. A whole body that is no JSON raises; one bad event among good ones comes back as
``Malformed`` in its place. Of duplicate keys in an object the last counts. A device's clock is
never a reason to refuse: a time that cannot be read is left out and flagged.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import quote, unquote

import msgspec

from hexi.kernel.clock import DAY, Instant, format_instant, from_datetime
from hexi.kernel.signal import Flag, Signal
from hexi.kernel.text import Text

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
LINES = "application/x-ndjson"
JSON = "application/json"
CONTENT_TYPES = (STRUCTURED, BATCH, LINES, JSON)

MAX_ID, MAX_SOURCE, MAX_KIND, MAX_SUBJECT = 200, 300, 120, 300
MAX_DEPTH = 64
MAX_EVENTS = 1_000


class _Event(msgspec.Struct):
    """The attributes that are read; others are extensions and pass unread."""

    specversion: Literal["1.0"]
    id: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ID)]
    source: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_SOURCE)]
    type: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_KIND)]
    time: Any = None
    subject: Any = None
    data: Any = None
    data_base64: Any = None


class Malformed(msgspec.Struct, frozen=True, kw_only=True):
    """One event that is no CloudEvent: its place among the others, why, and its bytes."""

    index: int
    reason: Text
    raw: bytes
    field: str = ""
    id: str | None = None
    source: str | None = None


class UndecodableError(Exception):
    """A whole body that cannot be read. ``reason`` says why in both languages."""

    def __init__(self, reason: Text) -> None:
        super().__init__(reason.en)
        self.reason = reason


class TooManyEventsError(Exception):
    """More events in one body than are allowed."""


class UnsupportedTypeError(Exception):
    """A content type that carries no CloudEvents."""


Item = Signal | Malformed

_decode_event = msgspec.json.Decoder(_Event).decode
_decode_events = msgspec.json.Decoder(list[_Event]).decode
_decode_raws = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_any = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_REFERENCE = re.compile(r"(?!urn:|http|tel:|sip)[a-z][a-z_]{2,}:.+", re.DOTALL)
_FIELD = re.compile(r"`\$\.(\w+)`|field `(\w+)`")
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError)


def media_type(content_type: str) -> str:
    """``"Application/JSON; charset=utf-8"`` -> ``"application/json"``."""
    return content_type.partition(";")[0].strip().lower()


def decode(headers: Mapping[str, str], body: bytes, received: Instant, limit: int = MAX_EVENTS) -> list[Item]:
    """Every event of an HTTP message, in order; ``headers`` have lower-case names.

    Raises UnsupportedTypeError, TooManyEventsError, or UndecodableError for a body that is no JSON at all.
    """
    if "ce-specversion" in headers or "ce-id" in headers:
        return [decode_binary(headers, body, received)]
    kind = media_type(headers.get("content-type", ""))
    if kind == LINES:
        return decode_lines(body, received, limit)
    if kind == BATCH or (kind == JSON and body.lstrip()[:1] == b"["):
        return decode_batch(body, received, limit)
    if kind in {STRUCTURED, JSON}:
        return [decode_structured(body, received)]
    raise UnsupportedTypeError(kind)


def decode_structured(body: bytes, received: Instant) -> Item:
    """One event with its attributes and data in one JSON object."""
    item = _decode_one(body, 0, received)
    if isinstance(item, Malformed):
        _require_json(body)
    return item


def decode_batch(body: bytes, received: Instant, limit: int = MAX_EVENTS) -> list[Item]:
    """A JSON array of events: one call for a good batch, one by one when an event is bad."""
    try:
        events = _decode_events(body)
    except _UNREADABLE:
        return _decode_each(body, received, limit)
    if len(events) > limit:
        raise TooManyEventsError
    return [_signal(event, index, received) for index, event in enumerate(events)]


def _decode_each(body: bytes, received: Instant, limit: int) -> list[Item]:
    try:
        raws = _decode_raws(body)
    except _UNREADABLE as error:
        raise UndecodableError(_say(error)) from error
    if len(raws) > limit:
        raise TooManyEventsError
    return [_decode_one(bytes(raw), index, received) for index, raw in enumerate(raws)]


def decode_lines(body: bytes, received: Instant, limit: int = MAX_EVENTS) -> list[Item]:
    """One event a line; blank lines are passed over, a bad line harms no other."""
    lines = [line for line in body.split(b"\n") if line.strip()]
    if len(lines) > limit:
        raise TooManyEventsError
    return [_decode_one(line, index, received) for index, line in enumerate(lines)]


def decode_binary(headers: Mapping[str, str], body: bytes, received: Instant) -> Item:
    """One event with its attributes in ``ce-`` headers and its data in the body."""
    try:
        said = {n[3:]: unquote(v, errors="strict") for n, v in headers.items() if n.startswith("ce-")}
        event = msgspec.convert(said, _Event)
    except _UNREADABLE as error:
        return Malformed(index=0, reason=_say(error), raw=keep_message(headers, body), field=_field(error))
    event.data, event.data_base64 = _content(media_type(headers.get("content-type", "")), body)
    return _signal(event, 0, received)


def _content(kind: str, body: bytes) -> tuple[Any, str | None]:
    if not body:
        return None, None
    if kind in {"", JSON} or kind.endswith("+json"):
        try:
            return _decode_any(body), None
        except _UNREADABLE as error:
            raise UndecodableError(_say(error)) from error
    if kind.startswith("text/"):
        try:
            return body.decode(), None
        except UnicodeDecodeError:
            return None, b64encode(body).decode()
    return None, b64encode(body).decode()


def keep_message(headers: Mapping[str, str], body: bytes) -> bytes:
    """The attributes and the body of a binary message together, so that quarantine keeps the whole event."""
    lines = "".join(f"{n}: {v}\r\n" for n, v in headers.items() if n.startswith(("ce-", "content-type")))
    return lines.encode("utf-8", "surrogateescape") + b"\r\n" + body


def parse_message(raw: bytes) -> tuple[dict[str, str], bytes]:
    """The headers and body that ``keep_message`` put together."""
    head, _, body = raw.partition(b"\r\n\r\n")
    pairs = (line.partition(": ") for line in head.decode("utf-8", "surrogateescape").split("\r\n"))
    return {name: value for name, _, value in pairs}, body


def _decode_one(raw: bytes, index: int, received: Instant) -> Item:
    try:
        event = _decode_event(raw)
    except _UNREADABLE as error:
        return _named(Malformed(index=index, reason=_say(error), raw=raw, field=_field(error)))
    return _signal(event, index, received)


def _require_json(body: bytes) -> None:
    try:
        _decode_any(body)
    except _UNREADABLE as error:
        raise UndecodableError(_say(error)) from error


def _signal(event: _Event, index: int, received: Instant) -> Item:
    for name in ("id", "source", "type"):
        value: str = getattr(event, name)
        if not value.isprintable() and _CONTROL.search(value):
            return _refuse(event, index, name, Text(zh="含有控制字符", en="contains a control character"))
    data = _data(event)
    if is_too_deep(data):
        return _refuse(event, index, "data", TOO_DEEP)
    time, flags = _read_time(event.time, received)
    return Signal(
        id=event.id,
        source=event.source,
        kind=event.type,
        received=received,
        time=time,
        subject=read_subject(event.subject),
        data=data,
        flags=flags,
    )


TOO_DEEP = Text(zh=f"嵌套超过 {MAX_DEPTH} 层", en=f"is nested deeper than {MAX_DEPTH} levels")


def _refuse(event: _Event, index: int, field: str, reason: Text) -> Malformed:
    raw = _encode(event)
    return Malformed(index=index, reason=reason, raw=raw, field=field, id=event.id, source=event.source)


def _data(event: _Event) -> dict[str, Any]:
    data = event.data
    if type(data) is not dict:
        data = {} if data is None else {"value": data}
    if event.data_base64 is not None:
        data = {"base64": event.data_base64, **data}
    return data


def is_too_deep(data: dict[str, Any]) -> bool:
    """Whether the data are nested deeper than anything that means something."""
    return _is_nested(data) and _depth_exceeds(data, MAX_DEPTH)


def _is_nested(data: dict[str, Any]) -> bool:
    return any(type(value) is dict or type(value) is list for value in data.values())


def _depth_exceeds(value: Any, limit: int) -> bool:
    level = [value]
    for _ in range(limit):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return False
    return True


def _inside(value: Any) -> Iterable[Any]:
    inner = value.values() if type(value) is dict else value
    return [v for v in inner if type(v) is dict or type(v) is list]


_NO_FLAGS: tuple[str, ...] = ()
_CLOCK_WRONG: tuple[str, ...] = (Flag.CLOCK_WRONG.value,)


def _read_time(said: Any, received: Instant) -> tuple[Instant | None, tuple[str, ...]]:
    if said is None:
        return None, _NO_FLAGS
    try:
        at = from_datetime(datetime.fromisoformat(said))
    except (TypeError, ValueError, OverflowError):
        return None, _CLOCK_WRONG
    return at, _NO_FLAGS if -DAY <= at - received <= DAY else _CLOCK_WRONG


def read_subject(said: Any) -> str | None:
    """``"person:E1"`` as it stands, a bare ``"D1"`` as ``"device:D1"``; control characters replaced."""
    if said is None or said == "":
        return None
    subject = said if isinstance(said, str) else _encode(said).decode()
    subject = _CONTROL.sub("\ufffd", subject)[:MAX_SUBJECT]
    return subject if _REFERENCE.fullmatch(subject) else f"device:{subject}"


def _named(item: Malformed) -> Malformed:
    """With the id and source the sender gave, where they can be read, so that it finds its own event."""
    try:
        said = _decode_any(item.raw)
    except _UNREADABLE:
        return item
    if not isinstance(said, dict):
        return item
    names = {name: str(said[name])[:MAX_SOURCE] for name in ("id", "source") if name in said}
    return msgspec.structs.replace(item, **names)


def _field(error: Exception) -> str:
    match = _FIELD.search(str(error))
    return next(filter(None, match.groups()), "") if match else ""


def _say(error: Exception) -> Text:
    if isinstance(error, RecursionError):
        return TOO_DEEP
    if isinstance(error, UnicodeDecodeError):
        return Text(zh="不是有效的 UTF-8", en="is not valid UTF-8")
    what = str(error)[:200]
    if isinstance(error, msgspec.ValidationError):
        return Text(zh=f"不符合 CloudEvents 1.0：{what}", en=f"is not a CloudEvents 1.0 event: {what}")
    return Text(zh=f"不是有效的 JSON：{what}", en=f"is not valid JSON: {what}")


def encode(signal: Signal) -> dict[str, Any]:
    """A signal as the JSON object of a CloudEvent."""
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": signal.id,
        "source": signal.source,
        "type": signal.kind,
        "datacontenttype": JSON,
        "data": signal.data,
    }
    if signal.time is not None:
        event["time"] = format_instant(signal.time)
    if signal.subject is not None:
        event["subject"] = signal.subject
    return event


def encode_structured(signal: Signal) -> bytes:
    """The body of a structured message."""
    return _encode(encode(signal))


def encode_batch(signals: Sequence[Signal]) -> bytes:
    """The body of a batch."""
    return _encode([encode(signal) for signal in signals])


def encode_lines(signals: Sequence[Signal]) -> bytes:
    """One event a line."""
    return b"".join(_encode(encode(signal)) + b"\n" for signal in signals)


_HEADER_SAFE = "".join(chr(c) for c in range(0x21, 0x7F) if chr(c) not in '"%')


def encode_binary(signal: Signal) -> tuple[dict[str, str], bytes]:
    """Headers and body of a binary message; what a header cannot carry is percent-encoded."""
    event = encode(signal)
    body = _encode(event.pop("data"))
    kind = event.pop("datacontenttype")
    headers = {f"ce-{name}": quote(value, safe=_HEADER_SAFE) for name, value in event.items()}
    return {"content-type": kind, **headers}, body
