"""The archive's cost and speed at a million residents: `python -m bench.archive [--rows N] [--smoke]`.

One day of 200,000 devices, 2,000 vehicles and 5,000 cameras (3,817 signals/s = 330 M a day; the mix is
assumed, the values are random, which is the worst case for compression) is made by DuckDB hour by hour.
Bytes a signal are measured on a sample moved by the real archiver out of real stores; the day is read by
the real query interface. With fewer rows than 330 M a day, times are given as measured and not scaled:
but for the summaries, which have as many rows as a full day has: each known kind in each community each hour.
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import duckdb
from bench._report import beside, show

from hexi.adapters.archive import hours, parquet
from hexi.adapters.archive.folder import draft_of, name_of, settle, sum_of, write_manifests
from hexi.adapters.archive.plan import Plan
from hexi.adapters.archive.query import Desk, Question, ask
from hexi.adapters.archive.work import work
from hexi.adapters.packs.load import load_packs
from hexi.adapters.sql import SqlStore, open_store
from hexi.adapters.sql.tables import metadata
from hexi.kernel.archive import ArchiveFile, FileState, HotRow
from hexi.kernel.clock import DAY, HOUR, SimClock, local_day
from hexi.kernel.indicator import Measure
from hexi.kernel.record import Record
from hexi.settings import Archive

FULL_DAY = 330_000_000
"""Signals a day of a million residents: docs/why/architecture.md."""
STREETS, COMMUNITIES = 14, 15
"""Of the district, and of a street."""
START = 1_780_243_200_000
"""2026-06-01T00:00 in the district."""
GOAL_SECONDS = 1.0
GOAL_YEAR_TB = 2.0

_MIX = """
    SELECT 'gateway' AS source, {id} AS id, kind,
        device || lpad(CAST(CAST(floor(random() * many) AS INT) AS VARCHAR), 6, '0') AS subject,
        {hour} + CAST(n * 3600000.0 / {rows} AS BIGINT) AS received, NULL::BIGINT AS time, '' AS flags,
        CASE device
            WHEN 'device:D' THEN '{{"breath":' || CAST(10 + random() * 15 AS INT) || ',"heart_rate":'
                || CAST(50 + random() * 60 AS INT) || ',"moving":' || (random() < 0.5) || '}}'
            WHEN 'device:V' THEN '{{"lat":' || round(39.05 + random() * 0.1, 6) || ',"lon":'
                || round(117.15 + random() * 0.2, 6) || ',"speed":' || round(random() * 60, 1) || '}}'
            ELSE '{{"people":' || CAST(random() * 30 AS INT) || '}}' END AS data, NULL::VARCHAR AS case_id
    FROM (
        SELECT range AS n, CASE WHEN who < 874 THEN 'device:D' WHEN who < 978 THEN 'device:V'
            ELSE 'device:C' END AS device,
            CASE WHEN who < 874 THEN 'vital.heart' WHEN who < 978 THEN 'vehicle.position'
            ELSE 'camera.count' END AS kind,
            CASE WHEN who < 874 THEN {devices} WHEN who < 978 THEN {devices} // 100
            ELSE {devices} // 40 END AS many
        FROM (SELECT range, CAST(hash(range) % 1000 AS INT) AS who FROM range({rows})))
"""
"""200,000 devices and 5,000 cameras each minute, 2,000 vehicles each 5 s: 87.4, 2.2 and 10.4 %."""
IDS = {
    "ids that count": "'g' || ({hour} // 1000) || '-' || n",
    "random ids (UUID)": "CAST(uuid() AS VARCHAR)",
}


def mix(rows: int, hour: int, ids: str = "ids that count") -> str:
    """A query that gives the signals of an hour as they lie in the hot store."""
    devices = max(rows // 60, 100)
    return _MIX.format(rows=rows, hour=hour, devices=devices, id=IDS[ids].format(hour=hour))


def portions(rows: int, ids: str) -> Iterator[list[HotRow]]:
    """The same, in Python's hands."""
    with duckdb.connect() as connection:
        found = connection.execute(mix(rows, START, ids))
        while portion := found.fetchmany(50_000):
            yield portion


def measure_files(folder: Path, rows: int) -> float:
    """Bytes a signal in files of each order, form and kind of id; the chosen one's for a year."""
    for ids in IDS:
        for body in ("whole", "numbers", "none"):
            draft = folder / "sample.parquet"
            began = time.monotonic()
            parquet.write(draft, portions(rows, ids), lambda _, keeps=body: keeps, 2_048)
            took = time.monotonic() - began
            beside(f"Parquet, {ids}, body = {body}", draft.stat().st_size / rows, "B")
            if (ids, body) == ("ids that count", "whole"):
                beside("writing it, from Python's rows", rows / took, "/s")
                chosen = draft.stat().st_size / rows
    orders(folder, rows)
    return chosen


