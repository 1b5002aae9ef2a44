"""A link and a played broker: order of acknowledgements, back-pressure, what is asked for, whose it is."""

from __future__ import annotations

import asyncio
import json
import struct
from contextlib import asynccontextmanager
from random import Random

import pytest
from tests.peers.mqtt_world import NO_WEB, TOPICS, cry, kept, reading, sample, settings, taken, until
from tests.unit.spine_world import World

from hexi.app.compose import open_app
from hexi.connectors.mqtt.line import Line
from hexi.connectors.mqtt.session import LONGEST, SHORTEST, STEADY, Backoff
from hexi.kernel.ports import StoreError
from hexi.kernel.process import DEAD_AFTER, Process
from hexi.protocols import mqtt
from hexi.protocols.mqtt import Answer, Publish, Reader, Request, Version
from hexi.settings import MqttLink, Span, Topic
from hexi.spine import uplinks
from hexi.spine.intake import Intake
from hexi.spine.uplinks import LEFT_AFTER, Uplink


class Played:
    """A broker of one client, whose every word the test decides."""

    def __init__(self) -> None:
        self.version = Version.V5
        self.session_present = False
        self.asked: list[Request] = []
        self.acknowledged: list[int] = []
        self.hellos: list[bytes] = []
        self.writer: asyncio.StreamWriter | None = None

    async def serve(self, reader, writer):
        known = Reader(self.version)
        self.writer = writer
        while data := await reader.read(65_536):
            for packet in known.feed(data):
                self.answer(packet, writer)
        writer.close()

    def answer(self, packet, writer):
        if isinstance(packet, Answer):
            self.acknowledged.append(packet.packet)
        elif isinstance(packet, Publish):
            writer.write(mqtt.encode_acknowledgements([packet.packet]))
        elif packet.kind == mqtt.CONNECT:
            self.hellos.append(packet.body)
            writer.write(mqtt.encode_connack(self.version, session_present=self.session_present))
        elif packet.kind in {mqtt.SUBSCRIBE, mqtt.UNSUBSCRIBE}:
            self.asked.append(packet)
            kind = mqtt.SUBACK if packet.kind == mqtt.SUBSCRIBE else mqtt.UNSUBACK
            end = b"\0\1" if self.version is Version.V5 else b"\1"
            writer.write(bytes([kind, 2 + len(end)]) + packet.body[:2] + end)

    def send(self, *messages):
        self.writer.write(b"".join(mqtt.encode_publish(self.version, one) for one in messages))


