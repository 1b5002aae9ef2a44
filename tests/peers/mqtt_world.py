"""An installation that hears a real broker, in this process or in one that can be killed."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import uvloop
from bench._broker import FAST, Broker, find

from hexi.app.compose import App, Manner, open_app
from hexi.app.roles import Role
from hexi.kernel.case import Case
from hexi.kernel.ports import CaseFilter, Store
from hexi.settings import Listen, MqttLink, Settings, Span, Topic

PATIENCE = 60.0
NO_WEB = Manner(roles=frozenset(set(Role) - {Role.WEB}))
TOPICS = (
    Topic(template="hexi/{type}/{device}/up", kind="{data.kind}", id="{data.id}"),
    Topic(template="hexi/{type}/{device}/sos", kind="pendant.sos", id="{data.id}", urgent=True),
    Topic(template="hexi/{type}/{device}/status", status=True),
)


def link(port: int, **more: Any) -> MqttLink:
    return MqttLink(**{"host": "127.0.0.1", "port": port, "topics": TOPICS, "grace": Span(500)} | more)


def settings(folder: Path, of: MqttLink) -> Settings:
    return Settings(data_dir=folder / "hexi", listen=Listen(port=0), mqtt={"gate": of})


@asynccontextmanager
async def running(of: Settings):
    """The platform until the block ends."""
    app = open_app(of, NO_WEB)
    await app.start()
    try:
        yield app
    finally:
        await app.stop()


async def until(ready, patience=PATIENCE):
    """Wait for a condition; it is not a measure of time."""
    end = time.monotonic() + patience
    while not (found := ready()):
        assert time.monotonic() < end, "waited in vain"
        await asyncio.sleep(0.02)
    return found


async def listening(app: App, connections: int = 2) -> None:
    await until(lambda: sample(app, "hexi_mqtt_connected") == connections)


def sample(app: App, name: str, **labels: str) -> float:
    return app.metrics.registry.get_sample_value(name, {"link": "mqtt:gate"} | labels) or 0


def taken(app: App, fate: str = "accepted") -> float:
    return app.metrics.registry.get_sample_value("hexi_signals_total", {"fate": fate}) or 0


def cases(store: Store, scenario: str, **more: Any) -> list[Case]:
    with store.read() as tx:
        rows = tx.cases.find(CaseFilter(scenario=scenario, **more), 10_000)
        return [found for row in rows if (found := tx.cases.get(row.id))]


def kept(store: Store) -> dict[str, int]:
    """How often each identity of the link's messages stands among the signals."""
    with store.read() as tx:
        found: dict[str, int] = {}
        for signal, _ in tx.signals.recent(None, 1_000_000):
            if signal.source.startswith("mqtt:"):
                found[signal.id] = found.get(signal.id, 0) + 1
        return found


def reading(number: int, **more: Any) -> tuple[str, bytes]:
    """A quiet message: its topic and payload."""
    said = {"kind": "device.heartbeat", "id": f"r{number}"} | more
    return f"hexi/radar/D{number % 50:05}/up", msgspec.json.encode(said)


def cry(number: int) -> tuple[str, bytes]:
    return f"hexi/pendant/P{number}/sos", msgspec.json.encode({"id": f"s{number}"})


def tell(port: int, topic: str, payload: bytes, *options: str) -> subprocess.CompletedProcess[str]:
    """Publish at QoS 1 as an independent program does."""
    command = ["mosquitto_pub", "-h", "127.0.0.1", "-p", str(port), "-q", "1", "-t", topic, "-s", *options]
    return subprocess.run(command, input=payload, capture_output=True, timeout=30, check=False)


class Worker:
    """The platform in a process of its own, to be killed."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "tests.peers.mqtt_world", str(self.folder), str(self.port)]
        environ = os.environ | {"PYTHONPATH": "src:."}
        root = Path(__file__).resolve().parents[2]
        with (self.folder / "worker.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=root, env=environ, stdout=subprocess.PIPE, stderr=log
            )
        assert self.process.stdout
        ready = any(line == b"ready\n" for line in self.process.stdout)
        assert ready, (self.folder / "worker.log").read_text()

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait(30)
            assert self.process.stdout
            self.process.stdout.close()


async def _serve(folder: Path, port: int) -> None:
    async with running(settings(folder, link(port))) as app:
        await listening(app)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


__all__ = ["FAST", "Broker", "find"]

if __name__ == "__main__":
    uvloop.run(_serve(Path(sys.argv[1]), int(sys.argv[2])))
