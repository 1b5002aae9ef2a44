"""What the messages of a link mean: topic and payload to signals, by the link's settings."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from hashlib import blake2b
from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec

from hexi.connectors.mqtt.paths import MISSING, Said, UnreadableError, compile_path, compile_text
from hexi.kernel.clock import DAY, HOUR, Instant, parse_instant
from hexi.kernel.signal import ACT_PREFIX, TECH_PREFIX, Flag, Signal
from hexi.protocols import cloudevents
from hexi.protocols.cloudevents import Item, Malformed, UndecodableError, read_subject
from hexi.protocols.mqtt import Publish
from hexi.settings.mqtt import LEVEL, MqttLink, Topic

OFFLINE, ONLINE = "device.offline", "device.online"
REMEMBERED = 100_000
"""Topics whose meaning is kept ready."""

_decode = msgspec.json.Decoder().decode
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Arrival(NamedTuple):
    """When a message came, and in which session of ours at the broker."""

    received: Instant
    session: str


class Route(NamedTuple):
    """What a topic alone says: its rule, its named parts, and the source and subject that follow."""

    rule: _Rule
    parts: Mapping[str, str]
    source: str
    subject: str | None


class Mapper:
    """The meaning of every topic of one link."""

    def __init__(self, name: str, link: MqttLink) -> None:
        self.name = f"mqtt:{name}"
        self.limit = link.message
        self._rules = [_Rule(topic) for topic in link.topics]
        self._routes: dict[str, Route | None] = {}

    def filters(self, *, urgent: bool) -> list[str]:
        """What to subscribe to, on the connection for cries or on the other."""
        return [rule.filter for rule in self._rules if rule.topic.urgent is urgent]

    def read(self, message: Publish, arrival: Arrival) -> list[Signal]:
        """The signals that a message means; UnreadableError says why it means none."""
        route = self._routes.get(message.topic)
        if route is None:
            route = self._route(message.topic)
        if message.size > self.limit:
            raise UnreadableError(f"报文有 {message.size} 字节，太长", f"{message.size} bytes are too long")
        return route.rule.read(route, message, arrival)

    def _route(self, topic: str) -> Route:
        for rule in self._rules:
            match = rule.pattern.fullmatch(topic)
            if match:
                route = self._made(rule, topic, match.groupdict())
                if len(self._routes) >= REMEMBERED:
                    self._routes.clear()
                self._routes[topic] = route
                return route
        raise UnreadableError(f"没有哪个模板对应主题 {topic}", f"no template is for the topic {topic}")

    def _made(self, rule: _Rule, topic: str, parts: dict[str, str]) -> Route:
        device = parts.get("device")
        source = f"{self.name}/{device or topic}"
        return Route(rule, parts, _named(source, "source", cloudevents.MAX_SOURCE), read_subject(device))


class _Rule:
    """One ``[[topics]]`` table, made ready."""

    def __init__(self, topic: Topic) -> None:
        self.topic = topic
        levels = topic.template.split("/")
        self.filter = "/".join("+" if LEVEL.fullmatch(level) else level for level in levels)
        self.pattern = re.compile(_pattern(levels), re.DOTALL)
        self.read: Callable[[Route, Publish, Arrival], list[Signal]]
        if topic.status:
            self.read = _Status(topic).read
        elif topic.format == "cloudevents":
            self.read = _CloudEvents(topic).read
        else:
            self.read = _Mapped(topic).read


def _pattern(levels: list[str]) -> str:
    """The template as a regular expression; "#" also stands for nothing (4.7.1.2)."""
    said = ""
    for number, level in enumerate(levels):
        slash = "/" if number else ""
        named = LEVEL.fullmatch(level)
        if level == "#":
            said += "(?:/.*)?" if number else ".*"
        elif named:
            said += f"{slash}(?P<{named[1]}>[^/]+)"
        else:
            said += slash + ("[^/]*" if level == "+" else re.escape(level))
    return said


def _whole(parts: Iterable[Callable[[], Signal]]) -> list[Signal]:
    """All signals of one message; when one cannot be read the others are handed over with the fault."""
    signals: list[Signal] = []
    fault: UnreadableError | None = None
    for read in parts:
        try:
            signals.append(read())
        except UnreadableError as error:
            fault = fault or error
    if fault:
        raise UnreadableError(fault.reason.zh, fault.reason.en, signals)
    return signals


class _Mapped:
    """A payload of the device's own, JSON or a bare text."""

    def __init__(self, topic: Topic) -> None:
        self._is_text = topic.format == "text"
        self._kind = compile_text(topic.kind or "", "kind")
        self._kinds = topic.kinds
        self._id = compile_text(topic.id, "id") if topic.id else None
        self._id_of_item = bool(topic.id and "{item" in topic.id)
        self._time = compile_path(topic.time) if topic.time else None
        self._unit = topic.time_unit
        self._subject = compile_text(topic.subject, "subject") if topic.subject else None
        self._each = compile_path(topic.each) if topic.each else None
        self._data = [(name, compile_path(path)) for name, path in topic.data.items()]

    def read(self, route: Route, message: Publish, arrival: Arrival) -> list[Signal]:
        payload = self._payload(message.payload)
        if self._each is None:
            return [self._signal(route, message, arrival, Said(route.parts, payload), "")]
        items = self._each(Said(route.parts, payload))
        if type(items) is not list:
            raise UnreadableError("each：报文里没有这个列表", "each: there is no such list in the message")
        said = ((Said(route.parts, payload, item), f"/{number}") for number, item in enumerate(items))
        return _whole(partial(self._signal, route, message, arrival, *one) for one in said)

    def _payload(self, payload: bytes) -> Any:
        try:
            return payload.decode().strip() if self._is_text else _decode(payload)
        except _UNREADABLE as error:
            what = str(error)[:200]
            raise UnreadableError(f"无法解读：{what}", f"cannot be read: {what}") from error

    def _signal(self, route: Route, message: Publish, arrival: Arrival, said: Said, place: str) -> Signal:
        time, flags = self._time_of(said, arrival.received) if self._time else (None, ())
        subject = read_subject(self._subject(said)) if self._subject else route.subject
        if self._id:
            identity = self._id(said) + ("" if self._id_of_item else place)
        else:
            identity = derived_id(message, arrival, timed=time is not None) + place
        return Signal(
            id=_named(identity, "id", cloudevents.MAX_ID),
            source=route.source,
            kind=_kind(self._kind_of(said)),
            received=arrival.received,
            time=time,
            subject=subject,
            data=self._data_of(said),
            flags=flags,
        )

    def _kind_of(self, said: Said) -> str:
        kind = self._kind(said)
        return self._kinds.get(kind) or self._kinds.get("*") or kind if self._kinds else kind

    def _time_of(self, said: Said, received: Instant) -> tuple[Instant | None, tuple[str, ...]]:
        """The device's clock; one that lies or cannot be read is flagged and never a reason to refuse."""
        assert self._time is not None
        at = _instant(self._time(said), self._unit)
        if at is None or not -DAY <= at - received <= DAY:
            return at, (Flag.CLOCK_WRONG.value,)
        return at, ()

    def _data_of(self, said: Said) -> dict[str, Any]:
        if self._data:
            found = ((name, look(said)) for name, look in self._data)
            data = {name: value for name, value in found if value is not MISSING}
        else:
            whole = said.item if self._each else said.payload
            data = whole if type(whole) is dict else {"value": whole}
        if cloudevents.is_too_deep(data):
            raise UnreadableError(cloudevents.TOO_DEEP.zh, cloudevents.TOO_DEEP.en)
        return data


