"""``[mqtt.<link>]``: a broker, and how what its devices say becomes signals.

Texts of a mapping may hold names in braces: ``{device}`` is the part of the topic that the template names
so, ``{data.alarm.code}`` a value of the payload, ``{item.seq}`` one of the element that ``each`` is at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from hexi.kernel.clock import DAY
from hexi.settings.base import Count, Port, Span, Table, read_secret
from hexi.settings.shape import did_you_mean

PAYLOAD, ITEM = "data", "item"
"""First words of a path into the payload, and into one element of it."""


class Topic(Table, frozen=True):
    """One kind of topic on a broker, and what its messages mean."""

    template: Annotated[
        str, Meta(min_length=1, description='The topic with named parts, such as "hexi/{type}/{device}/up".')
    ]
    format: Annotated[
        Literal["json", "cloudevents", "text"],
        Meta(description="json: mapped by the keys below; cloudevents: a whole signal; text: a bare value."),
    ] = "json"
    kind: Annotated[
        str | None, Meta(description='Kind of the signal: "radar.fall", or made of names: "{data.event}".')
    ] = None
    kinds: Annotated[
        dict[str, str],
        Meta(
            description='The kind by what the device calls it: {"1"="radar.fall"}; "*" stands for all others.'
        ),
    ] = {}  # noqa: RUF012 -- msgspec copies it
    id: Annotated[
        str | None,
        Meta(description='Identity of the message, such as "{data.seq}"; left out: made of its content.'),
    ] = None
    time: Annotated[
        str | None, Meta(description='Where the device tells its time, such as "data.ts"; a path, no braces.')
    ] = None
    time_unit: Annotated[
        Literal["s", "ms", "iso"], Meta(description="How it tells it: seconds or milliseconds UTC, or text.")
    ] = "iso"
    subject: Annotated[
        str | None, Meta(description='Who it is about; left out: "device:{device}" when the topic names one.')
    ] = None
    each: Annotated[
        str | None, Meta(description='A list in the payload, such as "data.readings": a signal of each.')
    ] = None
    data: Annotated[
        dict[str, str],
        Meta(description='What is kept, by name: {pulse="data.vitals.hr"}; left out: everything.'),
    ] = {}  # noqa: RUF012
    sources: Annotated[
        tuple[str, ...],
        Meta(
            description="Beginnings of source that a CloudEvent may keep; any other gets mqtt:<link>/ first."
        ),
    ] = ()
    urgent: Annotated[
        bool, Meta(description="Cries for help: a connection of their own, never behind other messages.")
    ] = False
    status: Annotated[
        bool, Meta(description="Says whether the device is connected: its own word, and its last will.")
    ] = False
    online: Annotated[tuple[str, ...], Meta(description="Payloads that say it is connected.")] = ("online",)
    offline: Annotated[tuple[str, ...], Meta(description="Payloads that say it is not.")] = ("offline",)


class MqttLink(Table, frozen=True):
    """A broker that devices send to."""

    host: Annotated[str, Meta(min_length=1, description="The broker's name or address.")]
    port: Annotated[Port | None, Meta(description="Its port; left out: 8883 with TLS, else 1883.")] = None
    version: Annotated[Literal["5", "3.1.1"], Meta(description="Version of MQTT.")] = "5"
    client_id: Annotated[
        str | None,
        Meta(description="Our name at the broker, under which it keeps our session; else hexi-<link>."),
    ] = None
    user: Annotated[str | None, Meta(description="Who we are to the broker.")] = None
    password_file: Annotated[Path | None, Meta(description="File that holds the password.")] = None
    tls: Annotated[bool, Meta(description="Speak TLS and check the broker's certificate and name.")] = False
    ca: Annotated[Path | None, Meta(description="PEM authorities to trust instead of the machine's own.")] = (
        None
    )
    cert: Annotated[Path | None, Meta(description="PEM certificate with which we show who we are.")] = None
    key: Annotated[Path | None, Meta(description="PEM private key of cert.")] = None
    keep_alive: Annotated[
        Span, Meta(description="After so long without a word we ask; after 1.5 times the line is dead.")
    ] = Span(30_000)
    session: Annotated[
        Span, Meta(description="How long the broker keeps messages for us while we are away (version 5).")
    ] = Span(7 * DAY)
    window: Annotated[
        Annotated[int, Meta(ge=1, le=65_535)],
        Meta(description="Messages in flight and not yet acknowledged; more the broker keeps."),
    ] = 2_000
    message: Annotated[
        Count, Meta(description="Bytes of one message; a longer one goes to quarantine, cut to this.")
    ] = 256 * 1024
    grace: Annotated[
        Span, Meta(description="How long the broker may be out of reach before that is a case.")
    ] = Span(20_000)
    state_topic: Annotated[
        str | None,
        Meta(description='Where we tell that we are there (and our last will that we are not); "": nowhere.'),
    ] = None
    topics: Annotated[tuple[Topic, ...], Meta(description="What to listen to; one [[...topics]] each.")] = ()

    @property
    def where(self) -> tuple[str, int]:
        """Host and port."""
        return self.host, self.port or (8883 if self.tls else 1883)

    def password(self) -> str | None:
        """The password; SettingsError when its file cannot be read."""
        return read_secret(self.password_file) if self.password_file else None


LEVEL = re.compile(r"\{([a-z_][a-z0-9_]*)\}")
NAME = re.compile(r"\{([^{}]*)\}")


def parts_of(template: str) -> list[str]:
    """The names of a topic's parts, in order."""
    return LEVEL.findall(template)


