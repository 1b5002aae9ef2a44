"""MQTT against a real mosquitto: nothing lost, nothing twice, whoever dies; by mosquitto_pub and paho."""

from __future__ import annotations

import itertools
import re
import shutil
import subprocess
import threading

import paho.mqtt.client as paho
import pytest
import uvloop
from bench.mqtt import publish
from tests.docs.pages import ROOT
from tests.peers.mqtt_world import (
    PATIENCE,
    Broker,
    Worker,
    cases,
    cry,
    find,
    kept,
    link,
    listening,
    reading,
    running,
    sample,
    settings,
    taken,
    tell,
    until,
)
from typer.testing import CliRunner

from hexi.adapters.packs.load import load_packs
from hexi.adapters.sql import open_store
from hexi.cli import build
from hexi.cli.checks import Patient, brokers
from hexi.kernel.ports import StoreError
from hexi.protocols.mqtt import Publish
from hexi.settings import load_settings
from hexi.spine.intake import Intake

pytestmark = pytest.mark.skipif(
    find() is None or shutil.which("mosquitto_pub") is None,
    reason="mosquitto and mosquitto-clients are not installed (make pytest installs them, as root)",
)


@pytest.fixture
def broker(tmp_path):
    folder = tmp_path / "broker"
    folder.mkdir()
    with Broker(folder) as one:
        yield one


def publisher(port, client_id="devices"):
    """paho, with a session that sends again what the broker has not acknowledged."""
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=client_id, clean_session=False)
    client.max_queued_messages_set(0)
    client.reconnect_delay_set(1, 1)
    client.connect("127.0.0.1", port)
    client.loop_start()
    return client


def stored(of):
    store = open_store(of.database_url(), load_packs().catalogue().record_kinds)
    found, told = kept(store), cases(store, "elder_care.pendant_sos")
    store.close()
    return found, told


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_what_an_independent_client_says_is_committed_and_only_then_acknowledged(tmp_path, broker, version):
    of = settings(tmp_path, link(broker.port, version=version))

    async def play():
        async with running(of) as app:
            await listening(app)
            for topic, payload in (reading(1), cry(1), reading(2)):
                assert tell(broker.port, topic, payload, "-V", "mqttv311").returncode == 0
            await until(lambda: taken(app) == 3)
            assert len(cases(app.store, "elder_care.pendant_sos")) == 1
            await until(lambda: sample(app, "hexi_mqtt_unacknowledged") == 0)
        async with running(of) as app:  # the broker has nothing left for us
            await listening(app)
            tell(broker.port, *reading(3))
            await until(lambda: taken(app) == 1)
            assert sample(app, "hexi_mqtt_messages_total") == 1

    uvloop.run(play())


def test_a_store_that_cannot_take_it_leaves_the_message_with_the_broker(tmp_path, broker, monkeypatch):
    of = settings(tmp_path, link(broker.port))
    real, broken = Intake.submit, threading.Event()
    monkeypatch.setattr("hexi.connectors.mqtt.session.SETTLE", 0.2)

    async def submit(self, signals, link=None):
        if broken.is_set() and link:
            raise StoreError("no space left", kind="full")
        return await real(self, signals, link)

    monkeypatch.setattr(Intake, "submit", submit)

    async def play():
        async with running(of) as app:
            await listening(app)
            broken.set()
            tell(broker.port, *cry(1))
            await until(lambda: sample(app, "hexi_mqtt_unacknowledged") == 1)
        broken.clear()
        async with running(of) as app:
            await until(lambda: cases(app.store, "elder_care.pendant_sos"))
            assert taken(app) == 1

    uvloop.run(play())


def test_a_message_delivered_twice_is_one_signal(tmp_path, broker):
    async def play():
        async with running(settings(tmp_path, link(broker.port))) as app:
            await listening(app)
            for _ in range(2):
                tell(broker.port, *cry(1))
            await until(lambda: taken(app, "repeat") == 1)
            (case,) = cases(app.store, "elder_care.pendant_sos")
            assert case.signals == ["s1"]

    uvloop.run(play())