@asynccontextmanager
async def played(tmp_path, broker, **more):
    server = await asyncio.start_server(broker.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    told = {"host": "127.0.0.1", "port": port, "topics": TOPICS[:1], "grace": Span(500)} | more
    app = open_app(settings(tmp_path, MqttLink(**told)), NO_WEB)
    await app.start()
    try:
        await until(lambda: sample(app, "hexi_mqtt_connected") == 1)
        yield app
    finally:
        await app.stop()
        server.close()


def quiet(number, **more):
    return Publish(*reading(number), 1, number, **more)


def alarm(number):
    return Publish(reading(0)[0], b'{"kind":"pendant.sos","id":"a%d"}' % number, 1, number)


@pytest.mark.parametrize(("version", "name"), [(Version.V5, "5"), (Version.V311, "3.1.1")])
def test_acknowledged_in_the_order_of_delivery_even_when_a_cry_overtakes(
    tmp_path, monkeypatch, version, name
):
    broker, hold = Played(), asyncio.Event()
    broker.version = version
    real, order = Intake.submit, []

    async def submit(self, signals, link=None):
        if link and not any(s.kind == "pendant.sos" for s in signals):
            await hold.wait()
        result = await real(self, signals, link)
        order.extend(s.id for s in signals if link)
        return result

    monkeypatch.setattr(Intake, "submit", submit)

    async def play():
        async with played(tmp_path, broker, version=name) as app:
            broker.send(quiet(1), quiet(2), alarm(3), quiet(4))
            await until(lambda: taken(app) == 1)
            assert order == ["a3"]
            assert broker.acknowledged == []
            hold.set()
            await until(lambda: broker.acknowledged == [1, 2, 3, 4])

    asyncio.run(play())


def test_a_cry_beside_something_unreadable_is_taken_and_the_message_is_kept(tmp_path):
    broker = Played()
    event = {"specversion": "1.0", "source": "camp/7", "type": "pendant.sos", "id": "a", "subject": "D7"}
    batch = [{"id": "not an event"}, event]

    async def play():
        topics = (Topic(template="ce", format="cloudevents"),)
        async with played(tmp_path, broker, topics=topics) as app:
            broker.send(Publish("ce", json.dumps(batch).encode(), 1, 1))
            await until(lambda: broker.acknowledged == [1])
            with app.store.read() as tx:
                cries = [signal.kind for signal, case in tx.signals.recent("device:D7", 10) if case]
                assert cries == ["pendant.sos"]
                assert len(tx.quarantine.find(10)) == 1

    asyncio.run(play())


def test_the_same_message_again_is_acknowledged_and_changes_nothing(tmp_path):
    broker = Played()

    async def play():
        async with played(tmp_path, broker) as app:
            broker.send(quiet(1))
            await until(lambda: broker.acknowledged == [1])
            broker.send(quiet(1, dup=True))
            await until(lambda: broker.acknowledged == [1, 1])
            assert kept(app.store) == {"r1": 1}

    asyncio.run(play())


def test_a_store_in_trouble_lets_the_broker_wait(tmp_path, monkeypatch):
    """Nothing is read beyond twice the window, and nothing is acknowledged, until the store is back."""
    broker, count = Played(), 1_500
    real, broken = Intake.submit, [True]
    monkeypatch.setattr("hexi.connectors.mqtt.flow.LONGEST_WAIT", 0.2)

    async def submit(self, signals, link=None):
        if broken[0] and link:
            raise StoreError("disk full", kind="full")
        return await real(self, signals, link)

    monkeypatch.setattr(Intake, "submit", submit)

    async def play():
        async with played(tmp_path, broker, window=10) as app:
            filler = "x" * 20_000  # so that what is not read stays in the broker's hands
            broker.send(*(Publish(*reading(n, filler=filler), 1, n) for n in range(1, count)))
            await until(lambda: sample(app, "hexi_mqtt_messages_total") > 20)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1):
                    await broker.writer.drain()
            assert sample(app, "hexi_mqtt_messages_total") < count - 1
            assert broker.acknowledged == []
            broken[0] = False
            await until(lambda: broker.acknowledged == list(range(1, count)))
            assert len(kept(app.store)) == count - 1

    asyncio.run(play())


def test_connect_says_who_we_are_and_what_we_want(tmp_path):
    broker = Played()
    (tmp_path / "password").write_text("p\n")

    async def play():
        secret = {"user": "u", "password_file": tmp_path / "password"}
        async with played(tmp_path, broker, client_id="me", window=77, **secret):
            pass

    asyncio.run(play())
    (hello,) = broker.hellos
    week = struct.pack(">BIBH", 0x11, 7 * 86_400, 0x21, 77)
    will = b"\0\x00\x0dhexi/state/me\x00\x07offline"
    assert hello == b"\0\4MQTT\5\xec\0\x1e\x08" + week + b"\0\2me" + will + b"\0\1u\0\1p"


