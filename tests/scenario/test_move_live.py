"""A running district moves to PostgreSQL: nothing is lost, nobody is called twice, deadlines go on."""

from __future__ import annotations

import asyncio
import http.client
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import uvloop
from bench._serving import Serving, furnish, quiet, start, write_settings
from tests.contract.conftest import postgresql_url  # noqa: F401 -- the server
from tests.contract.databases import database, run
from tests.peers.receivers import Answer, Receiver, receiving

from hexi.adapters.sql import open_store
from hexi.kernel.record import Record
from hexi.kernel.signal import Signal
from hexi.protocols import cloudevents

pytestmark = [pytest.mark.postgresql, pytest.mark.slow]

PEOPLE = 200
LATER = 8
"""Seconds after which the steward is told too: some of these deadlines fall due only after the move."""
SCENARIO = f"""
id = "bench.cry"
title = {{ zh = "测量呼救", en = "A benchmark's cry" }}
[signal]
kinds = ["bench.sos"]
sos = true
matter = "bench"
[case]
severity = "extreme"
deadlines = {{ acknowledged = "1h", closed = "4h" }}
[[response]]
role = "family"
tell = ["subject.contacts"]
by = ["webhook"]
text = {{ zh = "{{subject}} 呼救。回复 1 表示正赶去。", en = "{{subject}} cries. Reply 1 if on your way." }}
[[response]]
after = "{LATER}s"
unless = "family.acknowledged"
role = "steward"
tell = ["subject.steward"]
by = ["webhook"]
text = {{ zh = "{{subject}} 呼救。回复 1 表示正赶去。", en = "{{subject}} cries. Reply 1 if on your way." }}
"""


def _people(url: str) -> list[Record]:
    to = [{"by": "webhook", "to": url}]
    found = [_record("person", "W", name="管家", addresses=to)]
    for n in range(PEOPLE):
        found.append(_record("person", f"E{n}", name=f"老人{n}", steward="W"))
        found.append(_record("contact", f"K{n}", person=f"E{n}", name="亲", order=1, addresses=to))
    return found


def _record(kind: str, identity: str, **data: object) -> Record:
    return Record(kind=kind, id=identity, version=0, data=data, at=0, by="test")


class Gateway:
    """Sends cries and readings without a pause, and remembers what was acknowledged."""

    def __init__(self) -> None:
        self.acknowledged: list[str] = []
        self.cries = 0
        self._number = 0
        self._stop = threading.Event()

    def send_to(self, running: Serving) -> None:
        """Go on until told to stop, or the platform is gone: then the last batch is unknown."""
        self._stop.clear()
        connection = running.connect()
        try:
            while not self._stop.is_set():
                batch = self._batch()
                running.post(connection, cloudevents.encode_batch(batch))
                self.acknowledged += [one.id for one in batch]
                self.cries += batch[0].kind == "bench.sos"
                time.sleep(0.02)
        except (OSError, http.client.HTTPException):
            return
        finally:
            connection.close()

    def _batch(self) -> list[Signal]:
        self._number += 1
        now = time.time_ns() // 1_000_000
        readings = [quiet(self._number * 10 + n, now) for n in range(9)]
        if self._number > PEOPLE:
            return readings
        person, identity = f"person:E{self._number - 1}", f"cry-{self._number}"
        cry = Signal(id=identity, source="gw/0", kind="bench.sos", received=now, time=now, subject=person)
        return [cry, *readings]

    def stop(self) -> None:
        """Send no more."""
        self._stop.set()


def _wait(ready: Callable[[], object], why: str) -> None:
    end = time.monotonic() + 90
    while not ready():
        assert time.monotonic() < end, why
        time.sleep(0.05)


def _hexi(config: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "hexi", "--lang", "en", "--config", str(config), *words]


def _end(running: Serving) -> None:
    running.process.send_signal(signal.SIGINT)
    assert running.process.wait(60) == 0
    assert running.process.stdout
    running.process.stdout.close()


