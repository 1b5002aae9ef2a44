"""MQTT QoS 1 to committed, beside a bare paho loop: `python -m bench.mqtt`; kills: `... kill [how many]`.

A real mosquitto holds the same messages for each contestant, which takes them under a persistent session
and acknowledges by hand. The bare loop only counts; hexi decodes, maps, commits and then acknowledges. Each
runs in a process of its own; rounds alternate, the medians are printed.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import paho.mqtt.client as paho
import uvloop
from bench._broker import Broker, find
from bench._report import beside, show

from hexi.app.compose import App, Manner, open_app
from hexi.app.roles import Role
from hexi.kernel.record import Record
from hexi.protocols import mqtt
from hexi.protocols.mqtt import Hello, Publish, Version
from hexi.settings import Listen, MqttLink, Settings, Topic
from hexi.sim.district import fill

LIMIT = 0.7
SMOKE = "--smoke" in sys.argv
MESSAGES, ROUNDS = (2_000, 1) if SMOKE else (50_000, 3)
DEVICES = 1_000
BATCH = 500


def message(number: int) -> Publish:
    """What a radar says: about 130 bytes."""
    data = {
        "seq": f"{number:x}",
        "moving": True,
        "persons": 1,
        "heart_rate": 72.5,
        "breathing": 16,
        "room": "bedroom",
        "ts": 1_780_000_000_000 + number,
    }
    topic = f"hexi/radar/D{number % DEVICES:05}/up"
    return Publish(topic, msgspec.json.encode(data), 1, number % 65_535 + 1)


def publish(port: int, messages: Iterator[Publish]) -> None:
    """Send at QoS 1 and return when the broker has acknowledged them all."""
    with socket.create_connection(("127.0.0.1", port)) as wire:
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wire.settimeout(60)
        wire.sendall(mqtt.encode_connect(Hello(version=Version.V311, client_id="publisher", clean=True)))
        reader, sent, done = mqtt.Reader(Version.V311), 0, -1
        while batch := b"".join(
            mqtt.encode_publish(Version.V311, one) for one in itertools.islice(messages, BATCH)
        ):
            wire.sendall(batch)
            sent += BATCH
            while done < sent - 2 * BATCH:
                done += len(reader.feed(wire.recv(65_536)))
        wire.sendall(mqtt.encode_ping())
        while not any(isinstance(p, mqtt.Pong) for p in reader.feed(wire.recv(65_536))):
            pass


def settings(folder: Path, port: int) -> Settings:
    """An installation that hears the broker's radars."""
    radar = Topic(
        template="hexi/{type}/{device}/up",
        kind="device.heartbeat",
        id="{data.seq}",
        time="data.ts",
        time_unit="ms",
    )
    link = MqttLink(host="127.0.0.1", port=port, version="3.1.1", client_id="sink", topics=(radar,))
    return Settings(data_dir=folder, listen=Listen(port=0), mqtt={"gate": link})


def prepare(port: int) -> None:
    """Open the session, so that the broker keeps what is published now."""
    with socket.create_connection(("127.0.0.1", port)) as wire:
        wire.sendall(mqtt.encode_connect(Hello(version=Version.V311, client_id="sink")))
        wire.recv(4)
        wire.sendall(mqtt.encode_subscribe(Version.V311, 1, ["hexi/+/+/up"]))
        wire.recv(5)
        wire.sendall(mqtt.encode_disconnect())


# ---- The contestants: each prints how many messages a second it has taken


def by_paho(port: int, count: int) -> float:
    """Count and acknowledge, nothing else."""
    client = paho.Client(
        paho.CallbackAPIVersion.VERSION2, client_id="sink", clean_session=False, manual_ack=True
    )
    seen, began = 0, 0.0

    def on_message(of: paho.Client, _: object, got: paho.MQTTMessage) -> None:
        nonlocal seen, began
        began = began or time.perf_counter()
        seen += 1
        of.ack(got.mid, 1)
        if seen == count:
            of.disconnect()

    client.on_message = on_message
    client.connect("127.0.0.1", port)
    client.loop_forever()
    return count / (time.perf_counter() - began)


def by_hexi(port: int, count: int) -> float:
    """The whole platform in one process: every role but the web."""
    with tempfile.TemporaryDirectory() as folder:
        return uvloop.run(_by_hexi(Path(folder), port, count))


async def _by_hexi(folder: Path, port: int, count: int) -> float:
    app = open_app(settings(folder, port), Manner(roles=frozenset(set(Role) - {Role.WEB})))
    data = {"type": "radar", "source": "radar"}
    fill(
        app.store,
        [
            Record(kind="device", id=f"D{n:05}", version=0, data=data, at=1, by="bench")
            for n in range(DEVICES)
        ],
    )
    first: list[float] = []
    received = app.metrics.mqtt_received

    def note(link: str, many: int) -> None:
        if not first:
            first.append(time.perf_counter())
        received(link, many)

    app.metrics.mqtt_received = note  # type: ignore[method-assign]
    await app.start()
    while taken(app) < count:  # noqa: ASYNC110 -- a counter wakes nobody
        await asyncio.sleep(0.01)
    rate = count / (time.perf_counter() - first[0])
    await app.stop()
    return rate


def taken(app: App) -> float:
    """Signals committed so far."""
    return app.metrics.registry.get_sample_value("hexi_signals_total", {"fate": "accepted"}) or 0


CONTESTANTS = {"paho": by_paho, "hexi": by_hexi}


def run(name: str) -> float:
    """One contestant in a process of its own, with a fresh broker that holds its messages."""
    with tempfile.TemporaryDirectory(prefix="hexi-mqtt-") as folder, Broker(Path(folder)) as broker:
        prepare(broker.port)
        publish(broker.port, map(message, range(MESSAGES)))
        said = subprocess.run(
            [sys.executable, "-m", "bench.mqtt", name, str(broker.port), str(MESSAGES)],
            capture_output=True,
            text=True,
            check=True,
            timeout=300,
        )
        return float(said.stdout.split()[-1])


def main() -> None:
    if not find():
        print("mosquitto is not installed: nothing measured")
        return
    rounds = [{name: run(name) for name in CONTESTANTS} for _ in range(ROUNDS)]
    for name in CONTESTANTS:
        beside(f"{name}, {MESSAGES:,} waiting messages", statistics.median(r[name] for r in rounds), "/s")
    ratio = statistics.median(r["hexi"] / r["paho"] for r in rounds)
    show("hexi beside the bare paho loop", ratio, LIMIT, "x", at_least=True)


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in CONTESTANTS:
        with contextlib.redirect_stdout(sys.stderr):
            rate = CONTESTANTS[sys.argv[1]](int(sys.argv[2]), int(sys.argv[3]))
        print(rate)
    else:
        main()
