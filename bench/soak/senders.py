"""Those who send: gateways over HTTP, devices over MQTT, and people who press and people who answer."""

from __future__ import annotations

import heapq
import http.client
import json
import random
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import count

from bench.race.doors import HOST, Door, MqttDoor, PostDoor, Request, cloud_events
from bench.race.hexi import SECRET, TOKEN, identity
from bench.race.judge import SECOND, Judge
from bench.race.mqtt import Link, publish_packet
from bench.soak.district import Quiet
from bench.soak.ledger import Account

from hexi.protocols.standard_webhooks import read_key, sign

BATCH = 200
"""Signals in one request of a gateway."""

_HEADERS = {"content-type": "application/cloudevents-batch+json", "authorization": f"Bearer {TOKEN}"}


class Worker(threading.Thread, ABC):
    """A thread that goes on until told to end; what breaks it is kept."""

    def __init__(self, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self.ending = threading.Event()
        self.error: BaseException | None = None

    def run(self) -> None:
        """Work, and remember what went wrong."""
        try:
            self.work()
        except BaseException as error:  # noqa: BLE001 -- told at the end, it fails the soak
            self.error = error

    @abstractmethod
    def work(self) -> None:
        """What the thread is for."""

    def end(self) -> None:
        """Finish what is under way."""
        self.ending.set()
        self.join(120)


class Gateway(Worker):
    """Sends the district's quiet signals in batches and keeps a batch until it is acknowledged."""

    def __init__(self, name: str, port: int, mix: Sequence[Quiet], rate: float, account: Account) -> None:
        super().__init__(name)
        self._door = PostDoor(port, self._request)
        self._mix = mix
        self._every = BATCH / rate
        self._account = account
        self.held = threading.Event()
        self.waits: deque[tuple[float, float]] = deque(maxlen=100_000)
        """When a batch was answered, and after how many seconds."""

    def work(self) -> None:
        """At its rate; what could not be sent in time follows as fast as it is taken."""
        at = time.monotonic()
        while not self.ending.is_set():
            if time.monotonic() >= at and not self.held.is_set():
                self._send()
                at += self._every
            else:
                time.sleep(0.01)
        self._door.close()

    def _send(self) -> None:
        start = self._account.sent
        self._account.sent += BATCH
        began = time.monotonic()
        if not self._door.deliver(self._request("", [str(start)])):
            raise TimeoutError(f"{self.name}: a batch was refused for a minute")
        self._account.acknowledged(start, BATCH)
        self.waits.append((time.monotonic(), time.monotonic() - began))

    def _request(self, _: str, ids: Sequence[str]) -> Request:
        start = int(ids[0])
        mix, size = self._mix, len(self._mix)
        events = [mix[n % size].event(f"{self.name}-{n}") for n in range(start, start + BATCH)]
        return "/api/v1/signals", b"[" + b",".join(events) + b"]", _HEADERS


class Devices(Worker):
    """Devices with a connection of their own to the broker, one message each."""

    def __init__(self, name: str, port: int, mix: Sequence[Quiet], rate: float, account: Account) -> None:
        super().__init__(name)
        self._link = Link(HOST, port, name, self._told)
        self._mix = mix
        self._size = max(1, round(rate / 20))
        self._account = account

    def work(self) -> None:
        """Twenty handfuls a second."""
        at = time.monotonic()
        while not self.ending.is_set():
            numbers = range(self._account.sent, self._account.sent + self._size)
            self._account.sent += self._size
            self._link.publish([self._packet(n) for n in numbers], [str(n) for n in numbers])
            at = max(at + 0.05, time.monotonic() - 5.0)
            time.sleep(max(0.0, at - time.monotonic()))
        self._link.settle(60)
        self._link.close()

    def _packet(self, number: int) -> bytes:
        device = self._mix[number % len(self._mix)].device
        body = {"id": f"{self.name}-{number}", "device": device, "battery": 80, "rssi": -70}
        return publish_packet("race/quiet", json.dumps(body).encode())

    def _told(self, name: str) -> None:
        self._account.acknowledged(int(name))


class Alarms(Worker):
    """Somebody presses; every second alarm comes over MQTT. Each caller calls once."""

    def __init__(self, doors: Sequence[Door], rate: float, chance: random.Random) -> None:
        super().__init__("alarms")
        self._doors = doors
        self._rate = rate
        self._random = chance
        self._numbers = count()

    def work(self) -> None:
        """At moments that nobody knows beforehand."""
        while not self.ending.wait(self._random.expovariate(self._rate)):
            number = next(self._numbers)
            self._doors[number % len(self._doors)].offer("watched", [identity(number)])
        for door in self._doors:
            door.settle(60)

    def sent(self) -> dict[str, float]:
        """Whoever called, and when."""
        return {name: at for door in self._doors for name, at in list(door.sent.items())}

    def taken(self) -> set[str]:
        """Whose call was acknowledged."""
        return {name for door in self._doors for name in list(door.taken)}


class People(Worker):
    """Those who are called: nine in ten answer after a while, and close the case when they are done."""

    def __init__(self, port: int, judge: Judge, chance: random.Random, hurry: float) -> None:
        """``hurry`` divides how long they take."""
        super().__init__("people")
        self._port = port
        self._judge = judge
        self._random = chance
        self._hurry = hurry
        self._key = read_key(SECRET)
        self._agenda: list[tuple[float, str, str]] = []
        self._met = 0
        self.answered: set[str] = set()
        self.silent: set[str] = set()
        self.closed = 0
        self.refused = 0

    def work(self) -> None:
        """Look at the telephone twice a second."""
        while not self.ending.wait(0.5):
            self._look()
            for name, verb, target in self._due():
                self._act(name, verb, target)

    def _look(self) -> None:
        for arrival in self._judge.since(self._met):
            self._met += 1
            name = arrival.id.removesuffix(SECOND)
            if name in self.answered or name in self.silent or arrival.id.endswith(SECOND):
                continue
            if self._random.random() < 0.1:
                self.silent.add(name)
            else:
                self.answered.add(name)
                self._later(3.0, 20.0, name, f"reply {arrival.key}")

    def _later(self, least: float, most: float, name: str, what: str) -> None:
        wait = self._random.uniform(least, most) / self._hurry
        heapq.heappush(self._agenda, (time.monotonic() + wait, name, what))

    def _due(self) -> Iterator[tuple[str, str, str]]:
        while self._agenda and self._agenda[0][0] <= time.monotonic():
            _, name, what = heapq.heappop(self._agenda)
            verb, _, target = what.partition(" ")
            yield name, verb, target

    def _act(self, name: str, verb: str, target: str) -> None:
        """What cannot be sent now is sent a little later."""
        try:
            status, answer = self._reply(target) if verb == "reply" else self._post(target)
        except (OSError, http.client.HTTPException):
            self._later(1.0, 2.0, name, f"{verb} {target}")
            return
        if status >= 500:
            self._later(1.0, 2.0, name, f"{verb} {target}")
        elif status >= 400:
            self.refused += 1
        elif verb == "reply":
            self._later(20.0, 60.0, name, f"act {answer['case']}")
        else:
            self.closed += 1

    def _reply(self, notice: str) -> tuple[int, dict[str, str]]:
        body = json.dumps({"notice_id": notice, "reply": "1"}).encode()
        headers = sign(self._key, f"reply-{notice}", time.time_ns() // 1_000_000, body)
        return self._request("/api/v1/replies", body, {"content-type": "application/json", **headers})

    def _post(self, case: str) -> tuple[int, dict[str, str]]:
        headers = {"content-type": "application/json", "authorization": f"Bearer {TOKEN}"}
        address = f"/api/v1/cases/{case}/acts"
        for act in ("arrived", "handled", "closed"):
            status, answer = self._request(
                address, json.dumps({"act": act, "id": f"{case}-{act}", "outcome": "fine"}).encode(), headers
            )
            if status >= 400:
                break
        return status, answer

    def _request(self, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, str]]:
        connection = http.client.HTTPConnection(HOST, self._port, timeout=20)
        try:
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read() or b"{}")
        finally:
            connection.close()


def doors(hexi_port: int, broker_port: int) -> tuple[Door, Door]:
    """By which alarms come in."""
    return PostDoor(hexi_port, cloud_events(TOKEN)), MqttDoor(broker_port, "alarms")