class Move:
    """One move of a running district, from beginning to end."""

    def __init__(self, folder: Path, server: str, receiver: Receiver) -> None:
        self.folder, self.server, self.receiver = folder, server, receiver
        self.config = write_settings(folder)
        (folder / "packs" / "bench" / "catalogue" / "cry.toml").write_text(SCENARIO, encoding="utf-8")
        self.token = furnish(folder, _people(receiver.url))
        self.gateway = Gateway()
        self.address = folder / "address"
        self.address.write_text(f"{server}\n", encoding="utf-8")

    def start(self) -> Serving:
        """The platform as its settings say."""
        self.running = start(self.folder, self.config, self.token)
        return self.running

    def close(self) -> None:
        """Let nothing go on, however it ended."""
        self.gateway.stop()
        if self.running.process.poll() is None:
            self.running.process.kill()
            self.running.process.wait()

    def play(self) -> None:
        """SQLite under load, the move beside it, the stop, PostgreSQL under load."""
        before = self.start()
        sending = threading.Thread(target=self.gateway.send_to, args=(before,))
        sending.start()
        _wait(lambda: len(self.gateway.acknowledged) > 300, "the platform takes no signals")
        self._move_beside(before)
        sending.join()
        with self.config.open("a", encoding="utf-8") as settings:
            settings.write(f'[database]\nurl_file = "{self.address}"\n')
        after = self.start()
        sending = threading.Thread(target=self.gateway.send_to, args=(after,))
        sending.start()
        seen = len(self.gateway.acknowledged)
        _wait(lambda: len(self.gateway.acknowledged) > seen + 100, "PostgreSQL takes no signals")
        self.gateway.stop()
        sending.join()
        _wait(self._all_told, "somebody was not told")
        _end(after)

    def _move_beside(self, running: Serving) -> None:
        command = _hexi(self.config, "migrate-store", "--to-file", str(self.address), "--wait")
        with subprocess.Popen(command, cwd=self.folder, text=True, stderr=subprocess.PIPE) as mover:
            assert mover.stderr
            assert "stop every process" in mover.stderr.readline()
            more = len(self.gateway.acknowledged) + 100
            _wait(lambda: len(self.gateway.acknowledged) > more, "the move keeps the platform from its work")
            _end(running)
            assert mover.wait(90) == 0

    def _all_told(self) -> bool:
        """Whether family and steward of every case were called."""
        told = {(call.json["case_id"], call.json["role"]) for call in list(self.receiver.calls)}
        return len(told) >= 2 * self.gateway.cries


async def _live(folder: Path, server: str) -> Move:
    async with receiving(lambda _: Answer()) as receiver:
        move = Move(folder, server, receiver)
        try:
            await asyncio.to_thread(move.play)
        finally:
            move.close()
        return move


def test_a_running_district_moves(tmp_path: Path, postgresql_url: str) -> None:  # noqa: F811 -- the fixture
    with database(postgresql_url) as server:
        move = uvloop.run(_live(tmp_path, server))
        _check_signals(server, move)
        _check_calls(server, move)
        check = subprocess.run(
            _hexi(move.config, "rebuild", "--check"),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (check.returncode, "0 differences" in check.stdout) == (0, True), check.stdout + check.stderr
        _check_closed(tmp_path)


def _check_closed(folder: Path) -> None:
    """A start on the old file says where the district is now."""
    old = folder / "old.toml"
    old.write_text('data_dir = "var"\n[listen]\nport = 0\n', encoding="utf-8")
    refused = subprocess.run(_hexi(old, "serve"), cwd=folder, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "has moved to postgresql://" in refused.stderr


def _check_signals(server: str, move: Move) -> None:
    """Everything acknowledged is known and kept, on PostgreSQL."""
    assert len(move.gateway.acknowledged) > 500
    known = set(run(server, "SELECT array_agg(id) FROM seen")[0])
    kept = set(run(server, "SELECT array_agg(id) FROM signal")[0])
    assert set(move.gateway.acknowledged) <= known
    assert set(move.gateway.acknowledged) <= kept


def _check_calls(server: str, move: Move) -> None:
    """Each is owed once, and called under one key; some deadlines fell due on either side of the move."""
    keys = defaultdict(set)
    store = open_store(server)
    with store.read() as tx:
        cases = tx.cases.ids("", 1_000_000)
        for case_id in cases:
            for notice in tx.notices.of_case(case_id):
                keys[case_id, notice.step, notice.recipient, notice.way].add(notice.id)
    store.close()
    assert len(cases) >= move.gateway.cries > 20
    assert all(len(found) == 1 for found in keys.values())
    called = {call.headers["idempotency-key"] for call in move.receiver.calls}
    assert called <= {identity for found in keys.values() for identity in found}
    assert msgspec.json.decode(move.receiver.calls[0].body)["case_id"] in cases
