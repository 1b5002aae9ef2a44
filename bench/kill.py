"""kill -9 at random moments under load: `python -m bench.kill [kills]`.

A real `serve` in a process of its own takes 200 signals a second over HTTP, a tenth of them cries, and is
killed without warning; the sender keeps what was not acknowledged and sends it again, as a gateway does.
At the end: of all acknowledged signals none may be missing, no (case, step, person, way) may have been
called under two idempotency keys, nothing owed may stay undelivered, and after each start the first owed
call must leave within a second of the moment the platform says it is ready.
"""

from __future__ import annotations

import asyncio
import random
import signal
import sqlite3
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import msgspec
import uvloop
from tests.peers.receivers import Answer, Receiver, receiving

from hexi.app.compose import open_app
from hexi.app.server import serve
from hexi.connectors.tokens import digest_of
from hexi.kernel.access import Token
from hexi.kernel.fold import rebuild
from hexi.kernel.ports import Known, Store
from hexi.kernel.record import Record
from hexi.kernel.signal import Signal
from hexi.settings import ChannelSettings, Listen, Settings

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
TOKEN = "a gateway's secret"
WAYS = ("call", "sms", "app", "desk", "mail", "group")
PEOPLE = 400
EVERY = 0.05
"""Seconds between sendings of nine readings and one cry: 200 signals a second."""
QUIET = 9
BATCH = "application/cloudevents-batch+json"
ANSWERS_AFTER = 0.1
"""Seconds a receiver takes, so that something is always on its way when the end comes."""
FIRST_CALL_MS = 1_000.0


def settings(folder: Path, url: str) -> Settings:
    channel = ChannelSettings(use="webhook", url=url, secret=SECRET)
    return Settings(data_dir=folder, listen=Listen(port=0), channels=dict.fromkeys(WAYS, channel))


def people() -> list[Record]:
    found: list[tuple[str, str, dict[str, Any]]] = [
        ("roster", "district", {"name": "区台", "level": "district", "place": "120103", "phone": "+861"})
    ]
    for i in range(PEOPLE):
        found.append(
            ("person", f"E{i}", {"name": f"老人{i}", "steward": f"W{i % 20}", "lon": 117.2, "lat": 39.1})
        )
        found += [("contact", f"K{i}{n}", {"person": f"E{i}", "phone": "+861"}) for n in "ab"]
    found += [("person", f"W{i}", {"name": f"管家{i}", "phone": "+861"}) for i in range(20)]
    return [Record(kind=k, id=i, version=0, data=d, at=1, by="bench") for k, i, d in found]


def furnish(folder: Path, url: str) -> None:
    app = open_app(settings(folder, url))
    with app.store.write() as tx:
        for record in people():
            tx.records.put(record)
        tx.access.put_token(Token(name="gateway", hash=digest_of(TOKEN)))
    app.store.close()


def serve_until_killed(of: Settings) -> None:
    """The platform; says when it answers, and where."""
    app = open_app(of)

    async def ready(address: str) -> None:
        print(f"{time.monotonic()} {address}", flush=True)

    uvloop.run(serve(app, ready))


@dataclass
class Life:
    """One start of the platform."""

    process: asyncio.subprocess.Process
    ready: float
    address: str


@dataclass
class Figures:
    kills: int = 0
    sent: int = 0
    acknowledged: int = 0
    cries: int = 0
    notices: int = 0
    calls: int = 0
    lost: list[str] = field(default_factory=list)
    two_keys: list[str] = field(default_factory=list)
    undelivered: int = 0
    wrong_rows: int = 0
    first_call_ms: list[float] = field(default_factory=list)
    """Of the starts at which something was owed."""
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        late = max(self.first_call_ms, default=0.0) > FIRST_CALL_MS
        return not (self.lost or self.two_keys or self.undelivered or self.wrong_rows or late)