POISON = (b"{", b"\xff", b'{"kind":"act.closed","id":"1"}', b"x" * 200_000)


async def _poisoned(of, port):
    """Send poison and a good message; the numbers in quarantine by reason."""
    async with running(of) as app:
        await listening(app, 1)
        for poison in POISON:
            tell(port, "hexi/radar/D1/up", poison)
        tell(port, *reading(1))
        await until(lambda: kept(app.store) == {"r1": 1})
        await until(lambda: sample(app, "hexi_quarantined_total") == len(POISON))
        await until(lambda: sample(app, "hexi_mqtt_unacknowledged") == 0)
        (case,) = cases(app.store, "core.technical")
        assert case.subject == "link:mqtt:gate"
        with app.store.read() as tx:
            items = [tx.quarantine.get(item.id) for item in tx.quarantine.find(10)]
        assert all(len(item.raw) < 100_000 for item in items)
        return {item.reason: item.id for item in items}


def test_poison_is_kept_shown_once_and_taken_after_all(tmp_path, broker, monkeypatch):
    topics = (
        '[[mqtt.gate.topics]]\ntemplate = "hexi/{type}/{device}/up"\nkind = "{data.kind}"\nid = "{data.id}"'
    )
    config = tmp_path / "hexi.toml"
    head = f'data_dir = "hexi"\n[mqtt.gate]\nhost = "127.0.0.1"\nport = {broker.port}\nmessage = 1000\n'
    config.write_text(head + topics, encoding="utf-8")
    reasons = uvloop.run(_poisoned(load_settings(config, {}), broker.port))
    assert any("200000 bytes are too long" in reason for reason in reasons)
    assert any("acts are not taken" in reason for reason in reasons)
    number = next(str(number) for reason, number in reasons.items() if "cannot be read" in reason)
    mended = tmp_path / "mended.json"
    mended.write_bytes(reading(9)[1])
    monkeypatch.setenv("HEXI_CONFIG", str(config))
    replay = ["--lang", "en", "quarantine", "replay", number]
    still_bad = CliRunner().invoke(build("quarantine"), replay)
    assert "cannot be read" in str(still_bad.exception)
    told = CliRunner().invoke(build("quarantine"), [*replay, "--file", str(mended)])
    assert "r9: accepted" in told.output, (told.output, told.exception)


def test_a_restarting_broker_costs_nothing(tmp_path, broker):
    """Stopped with messages in flight and started again; then killed, as by a power cut."""
    count = 600

    async def play():
        async with running(settings(tmp_path, link(broker.port))) as app:
            await listening(app)
            client = publisher(broker.port)
            for number in range(count):
                client.publish(*reading(number), qos=1)
                if number == count // 3:
                    await until(lambda: taken(app) > 0)
                    broker.stop()
                    await until(lambda: sample(app, "hexi_mqtt_lost_total") > 0)
                    broker.start()
            await until(lambda: sum(kept(app.store).values()) == count)
            broker.kill()
            for number in range(count, 2 * count):
                client.publish(*reading(number), qos=1)
            broker.start()
            client.publish(*cry(1), qos=1)
            await until(lambda: sum(kept(app.store).values()) == 2 * count + 1)
            assert set(kept(app.store).values()) == {1}
            assert len(cases(app.store, "elder_care.pendant_sos")) == 1
            await listening(app)
            client.disconnect()
            client.loop_stop()

    uvloop.run(play())


@pytest.mark.slow
def test_killed_with_messages_in_flight_we_lose_none_and_double_none(tmp_path, broker):
    worker, numbers = Worker(tmp_path, broker.port), itertools.count()
    sent, cries, client = [], 3, publisher(broker.port)
    try:
        for life in range(cries):
            worker.start()
            for _ in range(500):
                sent.append(next(numbers))
                client.publish(*reading(sent[-1]), qos=1)
            client.publish(*cry(life), qos=1).wait_for_publish(PATIENCE)
            worker.kill()
    finally:
        worker.kill()
        client.disconnect()
        client.loop_stop()
    of = settings(tmp_path, link(broker.port))
    expected = {f"r{number}" for number in sent} | {f"s{number}" for number in range(cries)}

    async def drain():
        async with running(of) as app:
            await until(lambda: set(kept(app.store)) == expected)
            await until(lambda: sample(app, "hexi_mqtt_unacknowledged") == 0)

    uvloop.run(drain())
    found, told = stored(of)
    assert set(found.values()) == {1}
    assert sorted(s for case in told for s in case.signals) == [f"s{number}" for number in range(cries)]


