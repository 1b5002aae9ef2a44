"""The bare limits of this machine, in the same run: what nothing built on it can beat."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
import time
from pathlib import Path

import paho.mqtt.client as paho
from bench._report import percentile
from bench.race.broker import Broker
from bench.race.doors import HOST, MqttDoor, body_of
from bench.race.heats import Figures
from paho.mqtt.enums import CallbackAPIVersion

LINE = body_of("RACE-000000", "quiet", 1) + b"\n"


def append(rows: int, commits: int) -> Figures:
    """Appending so many messages and one fdatasync, again and again."""
    waits = []
    with tempfile.NamedTemporaryFile(prefix="hexi-race-") as file:
        block = LINE * rows
        for _ in range(commits):
            began = time.perf_counter()
            os.write(file.fileno(), block)
            os.fdatasync(file.fileno())
            waits.append(time.perf_counter() - began)
    return {
        "per s": rows * commits / sum(waits),
        "p50 ms": percentile(waits, 50) * 1000,
        "p99 ms": percentile(waits, 99) * 1000,
    }


def flush(commits: int = 200) -> Figures:
    """One message and one fdatasync: the disk's own answer."""
    return append(1, commits)


def count_bytes(messages: int) -> Figures:
    """A socket whose reader does nothing but count."""
    with socket.create_server((HOST, 0)) as server:
        sender = threading.Thread(target=_send, args=(server.getsockname()[1], messages))
        began = time.monotonic()
        sender.start()
        connection, _ = server.accept()
        left = messages * len(LINE)
        while left:
            left -= len(connection.recv(65_536))
        took = time.monotonic() - began
        connection.close()
        sender.join()
    return {"per s": messages / took}


def _send(port: int, messages: int) -> None:
    with socket.create_connection((HOST, port)) as connection:
        for _ in range(messages):
            connection.sendall(LINE)


class Loop:
    """paho 2 with manual acknowledgement: each message is acknowledged as soon as it was counted."""

    def __init__(self, port: int) -> None:
        self.count = 0
        self.done = threading.Event()
        self.wanted = 0
        self.ready = threading.Event()
        self.client = paho.Client(
            CallbackAPIVersion.VERSION2, "race-limit", clean_session=False, manual_ack=True
        )
        self.client.on_message = self._on_message
        self.client.on_subscribe = lambda *_: self.ready.set()
        self.client.connect(HOST, port)
        self.client.subscribe("race/#", qos=1)
        self.client.loop_start()
        self.ready.wait(10)

    def _on_message(self, client: paho.Client, _: object, message: paho.MQTTMessage) -> None:
        client.ack(message.mid, message.qos)
        self.count += 1
        if self.count == self.wanted:
            self.done.set()


def paho_loop(messages: int) -> Figures:
    """Messages a second from a broker through a bare loop, acknowledged and thrown away."""
    with tempfile.TemporaryDirectory(prefix="hexi-race-") as name:
        broker = Broker(Path(name) / "broker")
        broker.start()
        loop = Loop(broker.port)
        loop.wanted = messages
        door = MqttDoor(broker.port)
        began = time.monotonic()
        door.pour("quiet", ["RACE-000000"] * messages)
        came = loop.done.wait(120)
        took = time.monotonic() - began
        loop.client.disconnect()
        loop.client.loop_stop()
        door.close()
        broker.stop()
    return {"per s": loop.count / took, "lost": 0 if came else messages - loop.count}


def measure(messages: int, *, with_broker: bool) -> dict[str, Figures]:
    """Every limit once."""
    found = {
        "append and fdatasync, 1 a flush": flush(),
        "append and fdatasync, 100 a flush": append(100, 100),
        "append and fdatasync, 1,000 a flush": append(1_000, 40),
        "a socket that counts bytes": count_bytes(messages * 5),
    }
    if with_broker:
        found["paho, manual acknowledgement"] = paho_loop(messages)
    return found