def orders(folder: Path, rows: int) -> None:
    """Bytes a signal in the orders that were tried."""
    with closing(duckdb.connect()) as connection:
        connection.execute(f"CREATE TABLE day AS {parquet.split(f'({mix(rows, START)})')}")
        for order in (parquet.ORDER, "received, id", "subject, received, id", "kind, received, id"):
            target = folder / "order.parquet"
            connection.execute(f"COPY (FROM day ORDER BY {order}) TO '{target}' ({parquet.FORM})")
            beside(f"Parquet in the order {order}", target.stat().st_size / rows, "B")


def fill_store(store: SqlStore, rows: int) -> None:
    """Signals as the spine writes them, without the identities that are kept beside."""
    names = [c.name for c in metadata.tables["signal"].columns if c.name != "seq"]
    places = [
        ("source", "id", "kind", "subject", "received", "time", "flags", "data", "case_id").index(n)
        for n in names
    ]
    mark = "?" if store.dialect == "sqlite" else "%s"
    insert = f"INSERT INTO signal ({', '.join(names)}) VALUES ({', '.join([mark] * len(names))})"
    for portion in portions(rows, "ids that count"):
        with store.write() as tx:
            tx.link.driver.cursor().executemany(insert, [[row[p] for p in places] for row in portion])


def measure_stores(folder: Path, rows: int, postgresql: str | None) -> None:
    """Bytes a signal in the hot stores, and the speed of moving them out."""
    for name, url in (("SQLite", f"sqlite:///{folder}/hot.sqlite"), ("PostgreSQL", postgresql)):
        if url is None:
            print(f"{name}: no server (set BENCH_POSTGRESQL to its URL)")
            continue
        store = open_store(url)
        empty = size_of(store, folder)
        fill_store(store, rows)
        beside(f"hot, {name}, with its indexes", (size_of(store, folder) - empty) / rows, "B")
        clock = SimClock(START + 3 * DAY)
        began = time.monotonic()
        report = work(
            Plan(store=store, folder=folder / name, settings=Archive(), clock=clock, horizon=30 * DAY)
        )
        beside(f"moved out of {name}", report.moved / (time.monotonic() - began), "/s")
        store.close()


def size_of(store: SqlStore, folder: Path) -> int:
    """Bytes of the database of signals."""
    if store.dialect == "sqlite":
        with sqlite3.connect(folder / "hot.sqlite") as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return sum(path.stat().st_size for path in folder.glob("hot.sqlite*"))
    with store.read() as tx:
        found = tx.link.plain(
            "SELECT coalesce(sum(pg_total_relation_size(relid)), 0) FROM pg_partition_tree('signal')"
        ).fetchone()
        return int(found[0]) if found else 0


def make_day(folder: Path, store: SqlStore, rows: int) -> list[ArchiveFile]:
    """A day's files, written as the archiver writes them, but made by DuckDB itself."""
    files = []
    for n in range(24):
        hour, each = START + n * HOUR, rows // 24
        name = name_of(hour, 1)
        draft, target = draft_of(folder, name), folder / name
        with closing(duckdb.connect()) as connection:
            connection.execute("SET memory_limit = '4GiB'")
            connection.execute(f"SET temp_directory = '{folder}/spill'")
            query = parquet.split(f"({mix(each, hour)})")
            connection.execute(f"COPY ({query} ORDER BY {parquet.ORDER}) TO '{draft}' ({parquet.FORM})")
        settle(draft, target)
        files.append(recorded(target, name, hour, {"all": each}))
    with store.write() as tx:
        tx.archive.record(tx.archive.turn(), files)
    write_manifests(folder, files, [])
    return files


def recorded(path: Path, name: str, hour: int, kinds: dict[str, int]) -> ArchiveFile:
    """A file as it is recorded."""
    return ArchiveFile(
        name=name,
        hour=hour,
        kinds=kinds,
        bytes=path.stat().st_size,
        sha256=sum_of(path),
        state=FileState.KEPT,
        written=hour,
        verified=hour,
    )