@pytest.mark.slow
def test_a_hundred_thousand_waiting_messages_do_not_delay_a_cry(tmp_path, broker):
    of, count = settings(tmp_path, link(broker.port)), 100_000

    async def meet():
        async with running(of) as app:
            await listening(app)

    uvloop.run(meet())
    waiting = (
        Publish(topic, payload, 1, number % 65_535 + 1)
        for number in range(count)
        for topic, payload in [reading(number)]
    )
    publish(broker.port, waiting)
    client = publisher(broker.port)

    async def drain():
        async with running(of) as app:
            await until(lambda: taken(app) > 0)
            client.publish(*cry(1), qos=1)
            await until(lambda: cases(app.store, "elder_care.pendant_sos"))
            behind = count + 1 - taken(app)
            await until(lambda: taken(app) == count + 1)
            assert taken(app, "repeat") == 0
            return behind

    behind = uvloop.run(drain())
    client.disconnect()
    client.loop_stop()
    assert behind > 0, "the cry was answered only after everything that had waited longer"
    found, _ = stored(of)
    assert len(found) == count + 1


def test_a_dead_broker_is_one_case_that_closes_itself(tmp_path, broker):
    async def play():
        async with running(settings(tmp_path, link(broker.port))) as app:
            await listening(app)
            broker.stop()
            (case,) = await until(lambda: cases(app.store, "core.link_down"))
            assert case.is_open
            assert case.severity == "severe"
            broker.start()
            await until(lambda: not cases(app.store, "core.link_down")[0].is_open)
            broker.stop()
            await until(lambda: cases(app.store, "core.link_down")[0].is_open)
        broker.start()
        async with running(settings(tmp_path, link(broker.port))) as app:  # another process finds it back
            await until(lambda: not cases(app.store, "core.link_down")[0].is_open)
            assert len(cases(app.store, "core.link_down")) == 1

    uvloop.run(play())


def test_a_last_will_brings_the_silence_of_its_device_forward(tmp_path, broker):
    at = "hexi/radar/D7/status"

    async def play():
        async with running(settings(tmp_path, link(broker.port))) as app:
            await listening(app)
            device = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id="D7")
            device.will_set(at, "offline", 1, retain=True)
            device.connect("127.0.0.1", broker.port)
            device.loop_start()
            device.publish(at, "online", 1, retain=True).wait_for_publish(PATIENCE)
            await until(lambda: taken(app) == 1)
            device._sock.shutdown(2)  # gone without a word
            device._reconnect_on_failure = False
            await until(lambda: taken(app) >= 2)
            device.loop_stop()
            with app.store.read() as tx:
                (gone, _), *_ = [s for s in tx.signals.recent(None, 10) if s[0].kind == "device.offline"]
                due = tx.deadlines.get("silence/device:D7")
            assert gone.subject == "device:D7"
            assert due.body["gone"] == gone.received
            assert due.due_at == gone.received + 60_000

    uvloop.run(play())


# ---- The broker of the documentation: TLS, passwords, rights


def openssl(folder, *words):
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


def certify(folder, days):
    """A certificate for 127.0.0.1 from the folder's own authority, valid for so many days from now."""
    if not (folder / "ca.pem").exists():
        openssl(
            folder,
            *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=test authority"),
            *("-keyout", "ca.key", "-out", "ca.pem", "-days", "30"),
        )
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1")
    openssl(
        folder,
        *("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1"),
        *("-keyout", "broker.key", "-out", "broker.csr"),
    )
    openssl(
        folder,
        *("x509", "-req", "-in", "broker.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"),
        *("-extfile", "names", "-out", "broker.pem", "-days", str(days)),
    )