def _instant(said: Any, unit: str) -> Instant | None:
    try:
        if unit == "iso":
            return parse_instant(said)
        at = round(float(said) * (1000 if unit == "s" else 1))
    except (TypeError, ValueError, OverflowError):
        return None
    return at if 0 <= at < 1 << 48 else None


class _CloudEvents:
    """A whole signal as a CloudEvent: structured, a batch, or binary in the user properties of MQTT 5."""

    def __init__(self, topic: Topic) -> None:
        self._sources = topic.sources

    def read(self, route: Route, message: Publish, arrival: Arrival) -> list[Signal]:
        try:
            items = _events(message, arrival.received)
        except (UndecodableError, cloudevents.TooManyEventsError) as error:
            reason = getattr(error, "reason", None)
            zh, en = (reason.zh, reason.en) if reason else ("一次太多条", "too many events at once")
            raise UnreadableError(zh, en) from error
        prefix = route.source.partition("/")[0]
        return _whole(partial(self._own, item, prefix) for item in items)

    def _own(self, item: Item, prefix: str) -> Signal:
        """A signal under a source of this link, so that one link cannot speak for another."""
        if isinstance(item, Malformed):
            raise UnreadableError(item.reason.zh, item.reason.en)
        _kind(item.kind)
        if self._sources and item.source.startswith(self._sources):
            return item
        source = _named(f"{prefix}/{item.source}", "source", cloudevents.MAX_SOURCE)
        return msgspec.structs.replace(item, source=source)


