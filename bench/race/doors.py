"""How signals get to a contestant, and what the sender was promised.

A door keeps for each id when it was sent and when the far side took it; what was not taken is sent again,
as a gateway does. Only what was taken can be lost.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from typing import Protocol

from bench.race.mqtt import Link, publish_packet

SIZE = 177
"""Bytes of a message's body, that of the earlier race."""

HOST = "127.0.0.1"
BEAT = "beat"


def body_of(identity: str, kind: str, number: int) -> bytes:
    """A small reading of a device: the same bytes for every contestant."""
    head = (
        f'{{"id":"{identity}-{number}","device":"{identity}","kind":"{kind}","battery":80,"rssi":-70,"note":"'
    )
    return (head + "x" * (SIZE - len(head) - 2) + '"}').encode()


class Door(Protocol):
    """Where signals go in."""

    sent: dict[str, float]
    taken: dict[str, float]

    def offer(self, kind: str, ids: Sequence[str]) -> None:
        """Send one signal of a kind for each id; ``sent`` and ``taken`` are kept for them."""
        ...

    def pour(self, kind: str, ids: Sequence[str]) -> None:
        """Send signals that nobody will ask about again."""
        ...

    def settle(self, limit: float) -> bool:
        """Wait until everything sent has been taken."""
        ...

    def close(self) -> None:
        """Let go."""
        ...


FarDoor = Callable[[], Door]
"""Opens a door in another process."""


class MqttDoor:
    """QoS 1 by a sender that keeps what has no acknowledgement; topics ``race/<kind>[/<device>]``."""

    def __init__(self, port: int, name: str = "gateway") -> None:
        self.sent: dict[str, float] = {}
        self.taken: dict[str, float] = {}
        self._numbers = count(1)
        self._link = Link(HOST, port, name, self._acknowledged)

    def offer(self, kind: str, ids: Sequence[str]) -> None:
        """Send one signal for each id."""
        packets = [self._packet(kind, identity) for identity in ids]
        now = time.monotonic()
        self.sent |= dict.fromkeys(ids, now)
        self._link.publish(packets, ids)

    def pour(self, kind: str, ids: Sequence[str]) -> None:
        """Send signals of which only the number counts."""
        self._link.publish([self._packet(kind, identity) for identity in ids], [""] * len(ids))

    def settle(self, limit: float) -> bool:
        """Whether the broker has acknowledged all of it in time."""
        return self._link.settle(limit)

    def close(self) -> None:
        """Disconnect."""
        self._link.close()

    def _packet(self, kind: str, identity: str) -> bytes:
        topic = f"race/{kind}/{identity}" if kind == BEAT else f"race/{kind}"
        return publish_packet(topic, body_of(identity, kind, next(self._numbers)))

    def _acknowledged(self, identity: str) -> None:
        if identity:
            self.taken.setdefault(identity, time.monotonic())


Request = tuple[str, bytes, dict[str, str]]
"""Path, body and headers of a POST."""


class PostDoor:
    """Requests one after the other on one connection, each repeated until it is answered with 2xx."""

    def __init__(
        self, port: int, request: Callable[[str, Sequence[str]], Request], at_once: int = 500
    ) -> None:
        self.sent: dict[str, float] = {}
        self.taken: dict[str, float] = {}
        self._port = port
        self._request = request
        self._at_once = at_once
        self._stopped = threading.Event()
        self._connection: http.client.HTTPConnection | None = None

    def offer(self, kind: str, ids: Sequence[str]) -> None:
        """Send one signal for each id; returns when all are taken."""
        for part in _parts(ids, self._at_once):
            request = self._request(kind, part)
            now = time.monotonic()
            for identity in part:
                self.sent.setdefault(identity, now)
            if self.deliver(request):
                self.taken |= dict.fromkeys(part, time.monotonic())

    def pour(self, kind: str, ids: Sequence[str]) -> None:
        """Send signals of which only the number counts."""
        for part in _parts(ids, self._at_once):
            self.deliver(self._request(kind, part))

    def settle(self, limit: float) -> bool:  # noqa: ARG002
        """Everything was waited for as it was sent."""
        return len(self.taken) == len(self.sent)

    def close(self) -> None:
        """Give up whatever is still tried."""
        self._stopped.set()
        if self._connection:
            self._connection.close()

    def deliver(self, request: Request) -> bool:
        """Send until it is taken; False after a minute."""
        until = time.monotonic() + 60
        while not self._stopped.is_set() and time.monotonic() < until:
            if self._post(request):
                return True
            self._stopped.wait(0.05)
        return False

    def _post(self, request: Request) -> bool:
        path, body, headers = request
        connection = self._connection or http.client.HTTPConnection(HOST, self._port, timeout=30)
        try:
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            self._connection = None
            connection.close()
            return False
        self._connection = connection
        return 200 <= answer.status < 300


def _parts(ids: Sequence[str], size: int) -> Iterable[Sequence[str]]:
    for start in range(0, len(ids), size):
        yield ids[start : start + size]


def cloud_events(token: str) -> Callable[[str, Sequence[str]], Request]:
    """hexi's door for gateways: a batch of CloudEvents."""
    headers = {"content-type": "application/cloudevents-batch+json", "authorization": f"Bearer {token}"}
    numbers = count(1)
    run = time.monotonic_ns()

    def request(kind: str, ids: Sequence[str]) -> Request:
        events = [_event(kind, identity, f"{run}-{next(numbers)}") for identity in ids]
        return "/api/v1/signals", b"[" + b",".join(events) + b"]", headers

    return request


def _event(kind: str, identity: str, number: str) -> bytes:
    """The body is the same; what MQTT says by its topic stands around it."""
    subject = "person" if kind in PRESSED else "device"
    head = {"specversion": "1.0", "id": number, "source": "race", "type": KINDS.get(kind, kind)}
    head["subject"] = f"{subject}:{identity}"
    return json.dumps(head).encode()[:-1] + b',"data":' + body_of(identity, kind, 0) + b"}"


PRESSED = frozenset({"alarm", "watched", "mark"})
"""What a person sends; the rest comes from devices."""

KINDS = {
    "alarm": "race.alarm",
    "watched": "race.watched",
    "mark": "race.mark",
    "quiet": "race.quiet",
    BEAT: "device.heartbeat",
}
"""What hexi calls the kinds of signal of the race."""


def alerts(url_path: str = "/api/v2/alerts") -> Callable[[str, Sequence[str]], Request]:
    """Alertmanager's door: alerts that fire."""

    def request(kind: str, ids: Sequence[str]) -> Request:
        found = [{"labels": {"alertname": kind, "device": identity}} for identity in ids]
        return url_path, json.dumps(found).encode(), {"content-type": "application/json"}

    return request