class Siege:
    """A sender, a receiver and a platform that is killed again and again."""

    def __init__(self, folder: Path, receiver: Receiver, seed: int) -> None:
        self.folder = folder
        self.receiver = receiver
        self.random = random.Random(seed)
        self.figures = Figures()
        self.acknowledged: dict[str, bool] = {}
        """By id, whether it was a cry."""
        self.kept: list[list[dict[str, Any]]] = []
        self._number = 0

    async def start(self) -> Life:
        return await self.launch("bench.kill")

    async def launch(self, module: str, *more: str) -> Life:
        """The platform in a process of its own, once it answers."""
        told = self.folder / "platform.log"
        with told.open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", module, "child", str(self.folder), self.receiver.url, *more),
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )
        assert process.stdout
        said: list[str] = []
        async for line in process.stdout:  # what it logs may come before
            said = line.decode().split()
            if len(said) == 2 and said[1].startswith("http"):
                break
        else:
            raise RuntimeError(f"the platform did not start: {told.read_text()[-2_000:]}")
        return Life(process, float(said[0]), said[1])

    def events(self) -> list[list[dict[str, Any]]]:
        who = self.random.randrange(PEOPLE)
        readings = [self.event("radar.presence", f"device:R{i}") for i in range(QUIET)]
        return [readings, [self.event("pendant.sos", f"person:E{who}")]]

    def event(self, kind: str, subject: str) -> dict[str, Any]:
        self._number += 1
        self.figures.sent += 1
        said = {"specversion": "1.0", "id": f"s{self._number}", "source": "gateway"}
        return said | {"type": kind, "subject": subject}

    async def load(self, client: httpx.AsyncClient, address: str) -> None:
        """Send until cancelled; what was kept goes first."""
        kept, self.kept = self.kept, []
        tasks = {asyncio.create_task(self.send(client, address, batch)) for batch in kept}
        try:
            while True:
                tasks |= {asyncio.create_task(self.send(client, address, b)) for b in self.events()}
                await asyncio.sleep(EVERY)
        finally:
            await asyncio.gather(*tasks)

    async def send(self, client: httpx.AsyncClient, address: str, batch: list[dict[str, Any]]) -> None:
        content, headers = (
            msgspec.json.encode(batch),
            {"content-type": BATCH, "authorization": f"Bearer {TOKEN}"},
        )
        try:
            answer = await client.post(f"{address}/api/v1/signals", content=content, headers=headers)
        except httpx.HTTPError:
            answer = None
        if answer is None or answer.status_code != 202:
            self.kept.append(batch)
        else:
            self.acknowledged |= {event["id"]: event["type"].endswith(".sos") for event in batch}

    async def live(self, seconds: float | None) -> None:
        """Start, load, and kill after some seconds; ``None``: settle and stop in peace."""
        before, owed = len(self.receiver.calls), self.owed()
        life = await self.start()
        async with httpx.AsyncClient(timeout=5, trust_env=False) as client:
            loading = asyncio.create_task(self.load(client, life.address))
            await asyncio.sleep(seconds or 0.5)
            if seconds is not None:
                life.process.kill()
                self.figures.kills += 1
            loading.cancel()
            with suppress(asyncio.CancelledError):
                await loading
            for batch in self.kept if seconds is None else ():
                await self.send(client, life.address, batch)
        if seconds is None:
            await self.settle()
            life.process.send_signal(signal.SIGTERM)
        await life.process.wait()
        if owed:
            first = next(iter(self.receiver.calls[before:]), None)
            late = first.at - life.ready if first else float("inf")
            self.figures.first_call_ms.append(max(0.0, late * 1000))

    async def settle(self) -> None:
        for _ in range(200):
            if not self.owed():
                return
            await asyncio.sleep(0.1)

    def owed(self) -> int:
        path = settings(self.folder, "").database_url().removeprefix("sqlite:///")
        query = "SELECT count(*) FROM notice WHERE state = 'waiting' AND next_at <= ?"
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            (count,) = database.execute(query, (int(time.time() * 1000),)).fetchone()
        return int(count)

    def judge(self) -> Figures:
        app = open_app(settings(self.folder, self.receiver.url))
        self.figures.acknowledged = len(self.acknowledged)
        self.figures.cries = sum(self.acknowledged.values())
        self.figures.calls = len(self.receiver.calls)
        self.figures.undelivered = self.owed()
        self.figures.lost = lost(app.store, self.acknowledged)
        self._judge_calls(app.store)
        app.store.close()
        return self.figures

    def _judge_calls(self, store: Store) -> None:
        keys: dict[tuple[str, ...], set[str]] = defaultdict(set)
        called = set(self.receiver.idempotency_keys())
        with store.read() as tx:
            for case_id in tx.cases.ids("", 1_000_000):
                case = tx.cases.get(case_id)
                self.figures.wrong_rows += case != rebuild(case_id, tx.cases.log(case_id))
                for notice in tx.notices.of_case(case_id):
                    self.figures.notices += 1
                    keys[notice.case_id, notice.step, notice.recipient, notice.way].add(notice.id)
                    called.discard(notice.id)
        self.figures.two_keys = [str(of) for of, ids in keys.items() if len(ids) > 1] + sorted(called)