def make_summaries(folder: Path, store: SqlStore, files: list[ArchiveFile], kinds: list[str]) -> None:
    """The day's real summaries, and beside each a made one of all other kinds in every community."""
    made = []
    for file in files:
        draft, target = draft_of(folder, file.summary), folder / file.summary
        with store.read() as tx:
            counted = hours.write(folder / file.name, draft, file.hour, tx, 2_048)
        settle(draft, target)
        made.append(recorded(target, file.summary, file.hour, counted))
        name = file.summary.replace("-1.", "-2.")
        draft, target = draft_of(folder, name), folder / name
        with closing(duckdb.connect()) as connection:
            connection.execute("CREATE TABLE kind AS SELECT unnest(?) AS kind", [kinds])
            connection.execute(f"COPY ({_OTHERS.format(hour=file.hour)}) TO '{draft}' ({parquet.FORM})")
        settle(draft, target)
        made.append(recorded(target, name, file.hour, hours.counts(target)))
    with store.write() as tx:
        tx.archive.record(tx.archive.turn(), made)
    beside("rows of the day's summaries", sum(_rows(folder / file.name) for file in made), "")
    beside("bytes of the day's summaries", sum(file.bytes for file in made) / 1e6, "MB")


def _rows(path: Path) -> int:
    return int(duckdb.sql(f"SELECT count(*) FROM '{path}'").fetchall()[0][0])


_OTHERS = f"""
    SELECT make_timestamp_ms({{hour}}) AS hour, kind, false AS drill, {{STREET}} AS street,
        {{STREET}} || lpad(CAST(n // {STREETS} AS VARCHAR), 3, '0') AS community,
        CAST(1 + random() * 9000 AS BIGINT) AS signals, CAST(1 + random() * 900 AS BIGINT) AS subjects,
        MAP {{{{'a': 900, 'b': 900, 'c': 900}}}}::MAP(VARCHAR, BIGINT) AS n,
        MAP {{{{'a': random() * 9000, 'b': random(), 'c': random() * 90}}}} AS total,
        MAP {{{{'a': random(), 'b': random(), 'c': random()}}}} AS least,
        MAP {{{{'a': random() + 9, 'b': random() + 9, 'c': random() + 9}}}} AS most
    FROM kind, (SELECT range AS n FROM range({STREETS * COMMUNITIES}))
""".replace("{STREET}", f"'12010300' || (n % {STREETS})")


def fill_district(store: SqlStore, residents: int, devices: int) -> None:
    """Every resident has a part in the day's indicator, every device a street."""
    day = local_day(START)
    with store.write() as tx:
        for n in range(residents):
            case_id = f"C{n:07}"
            part = Measure(
                indicator="core.arrived_in_15m", case_id=case_id, day=day, street=f"12010300{n % STREETS}",
                community=None, grid=None, hit=int(n % 20 != 0), value=None,
            )  # fmt: skip
            tx.measures.put([part], case_id)
        for n in range(devices):
            street = f"12010300{n % STREETS}"
            person = {"street": street, "community": f"{street}{n // STREETS % COMMUNITIES:03}"}
            device = {"type": "radar", "owner": f"E{n:06}"}
            for kind, id_, data in (("person", f"E{n:06}", person), ("device", f"D{n:06}", device)):
                tx.records.put(Record(kind=kind, id=id_, version=0, data=data, at=START, by="bench"))


QUESTIONS = {
    "signals and mean heart rate by street": """
        SELECT street, count(*), avg(numbers['heart_rate']) FROM signals s JOIN devices d ON s.subject = d.ref
        WHERE day = '{day}' AND kind = 'vital.heart' GROUP BY 1 ORDER BY 1""",
    "share of high heart rates by hour": """
        SELECT date_trunc('hour', received) AS hour, avg(CAST(numbers['heart_rate'] > 100 AS INT))
        FROM signals WHERE day = '{day}' AND kind = 'vital.heart' GROUP BY 1 ORDER BY 1""",
    "people seen by cameras by hour": """
        SELECT date_trunc('hour', received) AS hour, sum(numbers['people'])
        FROM signals WHERE day = '{day}' AND kind = 'camera.count' GROUP BY 1 ORDER BY 1""",
    "signals by street and hour": """
        SELECT street, date_trunc('hour', received) AS hour, count(*) FROM signals s
        JOIN devices d ON s.subject = d.ref WHERE day = '{day}' GROUP BY 1, 2 ORDER BY 1, 2""",
    "one device's day": """
        SELECT received, numbers['heart_rate'] FROM signals
        WHERE day = '{day}' AND kind = 'vital.heart' AND subject = 'device:D000042' ORDER BY 1""",
}
FROM_HOURS = {
    "signals and mean heart rate by street": """
        SELECT street, sum(signals), sum(total['heart_rate']) / sum(n['heart_rate']) FROM signal_hours
        WHERE day = '{day}' AND kind = 'vital.heart' AND NOT drill GROUP BY 1 ORDER BY 1""",
    "signals by street and hour": """
        SELECT street, hour, sum(signals) FROM signal_hours WHERE day = '{day}'
        GROUP BY 1, 2 ORDER BY 1, 2""",
    "signals by kind": """
        SELECT kind, sum(signals) FROM signal_hours WHERE day = '{day}' GROUP BY 1 ORDER BY 1""",
}
INDICATOR = """
    SELECT street, avg(hit) FROM measures WHERE indicator = 'core.arrived_in_15m' AND day = '{day}'
    GROUP BY 1 ORDER BY 1"""