@pytest.fixture
def guarded(tmp_path):
    """The broker of docs/how-to/mqtt, as it stands there but for its paths and port."""
    folder = tmp_path / "broker"
    folder.mkdir()
    certify(folder, 30)
    for user in ("hexi", "D1", "D2"):
        create = ["-c"] if user == "hexi" else []
        command = ["mosquitto_passwd", "-b", *create, str(folder / "passwords"), user, f"of {user}"]
        subprocess.run(command, check=True, capture_output=True)
    pages = ROOT / "docs" / "how-to" / "mqtt"
    shutil.copy(pages / "acl", folder / "acl")
    said = (pages / "mosquitto.conf").read_text(encoding="utf-8")
    said = re.sub(r"/etc/mosquitto/certs/|/etc/mosquitto/|/var/lib/mosquitto/", f"{folder}/", said)
    assert "listener 8883\n" in said
    one = Broker(folder, said.replace("listener 8883\n", "listener {port} 127.0.0.1\n"), listener="")
    with one:
        (tmp_path / "password").write_text("of hexi\n")
        yield one


def guarded_link(tmp_path, broker, **more):
    secret = {"user": "hexi", "password_file": tmp_path / "password"}
    return link(broker.port, tls=True, ca=broker.folder / "ca.pem", **secret, **more)


def test_the_broker_of_the_documentation_lets_each_device_speak_for_itself_alone(tmp_path, guarded):
    def as_device(who, topic, payload):
        ca = str(guarded.folder / "ca.pem")
        return tell(
            guarded.port, topic, payload, "--cafile", ca, "-u", who, "-P", f"of {who}", "-V", "mqttv5"
        )

    async def play():
        async with running(settings(tmp_path, guarded_link(tmp_path, guarded))) as app:
            await listening(app)
            forged = as_device("D1", "hexi/radar/D2/up", b'{"kind":"device.heartbeat","id":"forged"}')
            assert b"Not authorized" in forged.stdout + forged.stderr, forged
            as_device("D2", "hexi/radar/D2/up", b'{"kind":"device.heartbeat","id":"own"}')
            await until(lambda: kept(app.store) == {"own": 1})

    uvloop.run(play())


def test_an_expired_certificate_is_refused_named_and_forgiven_when_renewed(tmp_path, guarded, monkeypatch):
    monkeypatch.setattr("hexi.connectors.mqtt.session.LONGEST", 1.0)
    guarded.stop()
    certify(guarded.folder, -1)
    guarded.start()

    async def play():
        async with running(settings(tmp_path, guarded_link(tmp_path, guarded))) as app:
            (case,) = await until(lambda: cases(app.store, "core.link_down"))
            with app.store.read() as tx:
                opened = tx.cases.log(case.id)[0]
            assert "certificate has expired" in str(opened.body)
            assert sample(app, "hexi_mqtt_connected") == 0
            assert sample(app, "hexi_mqtt_lost_total") > 0
            found = examined(app)
            assert ["expired" in f.message.en for f in found if f.level == "error"] == [True, True]
            guarded.stop()
            certify(guarded.folder, 30)
            guarded.start()
            await listening(app)
            await until(lambda: not cases(app.store, "core.link_down")[0].is_open)
            await until(lambda: [f.level for f in examined(app)] == ["ok", "ok"])

    uvloop.run(play())


def examined(app):
    """What the doctor finds of the brokers."""
    catalogue = app.loaded.catalogue()
    patient = Patient(settings=app.settings, loaded=app.loaded, catalogue=catalogue, store=app.store)
    now = app.platform.clock.now()
    return [*brokers.brokers(patient, now), *brokers.reach(patient, now)]


def test_a_wrong_password_is_named(tmp_path, guarded):
    (tmp_path / "password").write_text("wrong\n")

    async def play():
        async with running(settings(tmp_path, guarded_link(tmp_path, guarded, version="3.1.1"))) as app:
            (case,) = await until(lambda: cases(app.store, "core.link_down"))
            with app.store.read() as tx:
                assert "not authorized" in str(tx.cases.log(case.id)[0].body)

    uvloop.run(play())