def lost(store: Store, acknowledged: dict[str, bool]) -> list[str]:
    """Acknowledged signals that are not there; a cry must stand in the log of an open case, once."""
    missing = []
    signals = [Signal(id=i, source="gateway", kind="x", received=1) for i in acknowledged]
    with store.write() as tx:
        for signal_, known in zip(signals, tx.signals.claim(signals), strict=True):
            if known is Known.NEW:
                missing.append(signal_.id)
            elif acknowledged[signal_.id]:
                case = tx.cases.get(tx.signals.case_of(signal_.key) or "")
                if case is None or case.signals.count(signal_.id) != 1:
                    missing.append(signal_.id)
    return missing


async def siege(kills: int, folder: Path, seed: int = 1) -> Figures:
    """Kill the platform so often, and judge."""
    began = time.monotonic()
    async with receiving(lambda _: Answer(after=ANSWERS_AFTER)) as receiver:
        furnish(folder, receiver.url)
        battle = Siege(folder, receiver, seed)
        for _ in range(kills):
            await battle.live(battle.random.uniform(0.2, 1.2))
        await battle.live(None)
        figures = battle.judge()
    figures.seconds = time.monotonic() - began
    return figures


def main(kills: int) -> None:
    with tempfile.TemporaryDirectory(prefix="hexi-kill-") as folder:
        figures = uvloop.run(siege(kills, Path(folder)))
    report(figures)


def report(figures: Figures) -> None:
    """Print what was counted, and end with 1 when anything is not as it has to be."""
    late = sorted(figures.first_call_ms)
    rows = [
        ("kills", figures.kills, ""),
        ("signals sent", figures.sent, ""),
        ("acknowledged", figures.acknowledged, ""),
        ("of these cries", figures.cries, ""),
        ("lost", len(figures.lost), "0"),
        ("notices", figures.notices, ""),
        ("calls", figures.calls, ""),
        ("two keys for one notice", len(figures.two_keys), "0"),
        ("owed and not delivered", figures.undelivered, "0"),
        ("cases unlike their log", figures.wrong_rows, "0"),
        ("starts with calls owed", len(late), ""),
        ("first call after ready, worst ms", round(late[-1]) if late else 0, f"<= {FIRST_CALL_MS:.0f}"),
        ("seconds", round(figures.seconds), ""),
    ]
    for name, value, limit in rows:
        print(f"{name:36}{value:>10}   {limit}")
    sys.exit(0 if figures.good else 1)


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        serve_until_killed(settings(Path(sys.argv[2]), sys.argv[3]))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