def mqtt_faults(links: Mapping[str, MqttLink]) -> Iterator[str]:
    """What is wrong with links whose keys are each right by themselves."""
    for name, link in links.items():
        at = f"mqtt.{name}"
        if not re.fullmatch(r"[a-z][a-z0-9_-]{0,40}", name):
            yield f"{at}: a link's name is made of a-z, 0-9, - and _, and starts with a letter"
        yield from (f"{at}: {line}" for line in _link_faults(link))
        for number, topic in enumerate(link.topics, 1):
            yield from (f"{at}.topics[{number}]: {line}" for line in _topic_faults(topic))


def _link_faults(link: MqttLink) -> Iterator[str]:
    if (link.cert is None) != (link.key is None):
        yield "cert and key belong together; give both or neither"
    if (link.ca or link.cert) and not link.tls:
        yield "ca and cert are for tls = true"
    if link.password_file and link.user is None:
        yield "password_file needs a user"
    if not link.topics:
        yield "topics is missing: nothing would be listened to; add [[mqtt.<link>.topics]]"
    templates = [topic.template for topic in link.topics]
    for template in sorted({t for t in templates if templates.count(t) > 1}):
        yield f'the template "{template}" is given twice; the first would win'


def _topic_faults(topic: Topic) -> Iterator[str]:
    yield from _template_faults(topic.template)
    if topic.status:
        yield from _status_faults(topic)
    elif topic.format == "cloudevents":
        yield from _cloudevents_faults(topic)
    else:
        yield from _mapping_faults(topic)


def _template_faults(template: str) -> Iterator[str]:
    levels = template.split("/")
    for level in levels:
        plain = LEVEL.fullmatch(level) or level == "+" or not set(level) & set("{}+#")
        if not plain and (level != "#" or level is not levels[-1]):
            yield f'template: a level is a text, "{{name}}", "+", or "#" at the end; got "{level}"'
    parts = parts_of(template)
    for name in sorted({p for p in parts if parts.count(p) > 1}):
        yield f"template: {{{name}}} is there twice"
    for name in sorted({PAYLOAD, ITEM} & set(parts)):
        yield f"template: {{{name}}} means the payload; give the part another name"


def _status_faults(topic: Topic) -> Iterator[str]:
    if topic.subject is None and "device" not in parts_of(topic.template):
        yield "status needs {device} in the template, or subject"
    both = sorted(set(topic.online) & set(topic.offline))
    if both:
        yield f'online and offline both have "{both[0]}"'
    yield from _text_faults(topic, "subject", topic.subject)


_OF_JSON = ("kind", "kinds", "id", "time", "subject", "each", "data")


def _cloudevents_faults(topic: Topic) -> Iterator[str]:
    given = [name for name in _OF_JSON if getattr(topic, name)]
    if given:
        yield f'{given[0]}: a CloudEvent says this itself; leave it out, or use format = "json"'


def _mapping_faults(topic: Topic) -> Iterator[str]:
    if topic.kind is None:
        yield 'kind is missing; expected a kind such as "radar.fall", or names: "{data.event}"'
    if topic.sources:
        yield 'sources: only a CloudEvent names its source; use format = "cloudevents"'
    if topic.each is not None:
        yield from _path_faults("each", topic.each, (PAYLOAD,))
    for name in ("kind", "id", "subject"):
        yield from _text_faults(topic, name, getattr(topic, name))
    into = _paths(topic)
    if topic.time is not None:
        yield from _path_faults("time", topic.time, into)
    for name, path in topic.data.items():
        yield from _path_faults(f"data.{name}", path, (*into, *parts_of(topic.template)))


def _paths(topic: Topic) -> tuple[str, ...]:
    return (PAYLOAD, ITEM) if topic.each else (PAYLOAD,)


def _text_faults(topic: Topic, key: str, text: str | None) -> Iterator[str]:
    """Names in braces that are neither parts of the topic nor paths."""
    if text is None:
        return
    known = (*parts_of(topic.template), *_paths(topic))
    if NAME.sub("", text).count("{") + NAME.sub("", text).count("}"):
        yield f"{key}: a brace is not closed in {text!r}"
    for name in NAME.findall(text):
        yield from _path_faults(key, name, known, shown=f"{{{name}}}")


def _path_faults(key: str, path: str, known: tuple[str, ...], shown: str = "") -> Iterator[str]:
    head, dot, rest = path.partition(".")
    if head in {PAYLOAD, ITEM} and head in known:
        if dot and not all(rest.split(".")):
            yield f'{key}: "{path}" has an empty name between its points'
    elif head not in known or dot:
        hint = did_you_mean(head, known)
        yield f'{key}: "{shown or path}" leads nowhere{hint}'
