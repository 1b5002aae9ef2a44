"""Durable ingest beside its limits: bare sqlite3 into the same tables, and append with fdatasync.

Run ``python bench/ingest.py``. Each round does the three in turn on fresh files; the medians are
printed. The store's side includes encoding, fingerprints and the search for repeats; the bare side is
given its rows ready-made.
"""

from __future__ import annotations

import os
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import msgspec

from hexi.adapters.sql import open_store
from hexi.kernel.signal import Signal, digest_of, encode_data

LIMIT = 0.7
SIZES = ((1, 600), (100, 150), (1_000, 40))
ROUNDS = 5
_KEPT = {True: "kept", False: "missed"}
_START = 1_780_000_000_000

_SEE = "INSERT INTO seen (source, id, digest, received) VALUES (?, ?, ?, ?)"
_ADD = (
    "INSERT INTO signal (source, id, kind, subject, received, time, flags, data, case_id)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


def readings(count: int) -> list[Signal]:
    """Quiet signals as 1,000 radars send them."""
    return [
        Signal(
            id=f"{_START + number:x}-{number % 1000:04}",
            source=f"radar/{number % 1000:04}",
            kind="radar.presence",
            subject=f"device:D{number % 1000:05}",
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


def by_store(file: Path, signals: list[Signal], size: int) -> float:
    """Seconds the store takes."""
    store = open_store(f"sqlite:///{file}")
    began = time.perf_counter()
    for batch in batches(signals, size):
        with store.write() as tx:
            tx.signals.claim(batch)
            for signal in batch:
                tx.signals.add(signal, None)
    taken = time.perf_counter() - began
    store.close()
    return taken


def by_sqlite3(file: Path, signals: list[Signal], size: int) -> float:
    """Seconds a bare executemany takes into the same tables and indexes, rows ready-made."""
    open_store(f"sqlite:///{file}").close()
    seen = [(s.source, s.id, digest_of(s, encode_data(s.data)), s.received) for s in signals]
    rows = [
        (s.source, s.id, s.kind, s.subject, s.received, s.time, "", encode_data(s.data).decode(), None)
        for s in signals
    ]
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
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


def by_append(file: Path, signals: list[Signal], size: int) -> float:
    """Seconds an append with fdatasync takes, one JSON line a signal, lines ready-made."""
    lines = [msgspec.json.encode(s) + b"\n" for s in signals]
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    began = time.perf_counter()
    for start in range(0, len(lines), size):
        os.write(handle, b"".join(lines[start : start + size]))
        os.fdatasync(handle)
    taken = time.perf_counter() - began
    os.close(handle)
    return taken


def one_round(ways: list[Callable[[Path, list[Signal], int], float]], size: int, commits: int) -> list[float]:
    """Rows a second of each way, on fresh files."""
    rates = []
    for way in ways:
        signals = readings(size * commits)
        with tempfile.TemporaryDirectory() as folder:
            rates.append(len(signals) / way(Path(folder) / "hexi.db", signals, size))
    return rates


def main() -> int:
    """Print the table; 1 when a ratio is below its limit."""
    ways = [by_store, by_sqlite3, by_append]
    heads = ("store/s", "sqlite3/s", "append/s", "/sqlite3", "/append")
    print(f"{'rows a commit':>13}", *(f"{head:>10}" for head in heads), f" limit: /sqlite3 >= {LIMIT}")
    missed = False
    for size, commits in SIZES:
        rounds = [one_round(ways, size, commits) for _ in range(ROUNDS)]
        store, bare, append = (statistics.median(column) for column in zip(*rounds, strict=True))
        ratio = statistics.median(r[0] / r[1] for r in rounds)
        missed |= ratio < LIMIT
        rates = " ".join(f"{rate:>10,.0f}" for rate in (store, bare, append))
        print(f"{size:>13,} {rates} {ratio:>10.2f} {store / append:>10.2f}  {_KEPT[ratio >= LIMIT]}")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