def test_a_session_that_goes_on_is_not_subscribed_anew_and_listens_to_what_is_wanted_now(tmp_path):
    broker = Played()
    other = Topic(template="other/{device}", kind="k")

    async def again(topics=TOPICS[:1]):
        broker.asked.clear()
        told = MqttLink(host="127.0.0.1", port=port, topics=topics)
        app = open_app(settings(tmp_path, told), NO_WEB)
        await app.start()
        await until(lambda: sample(app, "hexi_mqtt_connected") == 1)
        await app.stop()
        return [packet.kind for packet in broker.asked]

    async def play():
        nonlocal port
        server = await asyncio.start_server(broker.serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        assert await again() == [mqtt.SUBSCRIBE]
        broker.session_present = True
        assert await again() == []
        assert await again((other,)) == [mqtt.UNSUBSCRIBE, mqtt.SUBSCRIBE]
        broker.session_present = False
        assert await again((other,)) == [mqtt.SUBSCRIBE]
        server.close()

    port = 0
    asyncio.run(play())


def test_cries_have_a_connection_of_their_own(tmp_path):
    broker = Played()
    clients = []
    serve = broker.serve

    async def remember(reader, writer):
        clients.append(writer)
        await serve(reader, writer)

    broker.serve = remember

    async def play():
        server = await asyncio.start_server(broker.serve, "127.0.0.1", 0)
        told = MqttLink(host="127.0.0.1", port=server.sockets[0].getsockname()[1], topics=TOPICS)
        app = open_app(settings(tmp_path, told), NO_WEB)
        await app.start()
        await until(lambda: sample(app, "hexi_mqtt_connected") == 2)
        assert len(clients) == 2
        assert sorted(b"hexi-gate-urgent" in hello for hello in broker.hellos) == [False, True]
        await app.stop()
        server.close()

    asyncio.run(play())
    assert cry(1)[0].endswith("/sos")


def test_a_fault_of_our_own_is_told_and_the_link_is_tried_again(tmp_path, monkeypatch):
    broker, faults = Played(), []
    real = Line.last

    async def last(self):
        if not faults:
            faults.append(UnicodeError("not a word"))
            raise faults[0]
        return await real(self)

    monkeypatch.setattr(Line, "last", last)

    async def play():
        async with played(tmp_path, broker):
            await until(lambda: len(broker.hellos) == 2)

    asyncio.run(play())


def test_attempts_come_ever_more_rarely_and_never_all_at_once():
    backoff = Backoff(Random(1))
    waits = [backoff.next(0) for _ in range(12)]
    assert SHORTEST / 2 <= waits[0] <= SHORTEST
    assert all(LONGEST / 2 <= wait <= LONGEST for wait in waits[-4:])
    assert len(set(waits)) == len(waits)
    assert backoff.next(STEADY) <= SHORTEST


class TestUplinks:
    """Whose a link is, and what its state means for silence, as the store knows it."""

    @pytest.fixture
    def world(self):
        world = World()
        with world.store.write() as tx:
            uplinks.declare(tx, ["mqtt:gate"])
        yield world
        world.close()

    def live(self, world, *names, behind=0):
        now = world.clock.now() - behind
        with world.store.write() as tx:
            for name in names:
                row = Process(id=name, host="h", pid=1, roles=(), playing=(), started=now, seen_at=now)
                tx.processes.put(row)

    def hold(self, world, holder, *, up=True):
        now = world.clock.now()
        with world.store.write() as tx:
            return uplinks.hold(tx, "mqtt:gate", Uplink(holder=holder, beat=now, up=up, since=now))

    def test_one_process_holds_a_link_until_it_leaves_falls_silent_or_dies(self, world):
        self.live(world, "a", "b")
        assert self.hold(world, "a").holder == "a"
        assert self.hold(world, "b").holder == "a"
        world.clock.advance(LEFT_AFTER)
        self.live(world, "a", "b")
        assert self.hold(world, "b").holder == "b"
        world.clock.advance(DEAD_AFTER)
        self.live(world, "a")
        assert self.hold(world, "a").holder == "a"
        self.live(world, "a", "b")
        assert self.hold(world, "b").holder == "a"
        self.hold(world, "a")
        with world.store.write() as tx:
            uplinks.let_go(tx, "mqtt:gate", "a", world.clock.now())
        assert self.hold(world, "b").holder == "b"

    def test_heartbeats_behind_the_asker_s_clock_keep_a_link_as_long_as_they_are_in_step(self, world):
        hour = 3_600_000
        self.live(world, "a", "b", behind=hour)
        assert self.hold(world, "a").holder == "a"
        assert self.hold(world, "b").holder == "a"
        self.live(world, "b", behind=hour - DEAD_AFTER)
        assert self.hold(world, "b").holder == "b"

    def test_since_is_when_it_last_changed_or_was_looked_after_again(self, world):
        first = self.hold(world, "a").since
        world.clock.advance(5_000)
        assert self.hold(world, "a").since == first
        world.clock.advance(5_000)
        assert self.hold(world, "a", up=False).since == first + 10_000
        world.clock.advance(60_000)
        assert self.hold(world, "a").since == first + 70_000

    def test_a_link_that_is_no_longer_in_the_settings_excuses_nobody(self, world):
        self.hold(world, "a", up=False)
        with world.store.write() as tx:
            assert uplinks.read(tx, "mqtt:gate")
            uplinks.declare(tx, ["mqtt:other"])
            assert uplinks.read(tx, "mqtt:gate") is None


def test_a_broker_that_says_nothing_more_is_given_up(tmp_path):
    """It wants to be heard every second, takes our pings, and answers none: the line is dead after 1.5 s."""
    broker = Played()
    answer = broker.answer

    def once(packet, writer):
        if isinstance(packet, Request) and packet.kind == mqtt.CONNECT:
            broker.hellos.append(packet.body)
            writer.write(b"\x20\x06\0\0\x03\x13\0\x01")
        elif not (isinstance(packet, Request) and packet.kind == mqtt.PINGREQ):
            answer(packet, writer)

    broker.answer = once

    async def play():
        async with played(tmp_path, broker) as app:
            await until(lambda: len(broker.hellos) > 1)
            assert sample(app, "hexi_mqtt_lost_total") >= 1

    asyncio.run(play())
