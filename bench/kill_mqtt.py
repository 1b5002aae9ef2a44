"""kill -9 at random moments, over MQTT: `python -m bench.kill_mqtt [kills]`.

As `bench.kill`, but the 200 signals a second come through a mosquitto of our own, published at QoS 1 by a
client that goes on whether the platform lives or not. What the broker has acknowledged must not be missing
at the end, whatever was on its way when the platform died.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import httpx
import msgspec
import uvloop
from bench._broker import Broker, find
from bench.kill import (
    ANSWERS_AFTER,
    EVERY,
    Figures,
    Life,
    Siege,
    furnish,
    report,
    serve_until_killed,
    settings,
)
from tests.peers.receivers import Answer, Receiver, receiving

from hexi.protocols import mqtt
from hexi.protocols.mqtt import Hello, Publish, Version
from hexi.settings import MqttLink, Settings, Topic


def with_broker(of: Settings, port: int) -> Settings:
    """The siege's settings, hearing gateways that speak CloudEvents, and cries apart."""
    topics = (
        Topic(template="gate/up", format="cloudevents", sources=("gateway",)),
        Topic(template="gate/sos", format="cloudevents", sources=("gateway",), urgent=True),
    )
    link = MqttLink(host="127.0.0.1", port=port, topics=topics)
    return msgspec.structs.replace(of, mqtt={"gate": link})


class Publisher:
    """Publishes without waiting, and knows what the broker has acknowledged."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._packets = mqtt.Reader(Version.V5)
        self._number = 0
        self._sent: dict[int, tuple[str, bool]] = {}
        self.acknowledged: dict[str, bool] = {}

    @classmethod
    async def connect(cls, port: int) -> Publisher:
        one = cls(*await asyncio.open_connection("127.0.0.1", port))
        one._writer.write(mqtt.encode_connect(Hello(version=Version.V5, client_id="gateway", clean=True)))
        return one

    def publish(self, event: dict[str, str]) -> None:
        self._number = self._number % 65_535 + 1
        is_cry = event["type"].endswith(".sos")
        self._sent[self._number] = event["id"], is_cry
        topic = "gate/sos" if is_cry else "gate/up"
        message = Publish(topic, msgspec.json.encode(event), 1, self._number)
        self._writer.write(mqtt.encode_publish(Version.V5, message))

    async def read(self) -> None:
        """Until cancelled."""
        while data := await self._reader.read(65_536):
            for packet in self._packets.feed(data):
                if isinstance(packet, mqtt.Answer):
                    identity, is_cry = self._sent.pop(packet.packet)
                    self.acknowledged[identity] = is_cry


class MqttSiege(Siege):
    """A siege whose signals come through a broker."""

    def __init__(self, folder: Path, receiver: Receiver, publisher: Publisher, port: int) -> None:
        super().__init__(folder, receiver, 1)
        self._publisher = publisher
        self._port = port

    async def start(self) -> Life:
        return await self.launch("bench.kill_mqtt", str(self._port))

    async def load(self, _: httpx.AsyncClient, __: str) -> None:
        while True:
            for batch in self.events():
                for event in batch:
                    self._publisher.publish(event)
            await asyncio.sleep(EVERY)

    async def settle(self) -> None:
        """Until everything the broker has acknowledged is here, then until nothing is owed."""
        self.acknowledged = self._publisher.acknowledged
        for _ in range(1_200):
            if self._here() >= self.figures.sent:
                break
            await asyncio.sleep(0.1)
        await super().settle()

    def _here(self) -> int:
        path = settings(self.folder, "").database_url().removeprefix("sqlite:///")
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            (count,) = database.execute("SELECT count(*) FROM seen WHERE source = 'gateway'").fetchone()
        return int(count)


async def siege(kills: int, folder: Path) -> Figures:
    """Kill the platform so often, and judge."""
    began = time.monotonic()
    home = folder / "broker"
    home.mkdir(parents=True)
    with Broker(home) as broker:
        async with receiving(lambda _: Answer(after=ANSWERS_AFTER)) as receiver:
            furnish(folder, receiver.url)
            publisher = await Publisher.connect(broker.port)
            reading = asyncio.create_task(publisher.read())
            battle = MqttSiege(folder, receiver, publisher, broker.port)
            for _ in range(kills):
                await battle.live(battle.random.uniform(0.2, 1.2))
            await battle.live(None)
            figures = battle.judge()
            reading.cancel()
    figures.seconds = time.monotonic() - began
    return figures


def main(kills: int) -> None:
    if not find():
        print("mosquitto is not installed: nothing measured")
        return
    with tempfile.TemporaryDirectory(prefix="hexi-kill-mqtt-") as folder:
        figures = uvloop.run(siege(kills, Path(folder)))
    report(figures)


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        folder, url, port = sys.argv[2:]
        serve_until_killed(with_broker(settings(Path(folder), url), int(port)))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