def _events(message: Publish, received: Instant) -> list[Item]:
    """After the MQTT binding of CloudEvents 1.0: the content type says how, else the payload shows it."""
    user = message.properties.get("user", {})
    kind = message.properties.get("content_type", "")
    if "specversion" in user and not kind.startswith("application/cloudevents"):
        headers = {f"ce-{name}": quote(value) for name, value in user.items()} | {"content-type": kind}
        return [cloudevents.decode_binary(headers, message.payload, received)]
    if message.payload.lstrip()[:1] == b"[":
        return cloudevents.decode_batch(message.payload, received)
    return [cloudevents.decode_structured(message.payload, received)]


class _Status:
    """Whether a device is connected: what it says itself, and what its last will says for it."""

    def __init__(self, topic: Topic) -> None:
        self._subject = compile_text(topic.subject, "subject") if topic.subject else None
        self._kinds = dict.fromkeys(topic.online, ONLINE) | dict.fromkeys(topic.offline, OFFLINE)

    def read(self, route: Route, message: Publish, arrival: Arrival) -> list[Signal]:
        if not message.payload:
            return []  # a retained message was cleared
        word = message.payload.decode("utf-8", "replace").strip().strip('"')
        if word not in self._kinds:
            known = ", ".join(self._kinds)
            raise UnreadableError(f"状态“{word}”不是 {known}", f'the state "{word}" is none of {known}')
        subject = read_subject(self._subject(Said(route.parts, word))) if self._subject else route.subject
        identity = derived_id(message, arrival, timed=False)
        if message.retain:  # old news in each new session, which may be news to us
            identity = f"{identity}/{arrival.session}"
        return [
            Signal(
                id=identity,
                source=route.source,
                kind=self._kinds[word],
                received=arrival.received,
                subject=subject,
                data={"state": word, "retained": message.retain},
            )
        ]


def derived_id(message: Publish, arrival: Arrival, *, timed: bool) -> str:
    """An identity for a message whose sender gives none, the same when it is delivered again.

    With the device's time in it the content is enough, and what the broker retains is the same message
    always. Else two equal contents may be two presses of one button: the session, the broker's number
    for the message and the hour tell them apart. Doubled is better than lost: cases fold.
    """
    content = blake2b(message.topic.encode() + b"\0" + message.payload, digest_size=12).hexdigest()
    if timed or message.retain:
        return content
    if not message.qos:
        return f"{content}-{arrival.received}"
    return f"{content}-{arrival.session}-{message.packet}-{arrival.received // HOUR}"


def _named(value: str, name: str, longest: int) -> str:
    if len(value) > longest:
        raise UnreadableError(f"{name} 超过 {longest} 字", f"{name} is longer than {longest} characters")
    if not value.isprintable():
        raise UnreadableError(f"{name} 含有控制字符", f"{name} contains a control character")
    return value


def _kind(kind: str) -> str:
    if kind.startswith(ACT_PREFIX):
        raise UnreadableError("处置动作不能经 MQTT 提交", "acts are not taken over MQTT")
    if kind.startswith(TECH_PREFIX):
        raise UnreadableError(
            "平台自身的技术信号不能经 MQTT 提交", "the platform's own troubles are not taken over MQTT"
        )
    return _named(kind, "kind", cloudevents.MAX_KIND)


# ---- What cannot be read, kept so that it can be read later

QUARANTINED = "application/vnd.hexi.mqtt"
"""Content type of a message in quarantine: a line of JSON about it, then the payload as it came."""


class _Kept(msgspec.Struct):
    topic: str
    content_type: str = ""
    user: dict[str, str] = {}
    received: Instant = 0


def keep_message(message: Publish, received: Instant) -> bytes:
    """A message with its topic and the properties that matter."""
    user = dict(message.properties.get("user", {}))
    kept = _Kept(message.topic, message.properties.get("content_type", ""), user, received)
    return msgspec.json.encode(kept) + b"\n" + message.payload


def parse_kept(raw: bytes, payload: bytes | None = None) -> tuple[Publish, Arrival]:
    """What ``keep_message`` put together; with a corrected payload in place of its own."""
    head, _, body = raw.partition(b"\n")
    kept = msgspec.json.decode(head, type=_Kept)
    properties = {"content_type": kept.content_type, "user": kept.user}
    body = body if payload is None else payload
    message = Publish(kept.topic, body, qos=1, properties=properties, size=len(body))
    return message, Arrival(kept.received, "quarantine")