def timed(desk: Desk, sql: str) -> float:
    """Seconds until the answer is there."""
    began = time.monotonic()
    assert answered(desk, sql)
    return time.monotonic() - began


def answered(desk: Desk, sql: str) -> list[tuple[Any, ...]]:
    """The rows of an answer."""
    sql = sql.format(day=local_day(START))
    return ask(desk, Question(sql=sql, limit=10_000, seconds=600, memory=4_096)).rows


def agree(desk: Desk) -> None:
    """Rows and summaries give the same figures."""
    name = "signals and mean heart rate by street"
    rows, told = answered(desk, QUESTIONS[name]), answered(desk, FROM_HOURS[name])
    assert [row[:2] for row in rows] == [row[:2] for row in told], (rows, told)
    assert all(math.isclose(a[2], b[2], rel_tol=1e-9) for a, b in zip(rows, told, strict=True))


def forget_pages(folder: Path) -> None:
    """Drop the files from the page cache, as after a restart."""
    os.sync()
    for path in folder.rglob("*.parquet"):
        handle = os.open(path, os.O_RDONLY)
        with suppress(OSError):
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(handle)


def raw_read(folder: Path) -> float:
    """Seconds to read all files and do nothing with them."""
    began = time.monotonic()
    for path in folder.rglob("*.parquet"):
        with path.open("rb", buffering=0) as file:
            while file.read(1 << 22):
                pass
    return time.monotonic() - began


def measure_reading(folder: Path, rows: int, residents: int) -> None:
    """Times of reading a day."""
    archive = folder / "day"
    store = open_store(f"sqlite:///{folder}/district.sqlite")
    files = make_day(archive, store, rows)
    fill_district(store, residents, max(rows // 24 // 60, 100))
    catalogue = load_packs().catalogue()
    began = time.monotonic()
    make_summaries(archive, store, files, sorted(catalogue.kinds.keys() - {"vital.heart"}))
    beside("a summary, beside each file", (time.monotonic() - began) / len(files), "s")
    size = sum(file.bytes for file in files)
    beside(f"a day of {rows:,} signals", size / 1e9, "GB")
    beside("share of a full day of a million residents", 100 * rows / FULL_DAY, "%")
    desk = Desk(store, archive, catalogue, START + 4 * DAY)
    agree(desk)
    show(f"a day's indicator over {residents:,} residents", timed(desk, INDICATOR), GOAL_SECONDS, "s")
    for name, sql in FROM_HOURS.items():
        forget_pages(archive)
        show(f"{name}, from a full day's summaries", timed(desk, sql), GOAL_SECONDS, "s")
    for name, sql in QUESTIONS.items():
        forget_pages(archive)
        beside(f"{name}, files not in memory", timed(desk, sql), "s")
        beside(f"{name}, again", min(timed(desk, sql) for _ in range(2)), "s")
    forget_pages(archive)
    beside("the day's files read raw, not in memory", raw_read(archive), "s")
    beside("the day's files read raw, again", raw_read(archive), "s")
    store.close()


def main() -> None:
    """Print bytes and times; the goals are the day's indicator and the year."""
    options = argparse.ArgumentParser()
    options.add_argument("--rows", type=int, default=33_000_000, help="signals of the day that is read")
    options.add_argument("--sample", type=int, default=2_000_000, help="signals whose bytes are measured")
    options.add_argument("--folder", type=Path, help="where to work; about 20 bytes a signal")
    options.add_argument("--smoke", action="store_true")
    told = options.parse_args()
    rows, sample, residents = told.rows, told.sample, 1_000_000
    if told.smoke:
        rows, sample, residents = 48_000, 10_000, 1_000
    folder = Path(tempfile.mkdtemp(prefix="hexi-bench-", dir=told.folder))
    try:
        each = measure_files(folder, sample)
        measure_stores(folder, sample, os.environ.get("BENCH_POSTGRESQL"))
        show("a year of a million residents in the archive", each * FULL_DAY * 365 / 1e12, GOAL_YEAR_TB, "TB")
        measure_reading(folder, rows, residents)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
